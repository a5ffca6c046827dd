import { describe, expect, test } from "bun:test";
import { protocol } from "../../../../src/limits.ts";
import {
  decideChunkAllocate,
  decideDraftAbort,
  decideDraftCommit,
  decideDraftCreate,
  decideDraftWritten,
} from "../../../../src/master/core/decide-drafts.ts";
import { decideSessionOpen } from "../../../../src/master/core/decide-sessions.ts";
import { extentAt, extentCount } from "../../../../src/master/core/extents.ts";
import { lookup } from "../../../../src/master/core/namespace.ts";
import { findVolume } from "../../../../src/master/core/volumes.ts";
import { encodeEntry } from "../../../../src/master/log-batches.ts";
import type { WrittenChunk } from "../../../../src/wire/control/files.ts";
import type { DraftId } from "../../../../src/wire/ids.ts";
import { CoreDriver, mutationId, refusal, volumes } from "./core-driver.ts";

describe("a draft of more chunks than one message names", () => {
  const written = (count: number) => {
    const driver = new CoreDriver();
    driver.do(decideSessionOpen(driver.state, { label: "" }, driver.now));
    const target = { kind: "put", path: "/big", overwrite: false } as const;
    const { draft } = driver.do(decideDraftCreate(driver.state, { id: mutationId(), target }, undefined));
    const chunks = Array.from({ length: count }, (_, i): WrittenChunk => {
      const { placement } = driver.do(decideChunkAllocate(driver.state, { draft }, driver.placed()));
      const { handle, version } = placement;
      return { handle, version, length: i + 1, crc: 5, volumes: volumes.slice(0, 3) };
    });
    /** A page of the list that is named by the first of `list`. */
    const name = (list: WrittenChunk[], from: number, to: number) => {
      const page = { draft, first: list[0]!.handle, from, chunks: list.slice(from, to) };
      return driver.do(decideDraftWritten(driver.state, page));
    };
    return { driver, draft, chunks, name };
  };
  const request = (draft: DraftId, first: WrittenChunk, chunks: WrittenChunk[]) => ({
    id: mutationId(),
    draft,
    first: first.handle,
    chunks,
  });

  test("is published in one batch, in order, the list before what the commit names", () => {
    const { driver, draft, chunks, name } = written(7);
    name(chunks, 0, 3);
    name(chunks, 3, 5);
    refusal("NotFound", () => lookup(driver.state.inodes, "/big", "find"));
    const batches = driver.batches.length;
    const reply = driver.do(decideDraftCommit(driver.state, request(draft, chunks[0]!, chunks.slice(5)), driver.now));
    expect(driver.batches.length).toBe(batches + 1);
    expect(reply).toMatchObject({ bytes: 28, shortChunks: 0 });
    const { inodes } = driver.state;
    const slot = lookup(inodes, "/big", "find");
    expect(chunks.map((_, i) => extentAt(inodes, slot, i).handle)).toEqual(chunks.map(({ handle }) => handle));
    expect(driver.state.chunks.unsealed.size).toBe(0);
    expect(driver.state.chunks.released).toEqual([]);
  });

  test("takes a page once, however often it is sent, and none out of order or of others", () => {
    const { driver, draft, chunks, name } = written(5);
    refusal("ProtocolError", () => name(chunks, 2, 4));
    name(chunks, 0, 2);
    name(chunks, 2, 4);
    const batches = driver.batches.length;
    for (const [from, to] of [[0, 2] as const, [2, 4] as const, [1, 3] as const]) {
      const first = chunks[0]!.handle;
      const again = decideDraftWritten(driver.state, { draft, first, from, chunks: chunks.slice(from, to) });
      expect(again.records).toEqual([]);
    }
    expect(driver.batches.length).toBe(batches);
    // A chunk of the list can't be named again, and another list is another writer's.
    refusal("ProtocolError", () =>
      decideDraftCommit(driver.state, { id: mutationId(), draft, chunks: [chunks[3]!] }, driver.now),
    );
    refusal("ProtocolError", () => name([chunks[4]!, chunks[3]!], 0, 2));
    refusal("ProtocolError", () =>
      decideDraftWritten(driver.state, { draft, first: chunks[4]!.handle, from: 0, chunks: [chunks[3]!] }),
    );
    refusal("ProtocolError", () => decideDraftCommit(driver.state, request(draft, chunks[4]!, []), driver.now));
  });

  test("of two writers publishes the list that its commit names; the other's chunks are let go of", () => {
    const { driver, draft, chunks, name } = written(6);
    const [mine, others] = [chunks.slice(0, 3), chunks.slice(3)];
    name(mine, 0, 2);
    name(others, 0, 3);
    driver.do(decideDraftCommit(driver.state, request(draft, mine[0]!, [mine[2]!]), driver.now));
    const slot = lookup(driver.state.inodes, "/big", "find");
    expect(extentCount(driver.state.inodes, slot)).toBe(3);
    expect(driver.state.chunks.released.map(({ handle }) => handle)).toEqual(others.map(({ handle }) => handle));
  });

  test("that is given up lets go of all of them", () => {
    const { driver, draft, chunks, name } = written(4);
    name(chunks, 0, 3);
    driver.do(decideDraftAbort(driver.state, { draft }));
    expect(driver.state.chunks.released.length).toBe(4);
    refusal("DraftEnded", () => name(chunks, 3, 4));
  });

  test("needs copies enough of every chunk when it is committed", () => {
    const { driver, draft, chunks, name } = written(3);
    name(chunks, 0, 2);
    for (const id of volumes.slice(0, 3)) {
      const volume = findVolume(driver.state.volumes, id);
      if (volume !== undefined) volume.liveness = "dead";
    }
    refusal("ChunkLost", () => decideDraftCommit(driver.state, request(draft, chunks[0]!, []), driver.now));
  });

  test("may have as many as a file may, and no more", () => {
    const { driver, draft, chunks, name } = written(protocol.commitChunksMax + 1);
    const page = protocol.writtenChunksMax;
    for (let from = 0; from < protocol.commitChunksMax; from += page) name(chunks, from, from + page);
    const over = protocol.commitChunksMax;
    refusal("ProtocolError", () => name(chunks, over, over + 1));
    const decision = decideDraftCommit(driver.state, request(draft, chunks[0]!, []), driver.now);
    expect(encodeEntry({ clusterMs: 1, records: [...decision.records] }).length).toBeLessThan(1_000);
    driver.do(decision);
    expect(extentCount(driver.state.inodes, lookup(driver.state.inodes, "/big", "find"))).toBe(over);
  }, 120_000);
});
