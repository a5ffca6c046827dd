/** DESIGN §4.7: files that were put, appended to in small and at large, and copied in part, come back as they were. */
import { describe, expect, test } from "bun:test";
import type { FoundChunk } from "../../../../src/master/core/salvage-chunks.ts";
import { planSalvage, type SalvagedFile } from "../../../../src/master/core/salvage-plan.ts";

const chunkBytes = 100;
const inode = 8;

interface Told {
  readonly chunks: FoundChunk[];
  /** Handles of the file, in order. */
  readonly file: number[];
  /** A large append began before the one that lies before it had ended. */
  readonly beside: boolean;
}

/** What became of a file. */
function lifeOf(seed: number, mayOverlap: boolean): Told {
  let state = seed;
  const draw = (max: number): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state % max;
  };
  const chunks: FoundChunk[] = [];
  const file: number[] = [];
  let handle = 0;
  const add = (fileOffset: number, changes: Partial<FoundChunk>): void => {
    handle++;
    const base = {
      handle,
      version: 1,
      length: chunkBytes,
      crc: handle,
      sealed: true,
      members: [0],
      inode: 0,
      path: "/a",
      fileOffset,
    };
    chunks.push({ ...base, ...changes });
  };
  const lengthsOf = (count: number): number[] =>
    Array.from({ length: count }, (_, i) => (i === count - 1 ? 1 + draw(chunkBytes) : chunkBytes));
  const putAnother = (): void => {
    let at = 0;
    for (const length of lengthsOf(1 + draw(3))) {
      add(at, { length });
      at += length;
    }
  };
  for (let puts = draw(3); puts > 0; puts--) putAnother();
  let bytes = 0;
  for (const length of lengthsOf(draw(5))) {
    add(bytes, { length, inode: draw(2) * inode });
    file.push(handle);
    bytes += length;
  }
  let before = bytes;
  let beside = false;
  for (let operations = draw(6); operations > 0; operations--) {
    const begun = mayOverlap && draw(3) === 0 && before < bytes ? before : bytes;
    beside ||= begun < bytes;
    before = bytes;
    if (begun === bytes && draw(2) === 0) {
      const length = 1 + draw(chunkBytes);
      add(bytes, { length, inode, version: 2 });
      file.push(handle);
      bytes += length;
      continue;
    }
    const shift = bytes - begun;
    for (const length of lengthsOf(1 + draw(3))) {
      // A copy knows where it came to lie.
      add(draw(3) === 0 ? bytes : bytes - shift, { length, inode });
      file.push(handle);
      bytes += length;
    }
  }
  if (draw(2) === 0) putAnother();
  return { chunks, file, beside };
}

function salvaged({ chunks }: Told): SalvagedFile[] {
  const files = planSalvage(
    chunks.toSorted((a, b) => ((a.handle * 7_919) % 31) - ((b.handle * 7_919) % 31)),
    (path) => path !== "",
  );
  const used = files.flatMap(({ run }) => run.chunks.map(({ handle }) => handle));
  expect(used.toSorted((a, b) => a - b)).toEqual(chunks.map(({ handle }) => handle));
  return files;
}

const handlesOf = ({ run }: SalvagedFile): number[] => run.chunks.map(({ handle }) => handle);

describe("a file out of chunks", () => {
  test("is whole, whatever it was made of", () => {
    for (let seed = 1; seed <= 3_000; seed++) {
      const told = lifeOf(seed, false);
      if (told.file.length === 0) continue;
      const files = salvaged(told);
      const found = files.find((file) => handlesOf(file).includes(told.file[0] ?? 0));
      expect([seed, found?.state, found?.why.includes("not certain"), ...handlesOf(found!)]).toEqual([
        seed,
        "whole",
        false,
        ...told.file,
      ]);
      expect(files.filter(({ state }) => state === "piece")).toEqual([]);
    }
  });

  test("with large appends at the same time is whole, or says that it is not sure, or is in pieces", () => {
    const counts = { sure: 0, unsure: 0, pieces: 0 };
    for (let seed = 1; seed <= 5_000; seed++) {
      const told = lifeOf(seed, true);
      if (!told.beside) continue;
      const files = salvaged(told);
      const found = files.find((file) => handlesOf(file).includes(told.file[0] ?? 0));
      if (found?.state === "piece" || files.some(({ state }) => state === "piece")) counts.pieces++;
      else if (found?.why.includes("not certain") === true) counts.unsure++;
      else {
        counts.sure++;
        expect([seed, ...handlesOf(found!)]).toEqual([seed, ...told.file]);
      }
    }
    expect(Math.min(counts.sure, counts.unsure)).toBeGreaterThan(50);
    expect(counts.pieces).toBeLessThan(counts.sure + counts.unsure);
  });
});
