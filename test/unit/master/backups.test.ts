/** DESIGN §4.1: a backup keeps the log that it still reads, and no longer. */
import { expect, test } from "bun:test";
import { hasCode } from "../../../src/base/errors.ts";
import { backupIdleMs } from "../../../src/master/metadata/backups.ts";
import { backupBegin, backupPiece } from "../../../src/wire/control/metadata.ts";
import { putFile, started } from "./cluster-with-puts.ts";

test("what a client that died in the midst of a backup had pinned is trimmed, though nothing is changed any more", () => {
  const cluster = started(1, 3, { limits: { checkpointRecords: 10 } });
  const segments = (): number =>
    cluster.machine
      .drive()
      .files.filesUnder("/data/operation-log")
      .filter((path) => path.endsWith(".segment")).length;
  const puts = (round: number): void => {
    for (let i = 0; i < 8; i++) {
      for (let j = 0; j < 4; j++) putFile(cluster, `/f${round}-${i}-${j}`);
      cluster.simulation.runFor(1_500);
    }
  };
  puts(1);
  const usual = segments();
  const { backup } = cluster.call(backupBegin, {});
  puts(2);
  expect(segments()).toBeGreaterThan(usual + 2);
  cluster.simulation.runFor(backupIdleMs + 5_000);
  expect(segments()).toBeLessThanOrEqual(usual);
  try {
    cluster.call(backupPiece, { backup, piece: 0 });
    throw new Error("it goes on");
  } catch (error) {
    expect(hasCode(error, "NotFound")).toBe(true);
  }
});
