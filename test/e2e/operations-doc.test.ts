/**
 * The procedures of docs/OPERATIONS.md, as written there: each command is taken from the page and run, against real processes that are really killed and disks that are really wiped.
 *
 * What the page says in words ("stop it", "replace the disk") the stories do between its blocks of commands.
 */
import { describe, expect, test } from "bun:test";
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { status } from "../../src/wire/control/namespace.ts";
import { eventually } from "../tools/eventually.ts";
import { fieldsOf, listOf } from "../tools/processes.ts";
import { cluster, page, procedures, root, Stage } from "./operations-stage.ts";

const told = new Set<string>();
const addition = "Adding a server";

/** A test that follows these procedures to their ends, on the cluster of the page. */
function story(name: string, titles: readonly string[], run: (stage: Stage) => Promise<void>): void {
  for (const title of titles) told.add(title);
  test(
    name,
    async () => {
      await using stage = new Stage();
      await stage.next(cluster);
      await run(stage);
      for (const title of titles) expect([title, stage.left(title)]).toEqual([title, []]);
    },
    180_000,
  );
}

describe("docs/OPERATIONS.md", () => {
  story(
    "a server is added and taken away; what there is to look at and to choose",
    [
      cluster,
      "Reading status",
      addition,
      "Taking a server away",
      "Corruption",
      "Full servers",
      "How much repair and balance may copy",
      "Slow servers",
      "Trash, and replicas by directory",
    ],
    async (stage) => {
      for (const path of ["/projects/a.tar", "/scratch/kept", "/scratch/old/b"]) await stage.put(path);
      await stage.until("healthy: all 9 chunks");
      expect(await stage.next("Reading status")).toContain("s4 joined the cluster");
      expect(await stage.next(addition)).toContain("balance");
      await stage.untilLiveness("s5", "live");

      flipByte(join(stage.directory, "s2/disk1/gfs/chunks"));
      expect(await stage.next("Corruption")).toContain("healthy on s2");
      expect(await stage.next("Corruption")).toContain("repaired");
      expect((await stage.run(["events", "--kind", "replica.bad"])).text).toContain("s2");

      await stage.next("How much repair and balance may copy");
      await stage.next("Slow servers");
      expect((await stage.run(["rm", "/projects/a.tar"])).code).toBe(0);
      await stage.next("Trash, and replicas by directory");
      await stage.same("/projects/a.tar");
      await stage.next("Trash, and replicas by directory");
      for (const [path, replicas] of [
        ["/projects/a.tar", 4],
        ["/scratch/kept", 2],
      ] as const)
        expect(fieldsOf((await stage.json("stat", path))["entry"])["replicas"]).toBe(replicas);
      await stage.next("Full servers");
      expect((await stage.run(["ls", "/scratch"])).text).toBe("kept\n");

      // Four replicas find no place on three servers.
      expect((await stage.run(["setrep", "3", "/projects/a.tar"])).code).toBe(0);
      const away = "Taking a server away";
      expect(await stage.next(away)).toContain("s5 is safe to stop");
      expect(await stage.next(away)).toContain("not being drained any more");
      await stage.block(away, 0);
      await stage.stop("s5");
      expect(await stage.next(away)).toContain("s5 is forgotten");
      expect(await stage.servers()).toHaveLength(3);
      await stage.until("healthy");
      await stage.same("/projects/a.tar");
      await stage.same("/scratch/kept");
    },
  );

  story(
    "disks are replaced, servers die, come back, and are gone at once",
    ["Replacing a disk", "A server that died for good", "A server that comes back", "Many servers gone at once"],
    async (stage) => {
      await stage.next(addition);
      await stage.put("/projects/a.tar");

      expect(await stage.next("Replacing a disk")).toContain("s3 is safe to stop");
      await stage.stop("s3");
      stage.replaceDisk("s3");
      await stage.next("Replacing a disk");
      await stage.untilLive(4);

      await stage.kill("s4");
      stage.replaceDisk("s4");
      await stage.untilLiveness("s4", "dead");
      await stage.next("A server that died for good");
      await stage.until("healthy");
      expect((await stage.run(["decommission", "s4"])).code).toBe(5);
      await stage.next("A server that died for good");
      await stage.untilLive(4);
      await stage.same("/projects/a.tar");

      await stage.kill("s4");
      await stage.untilLiveness("s4", "dead");
      await stage.put("/projects/b.tar");
      const events = await stage.next("A server that comes back");
      await eventually("it is said to be back", async () => {
        const now = events + (await stage.run(["events", "--kind", "volume.live"])).text;
        return now.includes("s4 is back");
      });
      await stage.until("healthy");

      const many = "Many servers gone at once";
      await stage.kill("s4", "s5");
      await eventually("repair is held", async () => (await stage.run(["status"])).text.includes("gfs repair resume"));
      expect((await stage.run(["safemode", "status"])).text).toContain("deletions go on; repair is held back: ");
      expect(await stage.next(many)).toContain("repair goes on");
      await stage.kill("m", "s2", "s3");
      stage.env["GFS_MASTER_SAFE_MODE_SECONDS"] = "600";
      await stage.start("gfs master");
      await stage.until("starting");
      expect(await stage.next(many)).toContain("left safe mode");
      await stage.start("gfs chunk");
      await stage.follow(procedures.get(addition)?.[0]?.[0] ?? "");
      await stage.until("healthy");
      await stage.same("/projects/a.tar");
      await stage.same("/projects/b.tar");
    },
  );

  story(
    "the master loses a disk, and then all of them",
    ["The master's disks", "Backup of the master", "Restoring the master"],
    async (stage) => {
      await stage.put("/projects/a.tar");
      await stage.stop("m");
      stage.replaceDisk("m", "disk2");
      await stage.next("The master's disks");
      const used = async () => listOf((await stage.json("status"))["dataDirs"]).map((dir) => fieldsOf(dir)["state"]);
      expect(await used()).toEqual(["in use", "in use"]);
      await stage.stop("m");
      stage.replaceDisk("m", "disk2");
      await stage.next("The master's disks");
      expect(await used()).toEqual(["in use"]);
      await stage.stop("m");
      await stage.start("gfs master");
      expect(await used()).toEqual(["in use", "in use"]);

      const backup = await stage.next("Backup of the master");
      expect(backup).toContain("is whole");
      await stage.untilLive(3);
      await stage.put("/projects/b.tar");
      await stage.untilCopied();
      const loseMaster = async (): Promise<void> => {
        await stage.kill("m");
        stage.replaceDisk("m", "disk1");
        stage.replaceDisk("m", "disk2");
      };
      await loseMaster();
      // Of the backup alone: the copies reach further, and are still there when they are asked.
      await stage.follow("gfs master restore --data-dir /disk1/gfs-master --from /backup/gfs.backup");
      await stage.start("gfs master");
      await stage.untilLive(3);
      expect((await stage.run(["ls", "/projects"])).text).toBe("a.tar\n");
      expect(lastEntry(await stage.block("Restoring the master", 2))).toBeGreaterThan(lastEntry(backup));
      await loseMaster();
      await stage.next("Restoring the master");
      expect(await used()).toEqual(["in use", "in use"]);
      await stage.untilLive(3);
      expect(await stage.next("Restoring the master")).toContain("changes are stopped: it was rebuilt from");
      expect((await stage.run(["mkdir", "/too-early"])).stderr).toContain("MutationsStopped");
      await stage.same("/projects/a.tar");
      await stage.next("Restoring the master");
      expect(await stage.next("Restoring the master")).toContain("accepted: mutations go on");
      await stage.put("/projects/c.tar");
      await stage.until("healthy");
      // The copies reach further than the backup.
      await stage.same("/projects/b.tar");
    },
  );

  story("nothing of the master is left", ["Salvage"], async (stage) => {
    await stage.put("/projects/a.tar");
    await stage.put("/projects/small", new TextEncoder().encode("a few bytes"));
    await stage.put("/scratch/kept");
    for (const id of ["m", "s2", "s3", "s4"]) await stage.stop(id);
    stage.replaceDisk("m", "disk1");
    await stage.next("Salvage");
    await stage.start("gfs chunk");
    await stage.untilLive(3);
    await stage.same("/projects/a.tar");
    await stage.until("healthy: all 7 chunks");
    await stage.next("Salvage");
    await stage.next("Salvage");
    await stage.put("/projects/after");
    await stage.same("/projects/small", new TextEncoder().encode("a few bytes"));
  });

  test("has no procedure that no story follows", () => {
    expect([...procedures.keys()].filter((title) => !told.has(title))).toEqual([]);
    expect([...told].filter((title) => !procedures.has(title))).toEqual([]);
  });

  test("tells each first word of status, and beginnings of alarms that there are", () => {
    const words = [...page.matchAll(/^\| `([A-Za-z ]+)` +\| [^|]+ \| [^|]+ \|$/gm)].map(([, word = ""]) => word);
    const kinds: readonly string[] = status.reply.shape.health.options;
    expect(words.slice(0, kinds.length).map((word) => word.toLowerCase().replace(" ", "-"))).toEqual([...kinds]);
    const [, alarms = ""] = /\| line with `!`(.*?)\n\n/s.exec(page) ?? [];
    const phrases = [...alarms.matchAll(/^\| (`.*?`) +\|/gm)].flatMap(([, cell = ""]) =>
      cell.replaceAll("`", "").split(", "),
    );
    expect(phrases.length).toBeGreaterThan(12);
    const sources = [
      "cmd/cli/status-text.ts",
      ...["status", "full-servers", "slow-servers", "master"].map((name) => `src/master/${name}.ts`),
    ];
    const text = sources.map((path) => readFileSync(join(root, path), "utf8")).join("\n");
    expect(phrases.filter((phrase) => !text.includes(phrase))).toEqual([]);
  });

  // What goes wrong in ways that a page of commands does not show.
  test.each([
    ["Reading status", "health", "status says how the data is, servers and locate where it is"],
    ["Adding a server", "balance", "fills an empty server that joins"],
    ["Taking a server away", "drain", "drained, killed, wiped and forgotten while clients append"],
    ["Taking a server away", "drain", "the master says why it can't be finished"],
    ["A server that died for good", "drain", "what is lost with it is named, and has to be accepted"],
    ["A server that comes back", "repair", "and comes back early: what waits is dropped"],
    ["Many servers gone at once", "repair", "hold repair back, which says so, until an operator has it resumed"],
    ["How much repair and balance may copy", "repair", "are changed while it runs, hold, and last through a restart"],
    ["The master's disks", "faults", "a master's mirrored directory can be lost"],
    ["Backup of the master", "metadata", "comes back from a backup"],
    ["Restoring the master", "metadata", "comes back from a chunkserver's directory; what is damaged is passed over"],
    ["Salvage", "metadata", "gives its files back by salvage"],
    ["Corruption", "scrub", "fsck --verify reads every byte and tells what rotted"],
    ["Full servers", "space", "that files filled: a part stays for repair"],
    ["Slow servers", "slow", "a server that is frozen in the middle of a get"],
    ["Trash, and replicas by directory", "replication", "keeps what is removed as long as its directory says"],
  ])("%s: its hard cases are those of %s.test.ts", (title, file, name) => {
    expect([...procedures.keys()]).toContain(title);
    expect(readFileSync(join(import.meta.dirname, `${file}.test.ts`), "utf8")).toContain(name);
  });
});

/** How far the log goes that was read. */
function lastEntry(text: string): number {
  const [, entry = ""] = /(?:is whole: |can be rebuilt from ).* up to entry (\d+) of the log/.exec(text) ?? [];
  return Number(entry);
}

/** In the first large replica there. */
function flipByte(folder: string): void {
  const path = readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .find((name) => statSync(name).isFile() && statSync(name).size > 1_000_000);
  if (path === undefined) throw new Error(`no large replica in ${folder}`);
  const byte = readFileSync(path)[500_000] ?? 0;
  const file = openSync(path, "r+");
  writeSync(file, Uint8Array.of(byte ^ 0x40), 0, 1, 500_000);
  closeSync(file);
}
