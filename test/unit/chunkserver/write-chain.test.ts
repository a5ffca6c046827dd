import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../src/base/checksum.ts";
import { hasCode } from "../../../src/base/errors.ts";
import { acceptFrames } from "../../../src/net/frame-connection.ts";
import { decodeHeader, encodeHeader, WriteDone, WriteEnd } from "../../../src/wire/data/headers.ts";
import { volumeId } from "../../../src/wire/ids.ts";
import { answer, cluster, content, dial, put, readChunk, secret, sendBlocks, sendOpen, Trio } from "./trio.ts";

const mebibyte = 1_048_576;

describe("DESIGN §4.2 a put along a chain", () => {
  test.each([
    ["one byte", 1],
    ["one block", 65_536],
    ["one block and a byte", 65_537],
    ["what fits the log", 999_999],
    ["more than a frame", 2 * mebibyte + 12_345],
  ] as const)("of %s is at every server, byte by byte, and the answer names them all", (_name, bytes) => {
    const trio = new Trio();
    const chain = trio.chain();
    const sent = content(bytes);
    const done = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      return decodeHeader(WriteDone, (await put(frames, chain, sent)).header);
    });
    expect(done).toEqual({ length: bytes, crc: crc32(sent), volumes: chain.map(({ volume }) => volume) });
    for (const at of chain) {
      const read = trio.do((world) => readChunk(world, at));
      expect(read).toMatchObject({ bytes, end: bytes, open: false });
      expect(crc32(read.content)).toBe(crc32(sent));
    }
  });

  test("one connection carries one put after the other, and the servers' own connections are used again", () => {
    const trio = new Trio();
    const chain = trio.chain();
    const codes = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      const first = await put(frames, chain, content(1_000));
      const again = await put(frames, chain, content(1_000)).catch((error: unknown) => error);
      return [first.type, hasCode(again, "ChunkClosed")];
    });
    expect(codes).toEqual(["writeDone", true]);
  });

  test("a block whose checksum is wrong is refused at the first server, and nothing is kept anywhere", () => {
    const trio = new Trio();
    const chain = trio.chain();
    const refused = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      sendOpen(frames, chain, 100);
      sendBlocks(frames, 0, content(100), 1);
      return answer(frames).catch((error: unknown) => error);
    });
    expect(hasCode(refused, "Corrupt")).toBe(true);
    trio.simulation.runFor(1_000);
    for (const at of chain) {
      const read = trio.do((world) => readChunk(world, at).catch((error: unknown) => error));
      expect(hasCode(read, "ReplicaMissing")).toBe(true);
    }
  });

  test("an end that does not fit the bytes is refused", () => {
    const trio = new Trio();
    const chain = trio.chain();
    const refused = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      sendOpen(frames, chain, undefined);
      sendBlocks(frames, 0, content(100));
      frames.send("writeEnd", 3, encodeHeader(WriteEnd, { length: 100, crc: 1 }));
      return answer(frames).catch((error: unknown) => error);
    });
    expect(hasCode(refused, "Corrupt")).toBe(true);
  });

  test.each(["s2", "s3"])("%s killed in the middle: the error names its volume, within the stall time", (victim) => {
    const trio = new Trio();
    const chain = trio.chain();
    const dead = trio.server(victim).volume;
    const machine = trio.machines.find(({ name }) => name === victim)!;
    const refused = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      sendOpen(frames, chain, undefined);
      sendBlocks(frames, 0, content(mebibyte));
      machine.crash({ powerLoss: false });
      for (let at = 1; at < 8; at++) sendBlocks(frames, at * mebibyte, content(mebibyte));
      return answer(frames).catch((error: unknown) => error);
    });
    expect(hasCode(refused, "Unavailable")).toBe(true);
    expect(hasCode(refused, "Unavailable") && refused.details["volume"]).toBe(dead);
  });

  test("a next server that reads nothing holds the stream back: memory stays flat, and its volume is named in the end", () => {
    const trio = new Trio();
    const lazy = volumeId("ee".repeat(16));
    const address = { volume: lazy, label: "lazy", data: "lazy:2", control: "lazy:1" };
    trio.simulation.do(trio.simulation.machine("lazy"), async (world) => {
      await world.stream.listen("lazy:2", (connection) => {
        const options = { volume: lazy, clusterId: () => cluster, secret, timeoutMs: 1_000 };
        acceptFrames(world, connection, options).catch(() => connection.close());
      });
    });
    const chain = [trio.address("s1"), address];
    const total = 48;
    const result = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      sendOpen(frames, chain, undefined);
      for (let at = 0; at < total; at++) sendBlocks(frames, at * mebibyte, content(mebibyte));
      const failure = answer(frames).catch((error: unknown) => error);
      const { promise, resolve } = Promise.withResolvers<void>();
      world.clock.after(5_000, resolve);
      await promise;
      const taken = total * mebibyte - frames.queuedBytes;
      return { taken, error: await failure };
    });
    // The window, what is in the sockets' buffers on both sides, and the frame in hand.
    expect(result.taken).toBeLessThan(16 * mebibyte);
    expect(hasCode(result.error, "Timeout") && result.error.details["volume"]).toBe(lazy);
  });

  test("a chain that begins with another volume is refused", () => {
    const trio = new Trio();
    const refused = trio.do(async (world) => {
      const frames = await dial(world, trio.address("s1").data);
      return put(frames, trio.chain("s2", "s3"), content(10)).catch((error: unknown) => error);
    });
    expect(hasCode(refused, "ReplicaMissing")).toBe(true);
  });

  test("a sender that goes away leaves nothing behind", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      sendOpen(frames, chain, undefined);
      sendBlocks(frames, 0, content(mebibyte));
      await frames.sent();
      frames.close();
    });
    trio.simulation.runFor(2_000);
    const done = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      return (await put(frames, chain, content(10))).type;
    });
    expect(done).toBe("writeDone");
  });
});
