/** Every data directory that the log names is a whole copy: checkpoint and log (DESIGN §4.1). */
import { describe, expect, test } from "bun:test";
import { GfsError } from "../../../src/base/errors.ts";
import { mkdir, status } from "../../../src/wire/control/namespace.ts";
import { createFile } from "../../../src/wire/control/files.ts";
import { MasterInSim } from "./master-in-sim.ts";

const a = "/a";
const b = "/b";
const files = 5;

function cluster(
  seed: number,
  dataDirs: readonly string[],
  changes: ConstructorParameters<typeof MasterInSim>[1] = {},
) {
  const made = new MasterInSim(seed, { dataDirs, ...changes });
  made.start();
  return made;
}

function addFiles(made: MasterInSim, from: number, to: number): void {
  for (let i = from; i < to; i++) made.call(createFile, { id: made.nextId(), path: `/f${i}`, mode: "new" });
}

/** An id of a session whose earlier answers have all arrived. */
function answered(made: MasterInSim): ReturnType<MasterInSim["nextId"]> {
  const id = made.nextId();
  return { ...id, floor: id.sequence };
}

const filesOf = (made: MasterInSim): number => made.call(status, {}).files;

function checkpoint(made: MasterInSim): void {
  const { master } = made;
  made.simulation.do(made.machine, async () => master?.checkpoint());
}

function stop(made: MasterInSim): void {
  const { master } = made;
  made.simulation.do(made.machine, async () => master?.stop());
  made.crash({ powerLoss: false });
}

/** Files, two checkpoints among them, and some more: none of the log's first segments is left. */
function filled(made: MasterInSim): void {
  for (const round of [0, 1]) {
    addFiles(made, round * 2, round * 2 + 2);
    checkpoint(made);
  }
  addFiles(made, 4, files);
}

/** Starts, and loses power after so many disk operations; how many there were, if it was ready before. */
function startCutAfter(made: MasterInSim, operations: number, dataDirs: readonly string[]): "cut" | "ready" {
  const drive = made.machine.drive();
  const mayFail = drive.mayFail.bind(drive);
  let done = 0;
  drive.mayFail = (operation, path) => {
    done++;
    mayFail(operation, path);
  };
  const starting = made.begins({ dataDirs });
  made.simulation.runUntil(() => done >= operations || starting.settled, 10_000);
  drive.mayFail = mayFail;
  if (starting.settled) return "ready";
  made.crash({ powerLoss: true });
  return "cut";
}

/** Undefined: refused to start. */
function filesFrom(made: MasterInSim, dataDirs: readonly string[], lostDataDirs: readonly string[] = []) {
  try {
    made.start({ dataDirs, lostDataDirs });
  } catch (error) {
    if (!(error instanceof GfsError)) throw error;
    expect(["Usage", "Corrupt"]).toContain(error.code);
    return undefined;
  }
  return filesOf(made);
}

const names = (made: MasterInSim, path: string): string[] =>
  made.simulation.do(made.machine, ({ disk }) => disk.list(path));

function damage(made: MasterInSim, directory: string, which: readonly number[]): void {
  const found = names(made, `${directory}/checkpoints`);
  for (const index of which) made.machine.drive().corrupt(`${directory}/checkpoints/${found.at(index) ?? ""}`, 300);
}

function truncate(made: MasterInSim, path: string, bytes: number): void {
  made.simulation.do(made.machine, async ({ disk }) => {
    const file = await disk.open(path, "write");
    await file.truncate(bytes);
    await file.sync();
    await file.close();
  });
}

function copyTree(made: MasterInSim, from: string, to: string): void {
  made.simulation.do(made.machine, async ({ disk }) => {
    const copy = async (source: string, target: string): Promise<void> => {
      if ((await disk.info(source))?.kind === "directory") {
        await disk.makeDirectory(target);
        for (const name of await disk.list(source)) await copy(`${source}/${name}`, `${target}/${name}`);
        return;
      }
      const read = await disk.open(source, "read");
      const bytes = new Uint8Array(await read.size());
      await read.read(bytes, 0);
      await read.close();
      const written = await disk.open(target, "write");
      await written.truncate(0);
      await written.write([bytes], 0);
      await written.sync();
      await written.close();
    };
    await disk.removeTree(to);
    await copy(from, to);
  });
}

describe("a data directory that joins", () => {
  test("is a whole copy before the log names it", () => {
    const made = cluster(1, [a]);
    filled(made);
    stop(made);
    made.start({ dataDirs: [a, b] });
    stop(made);
    expect(filesFrom(made, [b], [a])).toBe(files);
  });

  test("in place of a lost one is filled from the other, also where that was named second", () => {
    const made = cluster(2, [a, b]);
    filled(made);
    stop(made);
    made.simulation.do(made.machine, ({ disk }) => disk.removeTree(a));
    // A disk that is not mounted looks just like a new one.
    expect(() => made.start({ dataDirs: [a, b] })).toThrow(/also written to \/a.*--lost-data-dir \/a/);
    made.start({ dataDirs: [a, b], lostDataDirs: [a] });
    expect(filesOf(made)).toBe(files);
    stop(made);
    expect(filesFrom(made, [a], [b])).toBe(files);
  });

  test("leaves all of it in the others, and in itself all or a refusal, whenever the power fails", () => {
    let operations = 1;
    let refused = 0;
    let whole = 0;
    for (; operations < 1_000; operations++) {
      const made = cluster(3, [a]);
      filled(made);
      stop(made);
      if (startCutAfter(made, operations, [a, b]) === "ready") break;
      if (operations % 2 === 0) {
        expect(filesFrom(made, [a], [b])).toBe(files);
        stop(made);
        expect(filesFrom(made, [a, b])).toBe(files);
        made.crash({ powerLoss: true });
        expect(filesFrom(made, [b], [a])).toBe(files);
        continue;
      }
      const alone = filesFrom(made, [b], [a]);
      if (alone === undefined) {
        refused++;
        made.crash({ powerLoss: false });
        expect(filesFrom(made, [b, a])).toBe(files);
      } else if (alone === 0) {
        // Nothing was there yet, not even whose it is: a new cluster.
        expect(operations).toBeLessThan(20);
      } else {
        whole++;
        expect(alone).toBe(files);
      }
    }
    expect(operations).toBeGreaterThan(50);
    expect(refused).toBeGreaterThan(10);
    expect(whole).toBeGreaterThan(0);
  }, 30_000);

  test("to a cluster whose first start was cut short makes one of its own, of both or of either", () => {
    for (let operations = 1; operations < 1_000; operations++) {
      const made = new MasterInSim(4, { dataDirs: [a, b] });
      if (startCutAfter(made, operations, [a, b]) === "ready") break;
      expect(filesFrom(made, [a, b])).toBe(0);
      addFiles(made, 0, 1);
      made.crash({ powerLoss: true });
      expect(filesFrom(made, [operations % 2 === 0 ? a : b], [operations % 2 === 0 ? b : a])).toBe(1);
    }
  });
});

describe("a data directory whose checkpoint is damaged", () => {
  test.each([
    ["the newest", [-1]],
    ["both", [-1, -2]],
  ])("gets it back from the other: %s", (_, which) => {
    const made = cluster(5, [a, b]);
    filled(made);
    stop(made);
    damage(made, b, which);
    expect(filesFrom(made, [a, b])).toBe(files);
    stop(made);
    expect(filesFrom(made, [b], [a])).toBe(files);
  });

  test("stays as good as it was, whenever the power fails", () => {
    let operations = 1;
    for (; operations < 1_000; operations += 2) {
      const both = operations % 3 === 0;
      const made = cluster(6, [a, b]);
      filled(made);
      stop(made);
      damage(made, b, both ? [-1, -2] : [-1]);
      if (startCutAfter(made, operations, [b, a]) === "ready") break;
      const alone = filesFrom(made, [b], [a]);
      // With one that is whole it can start by itself throughout.
      if (both && alone === undefined) expect(filesFrom(made, [a, b])).toBe(files);
      else expect(alone).toBe(files);
    }
    expect(operations).toBeGreaterThan(50);
  }, 30_000);

  test("starts from the older one when the newest is torn, at every length", () => {
    for (const share of [0, 0.2, 0.5, 0.9, 0.999]) {
      const made = cluster(7, [a]);
      filled(made);
      stop(made);
      const newest = `${a}/checkpoints/${names(made, `${a}/checkpoints`).at(-1) ?? ""}`;
      const bytes = made.simulation.do(made.machine, ({ disk }) => disk.info(newest))?.bytes ?? 0;
      truncate(made, newest, Math.floor(bytes * share));
      expect(filesFrom(made, [a])).toBe(files);
      // The torn one no longer stands for a way back: the next two checkpoints leave the older one and the log until they are there.
      checkpoint(made);
      const kept = names(made, `${a}/checkpoints`);
      expect(kept).toHaveLength(2);
      stop(made);
      damage(made, a, [-1]);
      expect(filesFrom(made, [a])).toBe(files);
    }
  });

  test("is refused alone when no checkpoint is left and the log was trimmed", () => {
    const made = cluster(8, [a]);
    filled(made);
    stop(made);
    damage(made, a, [-1, -2]);
    expect(() => made.start()).toThrow(/entries 1 to \d+ are missing/);
  });

  test("a checkpoint that is newer than the log is refused", () => {
    const made = cluster(9, [a]);
    copyTree(made, `${a}/operation-log`, "/backup");
    filled(made);
    stop(made);
    copyTree(made, "/backup", `${a}/operation-log`);
    expect(() => made.start()).toThrow(/ends at entry \d+, and the checkpoint has \d+/);
  });

  test("a directory in use without any log is no new cluster", () => {
    const made = cluster(10, [a]);
    addFiles(made, 0, 3);
    stop(made);
    made.simulation.do(made.machine, ({ disk }) => disk.removeTree(`${a}/operation-log`));
    expect(() => made.start()).toThrow("Cannot open /a/operation-log");
  });
});

describe("a checkpoint that can't be written", () => {
  const warnings = (made: MasterInSim): string => made.call(status, {}).warnings.join();

  test("to one directory is told by status, and made up for", () => {
    const made = cluster(20, [a, b]);
    addFiles(made, 0, 2);
    made.machine.drive().fail({ operation: "write", pathPrefix: `${b}/checkpoints`, times: 1 });
    expect(() => checkpoint(made)).toThrow("Cannot write a checkpoint");
    expect(warnings(made)).toContain("checkpoints fail");
    addFiles(made, 2, 4);
    checkpoint(made);
    expect(warnings(made)).not.toContain("checkpoints fail");
    stop(made);
    expect(filesFrom(made, [b], [a])).toBe(4);
  });

  test("from a log that was damaged since is written from the other directory's", () => {
    const made = cluster(21, [a, b]);
    addFiles(made, 0, 2);
    made.machine.drive().corrupt(`${a}/operation-log/0000000000000001.segment`, 600);
    checkpoint(made);
    addFiles(made, 2, 4);
    stop(made);
    expect(filesFrom(made, [a], [b])).toBe(4);
  });
});

describe("copies that are not alike", () => {
  test("one that lags behind the other's checkpoint is brought up to date", () => {
    const made = cluster(11, [a, b]);
    addFiles(made, 0, 2);
    made.machine.drive().fail({ operation: "sync", pathPrefix: `${b}/operation-log`, times: 1 });
    for (let i = 2; i < 8; i += 2) {
      addFiles(made, i, i + 2);
      checkpoint(made);
    }
    stop(made);
    expect(() => made.start({ dataDirs: [b] })).toThrow("Cannot start on /b alone");
    expect(filesFrom(made, [b, a])).toBe(8);
    stop(made);
    expect(filesFrom(made, [b], [a])).toBe(8);
  });

  test("one whose log is gone is filled, but not believed to have held nothing", () => {
    const made = cluster(18, [a, b]);
    filled(made);
    stop(made);
    made.simulation.do(made.machine, ({ disk }) => disk.removeTree(`${b}/operation-log`));
    expect(() => made.start()).toThrow("--lost-data-dir /b");
    expect(filesFrom(made, [a, b], [b])).toBe(files);
    stop(made);
    expect(filesFrom(made, [b], [a])).toBe(files);
  });

  test("one that went on alone is refused beside the other, also once the log in common is gone", () => {
    for (const checkpoints of [0, 1, 3]) {
      const made = cluster(12, [a, b]);
      addFiles(made, 0, 2);
      stop(made);
      made.start({ dataDirs: [b], lostDataDirs: [a] });
      addFiles(made, 2, 3);
      stop(made);
      made.start({ dataDirs: [a], lostDataDirs: [b] });
      for (let i = 0; i < Math.max(1, checkpoints); i++) {
        addFiles(made, 10 + i * 3, 13 + i * 3);
        if (checkpoints > 0) checkpoint(made);
      }
      stop(made);
      for (const dataDirs of [
        [a, b],
        [b, a],
      ])
        expect(() => made.start({ dataDirs })).toThrow(/something else|went on without/);
      // Nothing was changed: each is still what it was.
      expect(filesFrom(made, [b])).toBe(3);
      stop(made);
      expect(filesFrom(made, [a])).toBe(2 + 3 * Math.max(1, checkpoints));
    }
  });

  test("one that was copied back from an older epoch is brought up to date, and refused alone", () => {
    for (const checkpoints of [0, 3]) {
      const made = cluster(13, [a, b]);
      addFiles(made, 0, 2);
      stop(made);
      copyTree(made, a, "/backup");
      for (let i = 2; i < 8; i += 2) {
        made.start();
        addFiles(made, i, i + 2);
        if (checkpoints > 0) checkpoint(made);
        stop(made);
      }
      copyTree(made, "/backup", a);
      expect(() => made.start({ dataDirs: [a] })).toThrow("Cannot start on /a alone");
      expect(filesFrom(made, [a, b])).toBe(8);
      stop(made);
      expect(filesFrom(made, [a], [b])).toBe(8);
    }
  });

  test("a log that was trimmed in one only is trimmed in the other too, later", () => {
    for (const dataDirs of [
      [a, b],
      [b, a],
    ]) {
      const made = cluster(14, [a, b]);
      addFiles(made, 0, 2);
      checkpoint(made);
      addFiles(made, 2, 4);
      checkpoint(made);
      copyTree(made, `${b}/operation-log`, "/untrimmed");
      addFiles(made, 4, 6);
      checkpoint(made);
      stop(made);
      const before = names(made, "/untrimmed").filter((name) => name.endsWith(".segment"));
      const now = names(made, `${b}/operation-log`);
      const trimmed = before.filter((name) => !now.includes(name));
      expect(trimmed.length).toBeGreaterThan(0);
      for (const name of trimmed) copyTree(made, `/untrimmed/${name}`, `${b}/operation-log/${name}`);
      expect(filesFrom(made, dataDirs)).toBe(6);
      addFiles(made, 6, 8);
      checkpoint(made);
      expect(names(made, `${b}/operation-log`).filter((name) => trimmed.includes(name))).toEqual([]);
      stop(made);
      expect(filesFrom(made, [b], [a])).toBe(8);
    }
  });

  test("a damaged one is not passed over for one that may hold less", () => {
    const made = cluster(15, [a, b]);
    addFiles(made, 0, 2);
    stop(made);
    copyTree(made, b, "/backup");
    made.start();
    addFiles(made, 2, files);
    stop(made);
    copyTree(made, "/backup", b);
    // The header of the only segment: what it holds can't be read any more, but it holds more than the other.
    made.machine.drive().corrupt(`${a}/operation-log/0000000000000001.segment`, 30);
    expect(() => made.start()).toThrow("header's checksum is wrong");
  });
});

describe("a data directory that is full", () => {
  test("is left out, named in the log, and the master serves on with a warning", () => {
    const made = new MasterInSim(16, { dataDirs: [a, b], limits: { checkpointRecords: 100_000 } });
    const full = made.machine.mount(b);
    made.start();
    made.call(mkdir, { id: made.nextId(), path: "/d", parents: false });
    full.files.capacityBytes = 0;
    const warningsOf = (): string => made.call(status, {}).warnings.join();
    let count = 0;
    for (; count < 3_000 && !warningsOf().includes(`data directory ${b} failed`); count++)
      made.call(createFile, { id: answered(made), path: `/d/${String(count).padStart(200, "x")}`, mode: "new" });
    expect(count).toBeGreaterThan(10);
    expect(warningsOf()).toContain(`data directory ${b} failed`);
    const { dataDirs } = made.call(status, {});
    expect(dataDirs.map(({ state }) => state)).toEqual(["in use", "failed: not written to any more"]);
    addFiles(made, 0, 2);
    stop(made);
    expect(() => made.start({ dataDirs: [b] })).toThrow("Cannot start on /b alone");
    expect(filesFrom(made, [a])).toBe(count + 2);
    stop(made);
    full.files.capacityBytes = Number.POSITIVE_INFINITY;
    expect(filesFrom(made, [a, b])).toBe(count + 2);
    stop(made);
    expect(filesFrom(made, [b], [a])).toBe(count + 2);
  });

  test("when it joins is not named, and the others are as they were", () => {
    const made = cluster(17, [a]);
    const full = made.machine.mount(b, 100);
    filled(made);
    stop(made);
    expect(() => made.start({ dataDirs: [a, b] })).toThrow(/no space/);
    expect(filesFrom(made, [a])).toBe(files);
    stop(made);
    full.files.capacityBytes = Number.POSITIVE_INFINITY;
    expect(filesFrom(made, [a, b])).toBe(files);
  });
});
