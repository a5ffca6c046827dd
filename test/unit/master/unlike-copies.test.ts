import { describe, expect, test } from "bun:test";
import { mkdir, status } from "../../../src/wire/control/namespace.ts";
import { createFile } from "../../../src/wire/control/files.ts";
import { MasterInSim } from "./master-in-sim.ts";
import {
  a,
  b,
  files,
  cluster,
  addFiles,
  answered,
  checkpoint,
  stop,
  filled,
  filesFrom,
  names,
  copyTree,
} from "./data-copies.ts";

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
