import { describe, expect, test } from "bun:test";
import { crc32, crc32Combine } from "../../src/base/checksum.ts";
import { BlockSums } from "../../src/chunkserver/store/block-sums.ts";
import { blockBytes } from "../../src/limits.ts";
import { decodeBlocks, encodeBlockHeader, partCrcs } from "../../src/wire/data/blocks.ts";
import { encodeFrame, FrameParser } from "../../src/wire/data/frame.ts";
import { concatBytes } from "../../src/base/bytes.ts";
import { chunkHandle } from "../../src/wire/ids.ts";
import { codeOf, content, putChunk, readAll, simVolume, writeOptions } from "../unit/chunkserver/store/sim-volume.ts";

const bytes = 200_000;
const path = `/disk/volume/chunks/01/${"1".padStart(16, "0")}`;

describe("paper §5.2 data integrity", () => {
  test("a chunk is broken up into 64 KB blocks, each with a 32 bit checksum", () => {
    expect(blockBytes).toBe(65_536);
    const data = content(bytes);
    const sums = BlockSums.of(bytes, partCrcs(0, [data]));
    expect(sums.blockCount).toBe(4);
    for (let i = 0; i < 4; i++) expect(sums.block(i)).toBe(crc32(data.subarray(i * blockBytes, (i + 1) * blockBytes)));
  });

  test("checksums are kept persistently, apart from the user's data: in the trailer", () => {
    const volume = simVolume();
    const data = content(bytes);
    volume.with((store) => putChunk(store, writeOptions(1), data));
    volume.with(async (store, world) => {
      expect(await readAll(store, 1)).toEqual(data);
      expect((await world.disk.info(path))!.bytes).toBeGreaterThan(bytes);
    });
  });

  test.each([0, 70_000, 199_999])(
    "the checksum of every block that a read touches is verified before anything is returned: a bit flipped at %d",
    (at) => {
      const volume = simVolume();
      volume.with(async (store, world) => {
        await putChunk(store, writeOptions(1), content(bytes));
        const file = await world.disk.open(path, "write");
        const byte = new Uint8Array(1);
        await file.read(byte, at);
        await file.write([Uint8Array.of((byte[0] ?? 0) ^ 4)], at);
        await file.close();
        // One byte of the same block, not the one that is wrong.
        const near = at === 0 ? 1 : at - 1;
        expect(await codeOf(readAll(store, 1, { offset: near, length: 1 }))).toBe("Corrupt");
        // The chunkserver reports the mismatch to the master.
        expect(store.bad()).toEqual([{ handle: chunkHandle(1), version: writeOptions(1).version, reason: "corrupt" }]);
        expect(await codeOf(readAll(store, 1, { offset: near, length: 1 }))).toBe("Corrupt");
      });
    },
  );

  test("a read that touches healthy blocks only is answered", () => {
    const volume = simVolume();
    volume.with(async (store, world) => {
      const data = content(bytes);
      await putChunk(store, writeOptions(1), data);
      const file = await world.disk.open(path, "write");
      await file.write([Uint8Array.of((data[199_999] ?? 0) ^ 1)], 199_999);
      await file.close();
      expect(await readAll(store, 1, { offset: 65_536, length: 10 })).toEqual(data.subarray(65_536, 65_546));
    });
  });

  test("for appends the checksum of the last partial block is updated incrementally", () => {
    const data = content(100_000);
    const sums = new BlockSums();
    for (let at = 0; at < data.length;) {
      const end = Math.min(at + 9_973, (Math.floor(at / blockBytes) + 1) * blockBytes, data.length);
      sums.addPart(crc32(data.subarray(at, end)), end - at);
      at = end;
      expect(sums.crc).toBe(crc32(data.subarray(0, at)));
    }
    expect([...sums.blocks()]).toEqual(partCrcs(0, [data]));
    const [a, b] = [data.subarray(0, 77), data.subarray(77)];
    expect(crc32Combine(crc32(a), crc32(b), b.length)).toBe(crc32(data));
  });

  test("corruptions are not propagated to other machines: every hop checks what it gets", () => {
    const data = content(1_000);
    const frame = concatBytes(encodeFrame("writeData", 1, encodeBlockHeader(0, partCrcs(0, [data])), [data]));
    expect(decodeBlocks(new FrameParser().feed(frame)[0]!).bytes).toBe(1_000);
    const flipped = frame.slice();
    flipped[flipped.length - 1]! ^= 1;
    expect(() => decodeBlocks(new FrameParser().feed(flipped)[0]!)).toThrow("checksum of block 0 is wrong");
  });
});
