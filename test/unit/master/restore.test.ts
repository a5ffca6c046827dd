/** A backup of a running master, and a directory rebuilt from it (DESIGN §4.1): all that it has, or a refusal. */
import { describe, expect, test } from "bun:test";
import { concatBytes } from "../../../src/base/bytes.ts";
import { GfsError, hasCode } from "../../../src/base/errors.ts";
import { GfsClient } from "../../../src/client/gfs-client.ts";
import type { World } from "../../../src/io.ts";
import { restoreMaster, type Restored, type RestoreOptions } from "../../../src/master/metadata/restore.ts";
import { type MetadataSource, openSources } from "../../../src/master/metadata/source.ts";
import { createFile } from "../../../src/wire/control/files.ts";
import { events } from "../../../src/wire/control/events.ts";
import { safeModeLeave } from "../../../src/wire/control/repair.ts";
import { confirm, mkdir, remove, space, status } from "../../../src/wire/control/namespace.ts";
import { addFiles, checkpoint, cluster, files, filesOf, filled, stop } from "./data-copies.ts";
import type { MasterInSim } from "./master-in-sim.ts";

const from = "/a";
const to = "/restored";
const backupPath = "/gfs.backup";

function backup(made: MasterInSim, path = backupPath): Uint8Array {
  const { simulation, machine, limits } = made;
  const bytes = simulation.do(simulation.machine("operator"), async (world) => {
    await using client = await GfsClient.connect(world, { master: machine.address(4_370), limits });
    const pieces: Uint8Array[] = [];
    for await (const piece of client.backup()) pieces.push(piece.slice());
    return concatBytes(pieces);
  });
  write(made, path, bytes);
  return bytes;
}

function write(made: MasterInSim, path: string, bytes: Uint8Array): void {
  made.simulation.do(made.machine, async ({ disk }) => {
    const file = await disk.open(path, "write");
    await file.truncate(0);
    await file.write([bytes], 0);
    await file.sync();
    await file.close();
    await disk.syncDirectory("/");
  });
}

async function restoring(world: World, made: MasterInSim, options: Partial<RestoreOptions>, paths: readonly string[]) {
  const sources: MetadataSource[] = [];
  for (const path of paths) sources.push(...(await openSources(world.disk, path)));
  try {
    return await restoreMaster(world, { dataDir: to, sources, limits: made.limits, force: false, ...options });
  } finally {
    for (const source of sources) await source[Symbol.asyncDispose]();
  }
}

function restore(made: MasterInSim, options: Partial<RestoreOptions> = {}, paths = [backupPath]): Restored {
  return made.simulation.do(made.machine, (world) => restoring(world, made, options, paths));
}

function refusal(run: () => unknown): GfsError {
  try {
    run();
  } catch (error) {
    if (error instanceof GfsError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("a backup", () => {
  test("has all that was acknowledged before, with and without a checkpoint", () => {
    for (const checkpoints of [0, 1, 2]) {
      const made = cluster(11 + checkpoints, [from]);
      for (let round = 0; round < checkpoints; round++) {
        addFiles(made, round * 2, round * 2 + 2);
        checkpoint(made);
      }
      addFiles(made, 2 * checkpoints, files);
      backup(made);
      addFiles(made, files, files + 3);
      stop(made);
      const restored = restore(made);
      expect(restored.checkpoint > 0).toBe(checkpoints > 0);
      made.start({ dataDirs: [to] });
      expect(filesOf(made)).toBe(files);
    }
  });

  test("says when its last entry was logged, and counts files and directories as status does", () => {
    const made = cluster(14, [from]);
    addFiles(made, 0, files);
    made.call(mkdir, { id: made.nextId(), path: "/d", parents: false });
    made.call(remove, { id: made.nextId(), path: "/f0", recursive: false, skipTrash: false });
    const nowMs = made.machine.world.clock.wallMs();
    made.simulation.runFor(60_000);
    backup(made);
    const { directories } = made.call(status, {});
    stop(made);
    const restored = restore(made);
    expect(restored).toMatchObject({ files: files - 1, directories });
    // The end of the client's session is logged a little later; the backup is taken after a minute.
    expect(Math.abs((restored.wallMs ?? 0) - nowMs)).toBeLessThan(30_000);
    expect(Number.isInteger(restored.wallMs)).toBe(true);
  });

  test("goes on while the master logs and checkpoints, and keeps the log that it needs", () => {
    const made = cluster(21, [from]);
    filled(made);
    const { simulation, machine, limits } = made;
    const walk = simulation.do(simulation.machine("operator"), async (world) => {
      const client = await GfsClient.connect(world, { master: machine.address(4_370), limits });
      const bytes = client.backup()[Symbol.asyncIterator]();
      const first = await bytes.next();
      return { bytes, pieces: first.done === true ? [] : [first.value] };
    });
    for (const round of [0, 1, 2]) {
      addFiles(made, 100 + 3 * round, 103 + 3 * round);
      checkpoint(made);
    }
    const bytes = simulation.do(simulation.machine("operator"), async () => {
      for (let next = await walk.bytes.next(); next.done !== true; next = await walk.bytes.next())
        walk.pieces.push(next.value.slice());
      return concatBytes(walk.pieces);
    });
    write(made, backupPath, bytes);
    stop(made);
    restore(made);
    made.start({ dataDirs: [to] });
    expect(filesOf(made)).toBe(files);
  });

  test("that is cut short, has a flipped bit anywhere, or something behind it is refused as Corrupt", () => {
    const made = cluster(31, [from]);
    filled(made);
    const whole = backup(made);
    stop(made);
    const step = Math.ceil(whole.length / 150);
    for (let at = 0; at < whole.length; at += step) {
      const flipped = whole.slice();
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      write(made, backupPath, flipped);
      expect([at, refusal(() => restore(made)).code]).toEqual([at, "Corrupt"]);
      write(made, backupPath, whole.subarray(0, at));
      expect([at, refusal(() => restore(made)).code]).toEqual([at, "Corrupt"]);
    }
    write(made, backupPath, concatBytes([whole, new Uint8Array(1)]));
    expect(refusal(() => restore(made)).code).toBe("Corrupt");
    write(made, backupPath, whole);
    expect(restore(made).files).toBe(files);
  });
});

describe("a directory that was rebuilt", () => {
  test("serves reads, and takes no change before a confirmation, which lasts", () => {
    const made = cluster(41, [from]);
    filled(made);
    backup(made);
    stop(made);
    const { position } = restore(made);
    made.start({ dataDirs: [to] });
    // A restart, a checkpoint: it is not forgotten.
    checkpoint(made);
    made.crash({ powerLoss: true });
    made.start({ dataDirs: [to] });
    made.session = undefined;
    expect(made.call(status, {}).stopped.mutations).toContain(`up to entry ${position} of the log`);
    const create = (path: string) => made.call(createFile, { id: made.nextId(), path, mode: "new" });
    expect(refusal(() => create("/new")).code).toBe("MutationsStopped");
    expect(filesOf(made)).toBe(files);
    expect(made.call(safeModeLeave, {})).toHaveProperty("waitedFor");
    const told = made.call(events, { kinds: ["safe-mode.left"], limit: 1, waitMs: 0 }).events;
    expect(told[0]?.text).toContain("over, by an operator's word: changes, repair and deletions wait for");
    expect(made.call(confirm, { id: made.nextId() }).accepted).not.toEqual([]);
    create("/new");
    made.crash({ powerLoss: true });
    made.start({ dataDirs: [to] });
    create("/newer");
    expect(filesOf(made)).toBe(files + 2);
  });

  test("tells, and has confirmed, each later copy of the log that servers keep, and stops again for one that comes after it", () => {
    const made = cluster(48, [from], { limits: { metadataCopies: 0 } });
    const [first, second, third] = [made.addServer(), made.addServer(), made.addServer()];
    addFiles(made, 0, files);
    backup(made);
    stop(made);
    third.machine.crash({ powerLoss: true });
    const { position } = restore(made);
    // Above all that this master logs before it is confirmed.
    const [early, late, last] = [position + 1_000, position + 2_000, position + 3_000];
    first.metadata = { checkpoint: 0, last: early };
    second.metadata = { checkpoint: 0, last: late };
    third.metadata = { checkpoint: 0, last };
    const told: unknown[] = [];
    using _ = made.simulation.onEvent(({ name, fields }) => {
      if (name === "master.behind") told.push(fields?.["reason"]);
    });
    made.start({ dataDirs: [to] });
    made.session = undefined;
    made.simulation.runFor(4 * made.limits.heartbeatMs);
    const { mutations } = made.call(status, {}).stopped;
    expect(mutations).toMatch(
      new RegExp(`^server2 keeps a copy of the log up to entry ${late}, .*; it was rebuilt from `),
    );
    const address = made.call(space, {}).servers.find(({ label }) => label === "server2")?.control;
    expect(mutations).toContain(
      ` (the later one is taken by gfs master restore --force --data-dir DIR --from ${address}); `,
    );
    expect(made.call(status, {}).stopped.deletions).toBe(mutations);
    expect(told.at(-1)).toContain(`up to entry ${late}`);

    const id = made.nextId();
    const { accepted } = made.call(confirm, { id });
    const reasons = accepted.filter((what) => what.startsWith("mutations go on: "));
    expect(reasons).toHaveLength(2);
    expect(reasons[0]).toContain(`server2 keeps a copy of the log up to entry ${late}`);
    expect(reasons[1]).toContain("it was rebuilt from");
    expect(made.call(status, {}).stopped).toEqual({});
    const create = (path: string) => made.call(createFile, { id: made.nextId(), path, mode: "new" });
    create("/new");

    third.machine.restart();
    made.beginServer(third);
    made.simulation.runFor(4 * made.limits.heartbeatMs);
    expect(refusal(() => create("/newer")).message).toContain(`server3 keeps a copy of the log up to entry ${last}`);
    // Asked again under its id, the first confirmation accepts no more than it did.
    expect(made.call(confirm, { id }).accepted).toEqual(accepted);
    expect(refusal(() => create("/newer")).code).toBe("MutationsStopped");
    expect(made.call(confirm, { id: made.nextId() }).accepted).toHaveLength(1);
    create("/newer");
  });

  test("begins above every start that its source knew", () => {
    const made = cluster(42, [from]);
    const before = made.call(status, {}).epoch.number;
    backup(made);
    stop(made);
    const { epoch } = restore(made);
    expect(epoch).toBe(before);
    made.start({ dataDirs: [to] });
    expect(made.call(status, {}).epoch.number).toBe(before + 1);
  });

  test("needs none of the directories that the lost master had beside it", () => {
    const made = cluster(43, [from, "/b"]);
    addFiles(made, 0, files);
    backup(made);
    stop(made);
    restore(made);
    made.start({ dataDirs: [to, "/mirror"] });
    expect(filesOf(made)).toBe(files);
    stop(made);
    made.start({ dataDirs: ["/mirror", to] });
    expect(made.call(status, {}).stopped.mutations).toBeDefined();
  });

  test("is one of the newest source that is whole, and says which were passed over", () => {
    const made = cluster(44, [from]);
    filled(made);
    backup(made, "/older");
    addFiles(made, files, files + 2);
    checkpoint(made);
    addFiles(made, files + 2, files + 6);
    stop(made);
    expect(restore(made, {}, ["/older", from]).source).toContain(from);
    const segments = made.simulation.do(made.machine, ({ disk }) => disk.list(`${from}/operation-log`));
    for (const name of segments.filter((each) => each.endsWith(".segment")))
      made.machine.drive().corrupt(`${from}/operation-log/${name}`, 530);
    const restored = restore(made, { force: true }, ["/older", from]);
    expect(restored.source).toBe("/older");
    expect(restored.passedOver.length).toBeGreaterThan(0);
    expect(restored.movedTo).toBe(`${to}.before-1`);
    made.start({ dataDirs: [to] });
    expect(filesOf(made)).toBe(files);
  });

  test("takes the place of nothing by itself, nor of what a master has open, nor of two clusters", () => {
    const made = cluster(45, [from]);
    filled(made);
    backup(made);
    expect(refusal(() => restore(made, { dataDir: from })).code).toBe("Locked");
    stop(made);
    expect(refusal(() => restore(made, { dataDir: from })).code).toBe("Exists");
    const moved = restore(made, { dataDir: from, force: true });
    expect(moved.movedTo).toBe(`${from}.before-1`);
    const other = cluster(46, [from]);
    const bytes = backup(other);
    write(made, "/other", bytes);
    expect(refusal(() => restore(made, {}, [backupPath, "/other"])).code).toBe("WrongCluster");
    expect(refusal(() => restore(made, {}, ["/nothing"])).code).toBe("NotFound");
  });

  test("is whole or none, whenever the power fails while it is rebuilt", () => {
    let ready = false;
    for (let operations = 1; !ready; operations += 2) {
      const made = cluster(47, [from]);
      filled(made);
      backup(made);
      stop(made);
      const drive = made.machine.drive();
      const mayFail = drive.mayFail.bind(drive);
      let done = 0;
      drive.mayFail = (operation, path) => {
        done++;
        mayFail(operation, path);
      };
      const task = made.machine.run((world) => restoring(world, made, {}, [backupPath]));
      made.simulation.runUntil(() => done >= operations || task.settled, 10_000);
      drive.mayFail = mayFail;
      ready = task.settled;
      made.crash({ powerLoss: true });
      const started = attempt(() => made.start({ dataDirs: [to] }));
      if (started === "refused") {
        // Again, without force.
        made.crash({ powerLoss: false });
        restore(made);
        made.start({ dataDirs: [to] });
      } else if (filesOf(made) === 0) {
        // Nothing was there yet, not even whose it is: a new cluster.
        expect(operations).toBeLessThan(20);
        continue;
      }
      expect(filesOf(made)).toBe(files);
      expect(made.call(status, {}).stopped.mutations).toBeDefined();
    }
  }, 60_000);
});

describe("a master that has started", () => {
  const create = (made: MasterInSim, path: string) =>
    made.call(createFile, { id: made.nextId(), path, mode: "new" }).created;

  test("takes no change before a volume that its log knows has told what it knows", () => {
    const made = cluster(51, [from]);
    const server = made.addServer();
    create(made, "/a");
    made.restart({ powerLoss: true });
    expect(refusal(() => create(made, "/b")).code).toBe("Unavailable");
    // It obeyed a later start: the directory is an old copy, and not one change was taken on it.
    server.highestHandle = 1_000_000;
    made.simulation.runFor(3 * made.limits.heartbeatMs);
    expect(refusal(() => create(made, "/b")).code).toBe("MutationsStopped");
  });

  test("takes changes once one has, or none can come any more; and at once where there never was one", () => {
    const made = cluster(52, [from]);
    create(made, "/a");
    const server = made.addServer();
    made.restart({ powerLoss: true });
    expect(refusal(() => create(made, "/b")).code).toBe("Unavailable");
    made.simulation.runFor(4 * made.limits.heartbeatMs);
    create(made, "/b");
    server.machine.crash({ powerLoss: true });
    made.restart({ powerLoss: true });
    made.simulation.runFor((made.limits.deadHeartbeats - 1) * made.limits.heartbeatMs);
    expect(refusal(() => create(made, "/c")).code).toBe("Unavailable");
    made.simulation.runFor(2 * made.limits.heartbeatMs);
    create(made, "/c");
  });
});

function attempt(run: () => void): "done" | "refused" {
  try {
    run();
    return "done";
  } catch (error) {
    if (hasCode(error, "Usage", "Corrupt")) return "refused";
    throw error;
  }
}
