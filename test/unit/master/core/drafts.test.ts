import { describe, expect, test } from "bun:test";
import type { ErrorCode } from "../../../../src/base/errors.ts";
import { findChunk } from "../../../../src/master/core/chunk-table.ts";
import {
  decideChunkAllocate,
  decideDraftAbort,
  decideDraftCommit,
  decideDraftCreate,
} from "../../../../src/master/core/decide-drafts.ts";
import { decideCreateFile, decideMkdir } from "../../../../src/master/core/decide-files.ts";
import { decideRemove } from "../../../../src/master/core/decide-namespace.ts";
import { decideExpiry, decideSessionOpen } from "../../../../src/master/core/decide-sessions.ts";
import { decideTrashForSpace } from "../../../../src/master/core/decide-trash.ts";
import { touchDrafts } from "../../../../src/master/core/drafts.ts";
import { extentCount, fileBytes } from "../../../../src/master/core/extents.ts";
import { slotOfId } from "../../../../src/master/core/inodes.ts";
import { lookup } from "../../../../src/master/core/namespace.ts";
import { nextToReap } from "../../../../src/master/core/reaping.ts";
import { trashTotals } from "../../../../src/master/core/trash.ts";
import { findVolume } from "../../../../src/master/core/volumes.ts";
import type { WrittenChunk } from "../../../../src/wire/control/files.ts";
import {
  chunkHandle,
  chunkVersion,
  type DraftId,
  draftId,
  generation,
  type Generation,
  type InodeId,
  volumeId,
} from "../../../../src/wire/ids.ts";
import { CoreDriver, mutationId, refusal, volumes } from "./core-driver.ts";

function begun(limits = {}): CoreDriver {
  const driver = new CoreDriver(limits);
  driver.do(decideSessionOpen(driver.state, { label: "" }, driver.now));
  return driver;
}

type Target = Parameters<typeof decideDraftCreate>[1]["target"];
interface PutRule {
  readonly overwrite?: boolean;
  readonly ifGeneration?: Generation;
}
const putTo = (path: string, rule: PutRule = {}): Target => ({ kind: "put", path, overwrite: false, ...rule });

function draftFor(driver: CoreDriver, target: Target, replicas?: number): DraftId {
  const request = { id: mutationId(), target, ...(replicas === undefined ? {} : { replicas }) };
  return driver.do(decideDraftCreate(driver.state, request, undefined)).draft;
}

function writtenChunk(driver: CoreDriver, draft: DraftId, length = 100): WrittenChunk {
  const { placement } = driver.do(decideChunkAllocate(driver.state, { draft }, driver.placed()));
  const { handle, version } = placement;
  return { handle, version, length, crc: 5, volumes: volumes.slice(0, 3) };
}

const commit = (driver: CoreDriver, draft: DraftId, chunks: WrittenChunk[]) =>
  driver.do(decideDraftCommit(driver.state, { id: mutationId(), draft, chunks }, driver.now));

function putFile(driver: CoreDriver, path: string, length = 100): InodeId {
  const draft = draftFor(driver, putTo(path, { overwrite: true }));
  return commit(driver, draft, [writtenChunk(driver, draft, length)]).inode;
}

describe("drafts", () => {
  test("a put is invisible before its commit, and whole after it, with its parents", () => {
    const driver = begun();
    const draft = draftFor(driver, putTo("/a/b/c"));
    const chunks = [writtenChunk(driver, draft, 70), writtenChunk(driver, draft, 30)];
    refusal("NotFound", () => lookup(driver.state.inodes, "/a", "find"));
    const reply = commit(driver, draft, chunks);
    expect(reply).toMatchObject({ generation: 1, fileOffset: 0, bytes: 100, shortChunks: 0, replicas: 3 });
    const slot = lookup(driver.state.inodes, "/a/b/c", "find");
    expect([fileBytes(driver.state.inodes, slot), extentCount(driver.state.inodes, slot)]).toEqual([100, 2]);
    expect(findChunk(driver.state.chunks, chunks[0]!.handle)).toMatchObject({
      state: "sealed",
      references: 1,
      length: 70,
    });
    refusal("DraftEnded", () => commit(driver, draft, chunks));
  });

  test("chunks that a commit leaves out, and all of an aborted or expired draft, are let go of", () => {
    for (const end of ["commit", "abort", "expire"]) {
      const driver = begun({ draftMs: 1_000 });
      const draft = draftFor(driver, putTo("/f"));
      const [kept, left] = [writtenChunk(driver, draft), writtenChunk(driver, draft)];
      if (end === "commit") commit(driver, draft, [kept]);
      if (end === "abort") driver.do(decideDraftAbort(driver.state, { draft }));
      driver.clusterMs += 1_000;
      if (end === "expire") driver.log(decideExpiry(driver.state, driver.now, 10));
      expect(findChunk(driver.state.chunks, left.handle)).toBeUndefined();
      expect(findChunk(driver.state.chunks, kept.handle) !== undefined).toBe(end === "commit");
      expect(driver.state.drafts.byId.size).toBe(0);
      expect(decideDraftAbort(driver.state, { draft }).records).toEqual([]);
    }
  });

  test("an append by path is one to the file that is there, or the put of a missing one", () => {
    const driver = begun();
    const byPath = (path: string, create: boolean) =>
      decideDraftCreate(driver.state, { id: mutationId(), target: { kind: "append-path", path, create } }, undefined);
    refusal("NotFound", () => byPath("/d/f", false));
    const making = driver.do(byPath("/d/f", true));
    expect(making.inode).toBeUndefined();
    const { inode } = commit(driver, making.draft, [writtenChunk(driver, making.draft, 70)]);
    const adding = driver.do(byPath("/d/f", true));
    expect(adding.inode).toBe(inode);
    expect(commit(driver, adding.draft, [writtenChunk(driver, adding.draft)])).toMatchObject({ inode, fileOffset: 70 });
    refusal("IsDirectory", () => byPath("/d", true));
  });

  test("a first append goes behind the file that was made at its path meanwhile, where that has the same goal", () => {
    const driver = begun();
    const [first, second, other] = [
      draftFor(driver, putTo("/f")),
      draftFor(driver, putTo("/f")),
      draftFor(driver, putTo("/f"), 2),
    ];
    const [a, b, c] = [writtenChunk(driver, first, 7), writtenChunk(driver, second, 8), writtenChunk(driver, other, 9)];
    const appending = (draft: DraftId, chunks: WrittenChunk[]) =>
      driver.do(decideDraftCommit(driver.state, { id: mutationId(), draft, chunks, ifExists: "append" }, driver.now));
    const { inode } = appending(first, [a]);
    expect(appending(second, [b])).toMatchObject({ inode, fileOffset: 7, bytes: 8, generation: 1 });
    refusal("Exists", () => appending(other, [c]));
    const slot = lookup(driver.state.inodes, "/f", "find");
    expect([fileBytes(driver.state.inodes, slot), extentCount(driver.state.inodes, slot)]).toEqual([15, 2]);
  });

  test("a put that would replace is never spliced, whatever its commit asks for", () => {
    const driver = begun();
    const old = putFile(driver, "/f", 50);
    const draft = draftFor(driver, putTo("/f", { overwrite: true }));
    const chunks = [writtenChunk(driver, draft, 5)];
    const reply = driver.do(
      decideDraftCommit(driver.state, { id: mutationId(), draft, chunks, ifExists: "append" }, driver.now),
    );
    expect(reply).toMatchObject({ fileOffset: 0, bytes: 5, generation: 2 });
    expect(reply.inode).not.toBe(old);
  });

  test("a client's heartbeats keep its drafts, and name those that have ended", () => {
    const driver = begun({ draftMs: 1_000 });
    const draft = draftFor(driver, putTo("/f"));
    driver.clusterMs += 900;
    expect(touchDrafts(driver.state.drafts, [draft, draftId(99)], driver.clusterMs)).toEqual([draftId(99)]);
    driver.clusterMs += 999;
    expect(decideExpiry(driver.state, driver.now, 10)).toEqual([]);
    driver.clusterMs += 1;
    expect(decideExpiry(driver.state, driver.now, 10).length).toBe(1);
  });

  const wrong: [string, ErrorCode, (chunk: WrittenChunk) => WrittenChunk[]][] = [
    ["named twice", "ProtocolError", (chunk) => [chunk, chunk]],
    ["of another version", "ProtocolError", (chunk) => [{ ...chunk, version: chunkVersion(chunk.version + 1) }]],
    ["longer than a chunk", "ProtocolError", (chunk) => [{ ...chunk, length: 65_537 }]],
    ["not the draft's", "ProtocolError", (chunk) => [{ ...chunk, handle: chunkHandle(chunk.handle + 1) }]],
    ["on a volume it was not allocated on", "ProtocolError", (chunk) => [{ ...chunk, volumes: [volumes[3]!] }]],
    ["on a volume nobody knows", "ProtocolError", (chunk) => [{ ...chunk, volumes: [volumeId("f".repeat(32))] }]],
    ["on fewer servers than min_replicas", "ChunkLost", (chunk) => [{ ...chunk, volumes: volumes.slice(0, 1) }]],
    [
      "on one server named three times",
      "ChunkLost",
      (chunk) => [{ ...chunk, volumes: [volumes[0]!, volumes[0]!, volumes[0]!] }],
    ],
  ];
  test.each(wrong)("a commit with a chunk %s is refused with %s and changes nothing", (_, code, change) => {
    const driver = begun({ chunkBytes: 65_536 });
    const draft = draftFor(driver, putTo("/f"));
    const chunk = writtenChunk(driver, draft);
    refusal(code, () => commit(driver, draft, change(chunk)));
    refusal("NotFound", () => lookup(driver.state.inodes, "/f", "find"));
    expect(commit(driver, draft, [{ ...chunk, length: 65_536 }]).bytes).toBe(65_536);
  });

  test.each([
    [1, 1, 0, undefined],
    [1, 2, 0, "ChunkLost"],
    [2, 3, 0, undefined],
    [2, 3, 1, "ChunkLost"],
    [3, 3, 1, undefined],
    [4, 4, 0, undefined],
  ] as const)("%p copies of %p wanted, %p of them on dead servers: %p", (copies, replicas, dead, code) => {
    const driver = begun();
    const draft = draftFor(driver, putTo("/f"), replicas);
    const placed = driver.placed(4);
    driver.do(decideChunkAllocate(driver.state, { draft }, placed));
    for (const volume of volumes.slice(0, dead)) findVolume(driver.state.volumes, volume)!.liveness = "dead";
    const { handle, version } = placed.placement;
    const chunk = { handle, version, length: 1, crc: 0, volumes: volumes.slice(0, copies) };
    if (code !== undefined) refusal(code, () => commit(driver, draft, [chunk]));
    else expect(commit(driver, draft, [chunk]).shortChunks).toBe(copies < replicas ? 1 : 0);
  });

  test("a replaced file's successor is another inode, one generation on, and the old content is in the trash", () => {
    const driver = begun();
    const old = putFile(driver, "/f", 10);
    const inode = putFile(driver, "/f", 20);
    expect(inode).not.toBe(old);
    expect(driver.state.inodes.generation.get(slotOfId(driver.state.inodes, inode))).toBe(2);
    expect(fileBytes(driver.state.inodes, slotOfId(driver.state.inodes, old))).toBe(10);
  });

  const targets: [string, PutRule, ErrorCode | undefined][] = [
    ["/f", {}, "Exists"],
    ["/f", { overwrite: true }, undefined],
    ["/f", { ifGeneration: generation(1) }, undefined],
    ["/f", { overwrite: true, ifGeneration: generation(2) }, "GenerationMismatch"],
    ["/f", { ifGeneration: generation(0) }, "GenerationMismatch"],
    ["/new", { ifGeneration: generation(0) }, undefined],
    ["/new", { overwrite: true, ifGeneration: generation(1) }, "GenerationMismatch"],
    ["/d", { overwrite: true }, "IsDirectory"],
    ["/", { overwrite: true }, "IsDirectory"],
    ["/f/x", {}, "NotDirectory"],
    ["/d/../f", {}, "PathInvalid"],
  ];
  test.each(targets)("a put to %s with %p gives %p, at its beginning as at its commit", (path, more, code) => {
    const early = begun();
    const late = begun();
    // The late driver's target changes only after the draft began; where it can't begin, the commit is never reached.
    const draft = tryDraft(() => draftFor(late, putTo(path, more)));
    for (const driver of [early, late]) {
      putFile(driver, "/f");
      driver.do(decideMkdir(driver.state, { id: mutationId(), path: "/d", parents: false }, driver.now));
    }
    const beginning = () => draftFor(early, putTo(path, more));
    if (code === undefined) beginning();
    else refusal(code, beginning);
    if (draft === undefined) return;
    if (code === undefined) commit(late, draft, []);
    else refusal(code, () => commit(late, draft, []));
  });

  test("a large append is spliced to the end of its file, under the same generation", () => {
    const driver = begun();
    const inode = putFile(driver, "/f", 10);
    const draft = draftFor(driver, { kind: "append", inode }, 1);
    const chunk = writtenChunk(driver, draft, 7);
    const reply = commit(driver, draft, [chunk]);
    expect(reply).toMatchObject({ inode, generation: 1, fileOffset: 10, bytes: 7, replicas: 3 });
    expect(fileBytes(driver.state.inodes, slotOfId(driver.state.inodes, inode))).toBe(17);
  });

  test("a large append to a file that was removed or replaced meanwhile is InodeChanged, and never moves to the new one", () => {
    const driver = begun();
    const inode = putFile(driver, "/f", 10);
    const draft = draftFor(driver, { kind: "append", inode });
    const chunk = writtenChunk(driver, draft, 7);
    putFile(driver, "/f", 20);
    refusal("InodeChanged", () => commit(driver, draft, [chunk]));
    refusal("NotFound", () => draftFor(driver, { kind: "append", inode }));
  });

  test("a chunk is let go of when its file is reaped, not before", () => {
    const driver = begun();
    const draft = draftFor(driver, putTo("/d/f"));
    const chunk = writtenChunk(driver, draft);
    commit(driver, draft, [chunk]);
    const request = { id: mutationId(), path: "/d", recursive: true, skipTrash: true };
    driver.do(decideRemove(driver.state, request, driver.now));
    expect(findChunk(driver.state.chunks, chunk.handle)?.references).toBe(1);
    driver.log([{ kind: "inodes-reaped", inodes: nextToReap(driver.state.inodes, 10) }]);
    expect(findChunk(driver.state.chunks, chunk.handle)).toBeUndefined();
  });

  test("where space is short the oldest of the trash goes, as much as is needed and no more", () => {
    const driver = begun();
    const inodes = ["/a", "/b", "/c"].map((path) => putFile(driver, path, 100));
    for (const path of ["/b", "/a", "/c"]) {
      const request = { id: mutationId(), path, recursive: false, skipTrash: false };
      driver.do(decideRemove(driver.state, request, driver.now));
    }
    const chosen = (bytes: number, max: number) =>
      decideTrashForSpace(driver.state, bytes, max).map((record) => record.kind === "inode-detached" && record.inode);
    expect(chosen(1, 10)).toEqual([inodes[1]!]);
    expect(chosen(101, 10)).toEqual([inodes[1]!, inodes[0]!]);
    expect(chosen(1_000, 2)).toEqual([inodes[1]!, inodes[0]!]);
    expect(chosen(0, 10)).toEqual([]);
    expect(trashTotals(driver.state.inodes)).toEqual({ entries: 3, bytes: 300, storedBytes: 900 });
  });

  test("an existing file is opened as it is, an empty one replaces it", () => {
    const driver = begun();
    const inode = putFile(driver, "/f", 10);
    const create = (mode: "new" | "replace" | "open") =>
      driver.do(decideCreateFile(driver.state, { id: mutationId(), path: "/f", mode }, driver.now));
    expect(create("open")).toEqual({ inode, generation: generation(1), replicas: 3, created: false });
    refusal("Exists", () => create("new"));
    expect(create("replace")).toMatchObject({ generation: 2, created: true });
  });
});

function tryDraft(make: () => DraftId): DraftId | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}
