/** DESIGN §4.7: files out of chunks alone, nothing invented. */
import { describe, expect, test } from "bun:test";
import { type FoundChunk, type FoundReplica, gatherChunks } from "../../../../src/master/core/salvage-chunks.ts";
import { planSalvage } from "../../../../src/master/core/salvage-plan.ts";

const chunk = (handle: number, path: string, fileOffset: number, changes: Partial<FoundChunk> = {}): FoundChunk => ({
  handle,
  version: 1,
  length: 100,
  crc: handle,
  sealed: true,
  members: [0],
  inode: 0,
  path,
  paths: [path],
  putAt: undefined,
  fileOffset,
  ...changes,
});

/** `path: handles`, and a mark for what is no whole file. */
function planned(chunks: readonly FoundChunk[]): string[] {
  return planSalvage(chunks, (path) => path.startsWith("/") && path.length > 1).map(
    ({ path, run, state }) =>
      `${state === "piece" ? "! " : ""}${path}: ${run.chunks.map(({ handle }) => handle).join(" ")}`,
  );
}

const replica = (volume: number, handle: number, changes: Partial<FoundReplica> = {}): FoundReplica => ({
  volume,
  handle,
  version: 1,
  promised: 1,
  length: 100,
  crc: 7,
  sealed: true,
  origin: { inode: 1, path: "/f", fileOffset: 0 },
  ...changes,
});

describe("chunks out of what volumes have", () => {
  test("the highest sealed version rules, and those that have it are its members", () => {
    const { chunks, problems } = gatherChunks([
      replica(0, 5, { version: 2, promised: 2 }),
      replica(1, 5, { version: 1, promised: 2, sealed: false }),
      replica(2, 5, { version: 2, promised: 3 }),
      replica(0, 3),
    ]);
    expect(chunks.map(({ handle, version, members, sealed }) => [handle, version, members, sealed])).toEqual([
      [3, 1, [0], true],
      [5, 2, [0, 2], true],
    ]);
    expect(problems).toEqual([]);
  });

  test("of two contents at one version the one that most have is taken, and it is told", () => {
    const { chunks, problems } = gatherChunks([replica(0, 5, { crc: 1 }), replica(1, 5), replica(2, 5)]);
    expect(chunks[0]?.members).toEqual([1, 2]);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("chunk 5 has 2 contents at version 1");
  });

  test("one that nobody sealed is open, at the highest promise", () => {
    const open = { sealed: false, version: 1 };
    const { chunks } = gatherChunks([
      replica(0, 5, { ...open, promised: 4, length: 10 }),
      replica(1, 5, { ...open, length: 30 }),
    ]);
    expect(chunks[0]).toMatchObject({ sealed: false, version: 4, length: 30, members: [0, 1] });
  });

  test("the origin that knows most is taken", () => {
    const { chunks } = gatherChunks([
      replica(0, 5, { origin: undefined }),
      replica(1, 5, { origin: { inode: 1, path: "/old", fileOffset: 3 } }),
      replica(2, 5, { origin: { inode: 9, path: "/new", fileOffset: 3 } }),
    ]);
    expect(chunks[0]).toMatchObject({ inode: 9, path: "/new", fileOffset: 3 });
  });

  test("of several inodes the highest counts, which a salvage gave; of one, all paths are known, and where it was put", () => {
    const origin = { inode: 9, path: "/a", fileOffset: 100 };
    const { chunks } = gatherChunks([
      replica(0, 5, { origin: { ...origin, inode: 12, fileOffset: 0 } }),
      replica(1, 5, { origin }),
      replica(0, 6, { origin }),
      replica(1, 6, { origin: { ...origin, inode: 1, path: "/a.tmp" } }),
      // A first append that was not the first.
      replica(0, 7, { origin }),
      replica(1, 7, { origin: { inode: 1, path: "/a", fileOffset: 0 } }),
    ]);
    expect(chunks.map(({ inode, fileOffset, path, paths, putAt }) => [inode, fileOffset, path, paths, putAt])).toEqual([
      [12, 0, "/a", ["/a"], undefined],
      [9, 100, "/a", ["/a", "/a.tmp"], "/a.tmp"],
      [9, 100, "/a", ["/a"], undefined],
    ]);
  });

  test("a copy of a large append knows where it came to lie", () => {
    const origin = { inode: 9, path: "/a", fileOffset: 100 };
    const { chunks } = gatherChunks([
      replica(0, 5, { origin }),
      replica(1, 5, { origin: { ...origin, fileOffset: 170 } }),
      replica(2, 5, { origin }),
    ]);
    expect(chunks[0]).toMatchObject({ inode: 9, fileOffset: 170 });
  });
});

describe("files out of chunks", () => {
  test("what was put comes back under its path", () => {
    expect(planned([chunk(1, "/a", 0), chunk(2, "/a", 100), chunk(3, "/b/c", 0)]).sort()).toEqual([
      "/a: 1 2",
      "/b/c: 3",
    ]);
  });

  test("what was replaced comes back beside what replaced it, and they are not mixed", () => {
    const chunks = [
      chunk(1, "/a", 0),
      chunk(2, "/a", 100),
      chunk(3, "/a", 200),
      // Again.
      chunk(7, "/a", 0),
      chunk(8, "/a", 100),
      // And again.
      chunk(11, "/a", 0),
    ];
    expect(planned(chunks)).toEqual(["/a: 11", "/a.salvaged-1: 7 8", "/a.salvaged-2: 1 2 3"]);
    // The beginning of the second is gone: its rest is of nobody else.
    expect(planned(chunks.filter(({ handle }) => handle !== 7))).toEqual([
      "/a: 11",
      "! /lost+found/a.from-100: 8",
      "/a.salvaged-1: 1 2 3",
    ]);
  });

  test("what was sent again is taken once", () => {
    expect(planned([chunk(1, "/a", 0), chunk(2, "/a", 100), chunk(4, "/a", 100), chunk(3, "/a", 200)])).toEqual([
      "! /lost+found/a.from-100: 4",
      "/a: 1 2 3",
    ]);
  });

  test("a file with a hole is no file but pieces, each named by where it begins", () => {
    expect(planned([chunk(2, "/a", 100), chunk(3, "/a", 200), chunk(5, "/a", 400)])).toEqual([
      "! /lost+found/a.from-100: 2 3",
      "! /lost+found/a.from-400: 5",
    ]);
  });

  test("appends come behind what their file was put with, if that ends just there", () => {
    const appended = { inode: 8 };
    const chunks = [
      chunk(1, "/a", 0),
      chunk(5, "/a", 100, appended),
      chunk(6, "/a", 200, { ...appended, sealed: false }),
    ];
    expect(planned(chunks)).toEqual(["/a: 1 5 6"]);
    // The file was moved before the second append: its new name counts, and what was put there before is another file.
    expect(
      planned([...chunks.slice(0, 2), chunk(6, "/moved", 200, appended), chunk(4, "/moved", 0, { length: 50 })]),
    ).toEqual(["/moved: 1 5 6", "/moved.salvaged-1: 4"]);
    expect(planned([chunk(1, "/a", 0, { length: 99 }), ...chunks.slice(1)])).toEqual([
      "! /lost+found/a.from-100: 5 6",
      "/a: 1",
    ]);
  });

  test("nothing follows an open chunk", () => {
    const inode = 8;
    const open = chunk(1, "/a", 0, { inode, sealed: false });
    expect(planned([open, chunk(2, "/a", 100, { inode, version: 2 })])).toEqual([
      "! /lost+found/a.from-0: 1",
      "! /lost+found/a.from-100: 2",
    ]);
    // A large append seals it before it is in the file: this one was not finished.
    expect(planned([open, chunk(2, "/a", 100, { inode })])).toEqual(["/a: 1", "! /lost+found/a.from-100: 2"]);
  });

  test("an open chunk without bytes is nothing: neither beside what came to lie there, nor at the end, nor alone", () => {
    const inode = 8;
    const empty = { inode, sealed: false, length: 0 };
    const file = [chunk(1, "/a", 0), chunk(5, "/a", 100, { inode })];
    // Its opening failed, it was sealed without bytes, and the next one has its place.
    expect(planned([...file, chunk(4, "/a", 100, empty)])).toEqual(["/a: 1 5"]);
    expect(planned([...file, chunk(4, "/a", 100, empty), chunk(6, "/a", 200, empty)])).toEqual(["/a: 1 5"]);
    expect(planned([chunk(1, "/a", 0), chunk(4, "/moved", 100, empty)])).toEqual(["/a: 1"]);
  });

  test("sealed chunks that cover a file are the file, whatever was left open within it", () => {
    for (let seed = 1; seed <= 300; seed++) {
      let state = seed;
      const draw = (max: number): number => {
        state = (state * 48_271) % 2_147_483_647;
        return state % max;
      };
      const count = 1 + draw(6);
      const sealed = Array.from({ length: count }, (_, i) =>
        chunk(10 * (i + 1), "/a", 100 * i, { inode: 8, version: 2 }),
      );
      const open = Array.from({ length: draw(5) }, (_, i) => {
        const fileOffset = 100 * draw(count);
        return chunk(10 * draw(count + 1) + i + 1, "/a", fileOffset, { inode: 8, sealed: false, length: 30 * draw(3) });
      });
      const empty = chunk(1_000, "/a", 100 * count, { inode: 8, sealed: false, length: 0 });
      const shuffled = [...sealed, ...open, empty].sort(
        (a, b) => ((a.handle * 7_919) % 31) - ((b.handle * 7_919) % 31),
      );
      const files = planSalvage(shuffled, (path) => path !== "");
      const whole = files.filter((file) => file.state === "whole");
      expect(whole.map(({ path, run }) => [path, run.bytes, run.chunks])).toEqual([["/a", 100 * count, sealed]]);
      // What has bytes is lost to nobody.
      const pieces = files.filter((file) => file.state === "piece").flatMap(({ run }) => run.chunks);
      expect(new Set(pieces)).toEqual(new Set(open.filter(({ length }) => length > 0)));
    }
  });

  test("of two open chunks at one place the newer one is the tail: the other was sealed without bytes", () => {
    const open = { inode: 8, sealed: false };
    const files = planSalvage([chunk(1, "/a", 0), chunk(5, "/a", 100, open), chunk(6, "/a", 100, open)], () => true);
    expect(
      files.map(({ path, run, state, why }) => [path, run.chunks.map(({ handle }) => handle), state, why]),
    ).toEqual([
      ["/a", [1, 6], "whole", ""],
      ["/lost+found/a.from-100", [5], "piece", "another chunk has its place in the file"],
    ]);
  });

  test("what nobody knew is named by its chunk", () => {
    expect(planned([chunk(1, "", 0), chunk(2, "no path", 0)])).toEqual([
      "! /lost+found/chunk-1: 1",
      "! /lost+found/chunk-2: 2",
    ]);
  });

  test("a file is no directory of another one", () => {
    expect(planned([chunk(1, "/a/b", 0), chunk(2, "/a", 0)])).toEqual(["/a: 2", "/a.salvaged-directory/b: 1"]);
    expect(planned([chunk(2, "/a/b", 0), chunk(1, "/a", 0)])).toEqual(["/a/b: 2", "/a.salvaged-1: 1"]);
  });

  test("of what was put some chunks were copied since, and name the inode: they are one file all the same", () => {
    const copied = { inode: 8 };
    for (let copies = 0; copies < 8; copies++) {
      const put = [0, 1, 2].map((i) =>
        chunk(i + 11, "/a", 100 * i, { length: i === 2 ? 30 : 100, ...((copies & (1 << i)) > 0 ? copied : {}) }),
      );
      // What it replaced, and what replaced it.
      const others = [chunk(3, "/a", 0), chunk(4, "/a", 100), chunk(21, "/a", 0), chunk(22, "/a", 100)];
      const files = planned([...put, ...others]).map((line) => line.split(": ")[1]);
      expect(new Set(files)).toEqual(new Set(["11 12 13", "21 22", "3 4"]));
      const tail = chunk(15, "/a", 230, { ...copied, version: 2 });
      expect(planned([...put, ...others, tail]).map((line) => line.split(": ")[1])).toContain("11 12 13 15");
    }
    // Its middle is lost: no part of it is a whole file.
    for (const i of [0, 2]) {
      const left = [chunk(11, "/a", 0), chunk(13, "/a", 200)].map((each, k) =>
        2 * k === i ? { ...each, ...copied } : each,
      );
      expect(planned(left)).toEqual(["! /lost+found/a.from-0: 11", "! /lost+found/a.from-200: 13"]);
    }
  });

  test("a large append that was sent again, since a server failed, is in the file once", () => {
    const large = { inode: 8, crc: 77 };
    expect(planned([chunk(1, "/a", 0), chunk(5, "/a", 100, large), chunk(6, "/a", 100, large)])).toEqual([
      "/a: 1 5",
      "! /lost+found/a.from-100: 6",
    ]);
  });

  test("one that was appended twice is there twice, if there is a place of just its length", () => {
    const large = { inode: 8, crc: 77 };
    const chunks = [chunk(1, "/a", 0), chunk(5, "/a", 100, large), chunk(6, "/a", 100, large)];
    expect(planned([...chunks, chunk(7, "/a", 300, { inode: 8, version: 2 })])).toEqual(["/a: 1 5 6 7"]);
  });

  test("a large append that was not finished does not take the place of an open tail that has bytes", () => {
    const open = { inode: 8, sealed: false };
    const large = { inode: 8 };
    const whys = (chunks: readonly FoundChunk[]): string[] =>
      planSalvage(chunks, () => true).map(
        ({ path, run, why }) => `${path}: ${run.chunks.map(({ handle }) => handle).join(" ")} ${why}`,
      );
    const [file, tail] = [chunk(1, "/a", 0), chunk(5, "/a", 100, open)];
    const piece = (handle: number): string =>
      `/lost+found/a.from-100: ${handle} another chunk has its place in the file`;
    // It began before the tail was opened, or while that was empty.
    for (const handle of [3, 7])
      expect(whys([file, tail, chunk(handle, "/a", 100, large)])).toEqual(["/a: 1 5 ", piece(handle)]);
    // Its commit may have sealed the tail, and found nothing there.
    const fenced = whys([file, { ...tail, version: 2 }, chunk(7, "/a", 100, large)]);
    expect(fenced).toHaveLength(2);
    expect(fenced[0]).toContain("/a: 1 5 it has large appends");
    expect(fenced[1]).toBe(piece(7));
    // A later tail lies behind it: it was committed.
    const later = chunk(8, "/a", 200, { inode: 8, version: 2 });
    expect(whys([file, tail, chunk(7, "/a", 100, large), later])).toEqual(["/a: 1 7 8 ", piece(5)]);
  });

  test("of a file that was moved over another one the contents are not mixed", () => {
    const old = [1, 2, 3].map((handle, i) => chunk(handle, "/a", 100 * i, { putAt: "/a" }));
    const moved = [4, 5, 6].map((handle, i) => chunk(handle, "/a.tmp", 100 * i, { putAt: "/a.tmp" }));
    const copied = { inode: 8, path: "/a" };
    const chunks = (changes: Partial<FoundChunk>): FoundChunk[] =>
      [...old, ...moved].map((each) => (each.handle === 5 ? { ...each, ...copied, ...changes } : each));
    expect(planned(chunks({ paths: ["/a.tmp", "/a"] })).sort()).toEqual(["/a.salvaged-1: 1 2 3", "/a: 4 5 6"].sort());
    // Only the copy is left.
    expect(planned(chunks({ paths: ["/a"], putAt: undefined })).sort()).toEqual([
      "! /lost+found/a.from-100: 5",
      "! /lost+found/a.tmp.from-0: 4",
      "! /lost+found/a.tmp.from-200: 6",
      "/a: 1 2 3",
    ]);
  });

  test("what was put and lacks a chunk is no whole file", () => {
    expect(planned([chunk(1, "/a", 0), chunk(3, "/a", 200), chunk(7, "/a", 0), chunk(8, "/a", 100)]).sort()).toEqual([
      "! /lost+found/a.from-0: 1",
      "! /lost+found/a.from-200: 3",
      "/a: 7 8",
    ]);
  });

  test("every chunk that has bytes goes somewhere, once", () => {
    for (let seed = 0; seed < 300; seed++) {
      let state = seed + 1;
      const draw = (max: number): number => {
        state = (state * 48_271) % 2_147_483_647;
        return state % max;
      };
      const chunks = Array.from({ length: 12 }, (_, i) =>
        chunk(i + 1, ["/a", "/a/b", "/c", ""][draw(4)] ?? "", 100 * draw(4), {
          inode: draw(3) === 0 ? 5 + draw(2) : 0,
          sealed: draw(6) > 0,
        }),
      );
      const files = planSalvage(chunks, (path) => path !== "");
      const used = files.flatMap(({ run }) => run.chunks.map(({ handle }) => handle)).sort((a, b) => a - b);
      expect(used).toEqual(chunks.map(({ handle }) => handle));
      const paths = files.map(({ path }) => path);
      expect(new Set(paths).size).toBe(paths.length);
      for (const path of paths) expect(paths.filter((other) => other.startsWith(`${path}/`))).toEqual([]);
      for (const { run } of files) {
        let at = run.from;
        for (const [i, { fileOffset, length, sealed, inode }] of run.chunks.entries()) {
          // A large append may have begun before it had its place.
          if (inode > 0 && sealed) expect(fileOffset).toBeLessThanOrEqual(at);
          else expect(fileOffset).toBe(at);
          expect(sealed || i === run.chunks.length - 1).toBe(true);
          at += length;
        }
      }
    }
  });
});
