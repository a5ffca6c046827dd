/** DESIGN §4.7: files that were put, appended to in small and at large, and copied in part, come back as they were. */
import { describe, expect, test } from "bun:test";
import type { FoundChunk } from "../../../../src/master/core/salvage-chunks.ts";
import { planSalvage, type SalvagedFile } from "../../../../src/master/core/salvage-plan.ts";
import { drawer, type Life, lifeOf } from "./salvage-life.ts";

function salvaged(chunks: readonly FoundChunk[]): SalvagedFile[] {
  const files = planSalvage(
    chunks.toSorted((a, b) => ((a.handle * 7_919) % 31) - ((b.handle * 7_919) % 31)),
    (path) => path !== "",
  );
  const used = files.flatMap(({ run }) => run.chunks.map(({ handle }) => handle));
  expect(used.toSorted((a, b) => a - b)).toEqual(chunks.map(({ handle }) => handle));
  return files;
}

const handlesOf = ({ run }: SalvagedFile): number[] => run.chunks.map(({ handle }) => handle);
const saysSo = ({ why }: SalvagedFile): boolean => why.includes("not certain");

function fileOf(files: readonly SalvagedFile[], { file }: Life): SalvagedFile {
  const found = files.find((each) => handlesOf(each).includes(file[0] ?? 0));
  if (found === undefined) throw new Error("it is nowhere");
  return found;
}

/** What is called the file, without a doubt, is it: but for its last chunks, which nobody misses, and an append at its end that was never finished. */
function expectTrue(seed: number, files: readonly SalvagedFile[], { file, unfinished, isOpen }: Life): void {
  for (const each of files) {
    const found = handlesOf(each);
    if (each.state !== "whole" || saysSo(each) || !found.some((handle) => file.includes(handle))) continue;
    let count = found.length;
    const isEnd = (handle: number | undefined): boolean => handle !== undefined && unfinished.includes(handle);
    while (isEnd(found[count - 1])) count--;
    expect([seed, ...found.slice(0, count)]).toEqual([seed, ...file.slice(0, count)]);
    if (isOpen && count === file.length) expect([seed, found.length]).toEqual([seed, count]);
  }
}

describe("a file out of chunks", () => {
  test("is whole, whatever it was made of", () => {
    for (let seed = 1; seed <= 3_000; seed++) {
      const life = lifeOf({ seed });
      if (life.file.length === 0) continue;
      const files = salvaged(life.chunks);
      const found = fileOf(files, life);
      expect([seed, found.state, saysSo(found), ...handlesOf(found)]).toEqual([seed, "whole", false, ...life.file]);
      expect(files.filter(({ state }) => state === "piece")).toEqual([]);
    }
  });

  test("with large appends at the same time is whole, or says that it is not sure, or is in pieces", () => {
    const counts = { sure: 0, unsure: 0, pieces: 0 };
    for (let seed = 1; seed <= 5_000; seed++) {
      const life = lifeOf({ seed, mayOverlap: true });
      if (!life.beside) continue;
      const files = salvaged(life.chunks);
      const found = fileOf(files, life);
      if (found.state === "piece" || files.some(({ state }) => state === "piece")) counts.pieces++;
      else if (saysSo(found)) counts.unsure++;
      else {
        counts.sure++;
        expect([seed, ...handlesOf(found)]).toEqual([seed, ...life.file]);
      }
    }
    expect(Math.min(counts.sure, counts.unsure)).toBeGreaterThan(50);
    expect(counts.pieces).toBeLessThan(counts.sure + counts.unsure);
  });

  test("is whole though large appends to it were never finished, and says where it is not sure", () => {
    let sure = 0;
    for (const unfinished of ["all", "cut"] as const)
      for (let seed = 1; seed <= 5_000; seed++) {
        const life = lifeOf({ seed, unfinished });
        if (life.file.length === 0 || life.unfinished.length === 0) continue;
        const files = salvaged(life.chunks);
        const found = fileOf(files, life);
        expect([unfinished, seed, found.state]).toEqual([unfinished, seed, "whole"]);
        // Nothing of it is elsewhere.
        const handles = handlesOf(found).filter((handle) => !life.unfinished.includes(handle));
        if (!saysSo(found)) expect([seed, ...handles]).toEqual([seed, ...life.file]);
        expectTrue(seed, files, life);
        if (!saysSo(found)) sure++;
      }
    expect(sure).toBeGreaterThan(1_000);
  });

  test("of which chunks are lost is no whole file of another order or content, unless it says so", () => {
    for (let seed = 1; seed <= 10_000; seed++) {
      const life = lifeOf({ seed, unfinished: (["none", "all"] as const)[seed % 2]! });
      const draw = drawer(seed + 1_000_000);
      const left = life.chunks.filter(({ handle }) => !life.file.includes(handle) || draw(6) > 0);
      expectTrue(seed, salvaged(left), life);
    }
  });

  test("of tens of thousands of chunks is put together as one of a few: work does not grow with their square", () => {
    const count = 20_000;
    const some = (version: (i: number) => number): FoundChunk[] =>
      Array.from({ length: count }, (_, i) => ({
        handle: i + 1,
        version: version(i),
        length: 100,
        crc: i,
        sealed: true,
        members: [0],
        inode: 8,
        path: "/a",
        paths: ["/a"],
        putAt: undefined,
        fileOffset: 100 * i,
      }));
    for (const version of [() => 1, (i: number) => 1 + (i % 2), (i: number) => (i === count - 1 ? 2 : 1)]) {
      const files = planSalvage(some(version), (path) => path !== "");
      expect(files.map(({ path, state, run }) => [path, state, run.chunks.length])).toEqual([["/a", "whole", count]]);
    }
  });
});
