/** A start that is refused changes nothing of what it was refused for: the next one is refused for the same, or goes on as the first would have. */
import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../src/base/checksum.ts";
import type { Disk } from "../../../src/io.ts";
import {
  a,
  addFiles,
  b,
  cluster,
  copyTree,
  damage,
  files,
  filesFrom,
  filled,
  startCutAfter,
  stop,
} from "./data-copies.ts";
import type { MasterInSim } from "./master-in-sim.ts";

async function namesBelow(disk: Disk, path: string): Promise<string[]> {
  const info = await disk.info(path);
  if (info === undefined || path.endsWith("/lock")) return [];
  if (info.kind === "directory") {
    const below: string[] = [];
    for (const name of await disk.list(path)) below.push(...(await namesBelow(disk, `${path}/${name}`)));
    return [`${path}/`, ...below];
  }
  const file = await disk.open(path, "read");
  const bytes = new Uint8Array(await file.size());
  await file.read(bytes, 0);
  await file.close();
  return [`${path} ${bytes.length} ${crc32(bytes)}`];
}

/** Every file of the data directories but the locks, with its content. */
function contents(made: MasterInSim): string[] {
  return made.simulation.do(made.machine, async ({ disk }) => [
    ...(await namesBelow(disk, a)),
    ...(await namesBelow(disk, b)),
  ]);
}

function refusal(made: MasterInSim, dataDirs: readonly string[]): string {
  try {
    made.start({ dataDirs });
  } catch (error) {
    return error instanceof Error ? error.message : "no error";
  }
  return "started";
}

const orders = [
  [a, b],
  [b, a],
];

describe("a start that is refused", () => {
  test("since a mirror is empty leaves all as it was, and is refused for the same again", () => {
    for (const dataDirs of orders) {
      const made = cluster(30, [a, b]);
      filled(made);
      stop(made);
      // Something to tell, which is kept in a directory otherwise.
      damage(made, a, [-1]);
      made.simulation.do(made.machine, async ({ disk }) => {
        await disk.removeTree(b);
        await disk.makeDirectory(b);
      });
      const told: string[] = [];
      made.simulation.onEvent(({ name }) => told.push(name));
      const before = contents(made);
      const first = refusal(made, dataDirs);
      expect(first).toContain(`${b}, which is empty now, and was in use;`);
      expect(contents(made)).toEqual(before);
      expect(told).toContain("checkpoint.corrupt");
      expect(told).not.toContain("log.restored");
      expect(refusal(made, dataDirs)).toBe(first);
      expect(filesFrom(made, dataDirs, [b])).toBe(files);
    }
  });

  test("since a mirror has lost its log leaves all as it was", () => {
    for (const dataDirs of orders) {
      const made = cluster(31, [a, b]);
      filled(made);
      stop(made);
      made.simulation.do(made.machine, ({ disk }) => disk.removeTree(`${b}/operation-log`));
      const before = contents(made);
      const first = refusal(made, dataDirs);
      expect(first).toContain(`--lost-data-dir ${b}`);
      expect(contents(made)).toEqual(before);
      expect(refusal(made, dataDirs)).toBe(first);
    }
  });

  test("since a mirror is a copy of the other leaves both their ids", () => {
    for (const dataDirs of orders) {
      const made = cluster(32, [a, b]);
      filled(made);
      stop(made);
      copyTree(made, b, "/mounted");
      copyTree(made, a, b);
      const before = contents(made);
      const first = refusal(made, dataDirs);
      expect(first).toContain("--lost-data-dir");
      expect(contents(made)).toEqual(before);
      copyTree(made, "/mounted", b);
      expect(filesFrom(made, dataDirs)).toBe(files);
    }
  });

  test("since its port is in use has made a directory that the next start goes on with", () => {
    const made = cluster(34, [a]);
    const second = made.begins({ dataDirs: [b] });
    expect(() => made.simulation.complete(second)).toThrow("in use");
    stop(made);
    made.start({ dataDirs: [b] });
    addFiles(made, 0, 1);
    stop(made);
    expect(filesFrom(made, [b])).toBe(1);
    stop(made);
    // The other one is as it was.
    expect(filesFrom(made, [a])).toBe(0);
  });
});

describe("a lost mirror that is filled", () => {
  test("is filled by the next start, whenever the power fails, and no start believes it without the word of an operator", () => {
    let operations = 1;
    let refused = 0;
    for (; operations < 1_000; operations++) {
      const made = cluster(33, [a, b]);
      filled(made);
      stop(made);
      made.simulation.do(made.machine, ({ disk }) => disk.removeTree(b));
      const dataDirs = orders[operations % 2] ?? [];
      if (startCutAfter(made, operations, dataDirs, [b]) === "ready") break;
      // Without the flag: refused until the log names the new one, and then whole.
      const again = refusal(made, dataDirs);
      if (again === "started") stop(made);
      else {
        refused++;
        expect(again).toContain(`--lost-data-dir ${b}`);
      }
      expect(filesFrom(made, dataDirs, [b])).toBe(files);
      stop(made);
      expect(filesFrom(made, [b], [a])).toBe(files);
    }
    expect(operations).toBeGreaterThan(50);
    expect(refused).toBeGreaterThan(30);
  }, 120_000);
});
