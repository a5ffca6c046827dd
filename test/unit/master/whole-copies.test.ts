/** Every data directory that the log names is a whole copy: checkpoint and log (DESIGN §4.1). */
import { describe, expect, test } from "bun:test";
import { status } from "../../../src/wire/control/namespace.ts";
import { MasterInSim } from "./master-in-sim.ts";
import {
  a,
  b,
  files,
  cluster,
  addFiles,
  filesOf,
  checkpoint,
  stop,
  filled,
  startCutAfter,
  filesFrom,
  names,
  damage,
  truncate,
  copyTree,
} from "./data-copies.ts";

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

  test("keeps the only whole checkpoint until the others have it, though its log is gone, whenever the power fails", () => {
    let operations = 1;
    for (; operations < 400; operations++) {
      const made = cluster(40, [a, b]);
      filled(made);
      stop(made);
      damage(
        made,
        a,
        names(made, `${a}/checkpoints`).map((_, i) => i),
      );
      made.simulation.do(made.machine, ({ disk }) => disk.removeTree(`${b}/operation-log`));
      if (startCutAfter(made, operations, [a, b], [b]) === "ready") break;
      expect([operations, filesFrom(made, [a, b], [b])]).toEqual([operations, files]);
    }
    expect(operations).toBeGreaterThan(40);
    expect(operations).toBeLessThan(400);
  }, 120_000);

  test("leaves all of it in the others, and in itself all or a refusal, whenever the power fails", () => {
    let operations = 1;
    let refused = 0;
    let diverged = 0;
    let whole = 0;
    for (; operations < 1_000; operations++) {
      const made = cluster(3, [a]);
      filled(made);
      stop(made);
      if (startCutAfter(made, operations, [a, b]) === "ready") break;
      if (operations % 2 === 0) {
        expect(filesFrom(made, [a], [b])).toBe(files);
        stop(made);
        const both = filesFrom(made, [a, b]);
        if (both === undefined) {
          // The power failed when one entry was on one disk only, and the other was told that it is lost: they are two logs from there on.
          expect(() => made.start({ dataDirs: [a, b] })).toThrow(/\/(a|b)\/operation-log has something else/);
          diverged++;
          continue;
        }
        expect(both).toBe(files);
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
        expect(operations).toBeLessThan(45);
      } else {
        whole++;
        expect(alone).toBe(files);
      }
    }
    expect(operations).toBeGreaterThan(50);
    expect(refused).toBeGreaterThan(10);
    expect(diverged).toBeLessThan(5);
    expect(whole).toBeGreaterThan(0);
  }, 120_000);

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
  }, 120_000);

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
