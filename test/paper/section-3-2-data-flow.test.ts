import { describe, expect, test } from "bun:test";
import { place } from "../../src/master/core/placement.ts";
import { defaultLimits } from "../../src/limits.ts";
import { Chain } from "../../src/wire/control/common.ts";
import { decodeHeader, encodeHeader, WriteDone, WriteOpen } from "../../src/wire/data/headers.ts";
import { chunkHandle, chunkVersion, inodeId, volumeId } from "../../src/wire/ids.ts";

const address = (n: number) => ({
  volume: volumeId(`${n}`.repeat(32)),
  label: `s${n}`,
  data: `h${n}:2`,
  control: `h${n}:1`,
});

describe("paper §3.2 data flow", () => {
  test("data is pushed linearly along a chain, nearest server first", () => {
    const candidates = [30, 10, 20].map((x, volume) => ({
      volume,
      name: `s${volume}`,
      location: { x, y: 0 },
      rack: undefined,
      totalBytes: 1_000,
      freeBytes: 500,
      newBytes: 500,
      load: 0,
      liveness: "live" as const,
      slow: false,
    }));
    const { chosen } = place(candidates, {
      replicas: 3,
      minReplicas: 2,
      bytes: 1,
      use: "new",
      from: { location: { x: 0, y: 0 } },
      excluded: new Set(),
      weights: defaultLimits,
      what: "a chunk",
    });
    expect(chosen).toEqual([1, 2, 0]);
  });

  test("each machine forwards to the next: what it gets names those still to come, itself first", () => {
    const chain = [1, 2, 3].map(address);
    const origin = { inode: inodeId(2), path: "/f", fileOffset: 0 };
    const open = { handle: chunkHandle(1), version: chunkVersion(1), chunkBytes: 64_000_000, origin };
    let left: typeof chain = chain;
    for (const expected of [3, 2, 1]) {
      const got = decodeHeader(WriteOpen, encodeHeader(WriteOpen, { ...open, chain: left }));
      expect(got.chain).toHaveLength(expected);
      left = got.chain.slice(1);
    }
    expect(Chain.safeParse(left).success).toBe(false);
  });

  test("the answer from the end of the chain names every server that has the data", () => {
    const volumes = [1, 2, 3].map((n) => volumeId(`${n}`.repeat(32)));
    expect(WriteDone.safeParse({ length: 1, crc: 2, volumes }).success).toBe(true);
    expect(WriteDone.safeParse({ length: 1, crc: 2, volumes: [] }).success).toBe(false);
  });
});
