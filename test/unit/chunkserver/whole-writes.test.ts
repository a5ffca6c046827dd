import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../src/base/checksum.ts";
import { hasCode } from "../../../src/base/errors.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { CallFailure, FrameCalls } from "../../../src/net/frame-calls.ts";
import { acceptFrames, errorOfFrame, type FrameConnection } from "../../../src/net/frame-connection.ts";
import { FramePool } from "../../../src/net/frame-pool.ts";
import type { Chain } from "../../../src/wire/control/common.ts";
import { partCrcs } from "../../../src/wire/data/blocks.ts";
import { decodeWholeDone, encodeWhole, wholeCrc } from "../../../src/wire/data/whole.ts";
import { type ChunkHandle, chunkHandle, volumeId } from "../../../src/wire/ids.ts";
import { answer, cluster, content, dial, handle, limits, origin, readChunk, secret, Trio, version } from "./trio.ts";

interface Spoiled {
  readonly handle?: ChunkHandle;
  readonly stream?: number;
  /** Turned over in the first block's CRC, and in that of the whole. */
  readonly block?: number;
  readonly whole?: number;
}

function sendWhole(frames: FrameConnection, chain: Chain, bytes: Uint8Array, spoiled: Spoiled = {}): void {
  const crcs = partCrcs(0, [bytes]);
  const crc = (wholeCrc(crcs, bytes.length) ^ (spoiled.whole ?? 0)) >>> 0;
  crcs[0] = ((crcs[0] ?? 0) ^ (spoiled.block ?? 0)) >>> 0;
  const chunk = { handle: spoiled.handle ?? handle, version, crc, origin, chain };
  frames.send("writeWhole", spoiled.stream ?? 3, encodeWhole(chunk, crcs), [bytes]);
}

async function refusal(frames: FrameConnection): Promise<unknown> {
  return answer(frames).catch((error: unknown) => error);
}

/** A chunkserver that says hello and reads, or does not, and never answers. */
function silentServer(trio: Trio, reads: boolean) {
  const volume = volumeId("ee".repeat(16));
  trio.simulation.do(trio.simulation.machine("silent"), async (world) => {
    await world.stream.listen("silent:2", (connection) => {
      const options = { volume, clusterId: () => cluster, secret, timeoutMs: 1_000 };
      const serve = async (): Promise<void> => {
        const { frames } = await acceptFrames(world, connection, options);
        if (!reads) return;
        while ((await frames.read()) !== null);
      };
      serve().catch(() => connection.close());
    });
  });
  return { volume, label: "silent", data: "silent:2", control: "silent:1" };
}

describe("DESIGN §4.2 a small chunk along a chain, in one frame", () => {
  test.each([1, 65_536, 65_537, 999_999, 1_048_576])("of %i bytes is at every server, byte by byte", (bytes) => {
    const trio = new Trio();
    const chain = trio.chain();
    const sent = content(bytes);
    const done = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      sendWhole(frames, chain, sent);
      return decodeWholeDone(await answer(frames));
    });
    expect(done).toEqual({ length: bytes, crc: crc32(sent), volumes: 3 });
    for (const at of chain) {
      const read = trio.do((world) => readChunk(world, at));
      expect(read).toMatchObject({ bytes, end: bytes, open: false });
      expect(crc32(read.content)).toBe(crc32(sent));
    }
  });

  test("hundreds at once share a connection, here and to the next server, and each gets its answer", () => {
    const trio = new Trio();
    const chain = trio.chain();
    const streams = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      for (let stream = 1; stream <= 300; stream++)
        sendWhole(frames, chain, content(500 + stream), { stream, handle: chunkHandle(1_000 + stream) });
      const answered: number[] = [];
      while (answered.length < 300) {
        const frame = await answer(frames);
        expect(decodeWholeDone(frame).length).toBe(500 + frame.stream);
        answered.push(frame.stream);
      }
      return answered;
    });
    expect(new Set(streams).size).toBe(300);
  });

  test.each([
    ["block", { block: 1 }],
    ["chunk", { whole: 1 }],
  ] as const)("a wrong checksum of a %s is refused at the first server, and nothing is kept anywhere", (_, spoiled) => {
    const trio = new Trio();
    const chain = trio.chain();
    const refused = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      sendWhole(frames, chain, content(100_000), spoiled);
      return refusal(frames);
    });
    expect(hasCode(refused, "Corrupt")).toBe(true);
    trio.simulation.runFor(1_000);
    for (const at of chain) {
      const read = trio.do((world) => readChunk(world, at).catch((error: unknown) => error));
      expect(hasCode(read, "ReplicaMissing")).toBe(true);
    }
  });

  test.each([
    ["s1", "ReplicaMissing"],
    ["s2", "ChunkClosed"],
    ["s3", "ChunkClosed"],
  ])("what %s refuses is told, with its volume", (name, code) => {
    const trio = new Trio();
    const chain = trio.chain();
    const refused = trio.do(async (world) => {
      if (name !== "s1") {
        const there = await dial(world, trio.address(name).data);
        sendWhole(there, trio.chain(name), content(10));
        await answer(there);
      }
      const frames = await dial(world, chain[0]!.data);
      sendWhole(frames, name === "s1" ? trio.chain("s2", "s3") : chain, content(20));
      return refusal(frames);
    });
    expect(hasCode(refused, "ReplicaMissing", "ChunkClosed") && [refused.code, refused.details["volume"]]).toEqual([
      code,
      trio.server(name).volume,
    ]);
  });

  test.each(["s2", "s3"])(
    "%s killed: the error names its volume at once, and the others go on without it",
    (victim) => {
      const trio = new Trio();
      const dead = trio.server(victim).volume;
      const machine = trio.machines.find(({ name }) => name === victim)!;
      const chain = trio.chain();
      const rest = chain.filter(({ label }) => label !== victim);
      const [refused, tookMs, done] = trio.do(async (world) => {
        const frames = await dial(world, chain[0]!.data);
        sendWhole(frames, chain, content(10));
        await answer(frames);
        machine.crash({ powerLoss: false });
        const beganMs = world.clock.monotonicMs();
        sendWhole(frames, chain, content(20), { handle: chunkHandle(78) });
        const error = await refusal(frames);
        sendWhole(frames, rest, content(20), { handle: chunkHandle(79) });
        return [error, world.clock.monotonicMs() - beganMs, await answer(frames)] as const;
      });
      expect(hasCode(refused, "Unavailable") && refused.details["volume"]).toBe(dead);
      expect(tookMs).toBeLessThan(1_500);
      expect(decodeWholeDone(done).volumes).toBe(2);
    },
  );

  test.each(["s1", "s2", "s3"])("%s frozen: it alone is named, within the stall time and a second", (victim) => {
    const trio = new Trio();
    const chain = trio.chain();
    const { volume } = trio.server(victim);
    const { putStallMs } = limits;
    const [named, tookMs] = trio.do(async (world) => {
      const pool = new FramePool(world, { role: "client", secret });
      const calls = new FrameCalls(world, pool);
      const put = async (number: number): Promise<unknown> => {
        const bytes = content(1_000);
        const crcs = partCrcs(0, [bytes]);
        const chunk = { handle: chunkHandle(number), version, crc: wholeCrc(crcs, bytes.length), origin, chain };
        const patience = { connectMs: 1_000, silentMs: putStallMs, answerMs: putStallMs * (1 + 3 / 8) };
        const call = { type: "writeWhole", header: encodeWhole(chunk, crcs), payload: [bytes], ...patience } as const;
        try {
          const frame = await calls.call(chain[0]!.data, call);
          return frame.type === "wholeDone" ? frame.type : errorOfFrame(frame, "s1").details["volume"];
        } catch (thrown) {
          return thrown instanceof CallFailure && hasCode(thrown.reason, "Timeout") ? chain[0]!.volume : thrown;
        }
      };
      // On connections that are there already.
      expect(await put(1)).toBe("wholeDone");
      trio.machines.find(({ name }) => name === victim)!.pause(60_000);
      const beganMs = world.clock.monotonicMs();
      return [await put(2), world.clock.monotonicMs() - beganMs] as const;
    });
    expect(named).toBe(volume);
    expect(tookMs).toBeGreaterThanOrEqual(putStallMs);
    expect(tookMs).toBeLessThanOrEqual(putStallMs + 1_000);
  });

  test.each([true, false])("a next server that is silent (and reads: %p) is named, within the stall time", (reads) => {
    const trio = new Trio();
    const silent = silentServer(trio, reads);
    const chain = [...trio.chain("s1", "s2"), silent];
    const [error, tookMs] = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      const beganMs = world.clock.monotonicMs();
      sendWhole(frames, chain, content(1_000));
      return [await refusal(frames), world.clock.monotonicMs() - beganMs] as const;
    });
    expect(hasCode(error, "Timeout") && error.details["volume"]).toBe(silent.volume);
    expect(tookMs).toBeGreaterThanOrEqual(limits.putStallMs);
    expect(tookMs).toBeLessThan(limits.putStallMs * (1 + 2 / 8));
  });

  test("what waits for a silent server is bounded: more is told to come back, and all of it ends", () => {
    const trio = new Trio();
    const silent = silentServer(trio, false);
    const chain = [...trio.chain("s1"), silent];
    const piece = content(1_000_000);
    const codes = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      for (let stream = 1; stream <= 100; stream++)
        sendWhole(frames, chain, piece, { stream, handle: chunkHandle(1_000 + stream) });
      const counts = new Map<string, number>();
      for (let i = 0; i < 100; i++) {
        const error = await refusal(frames);
        const code = hasCode(error, "Busy", "Timeout") ? error.code : String(error);
        counts.set(code, (counts.get(code) ?? 0) + 1);
      }
      return Object.fromEntries(counts);
    });
    expect(codes).toEqual({ Timeout: 67, Busy: 33 });
    const after = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      sendWhole(frames, trio.chain("s1", "s2"), content(10), { handle: chunkHandle(5_000) });
      return (await answer(frames)).type;
    });
    expect(after).toBe("wholeDone");
  });

  test("who sends and never reads is not read any more; its connection ends when it is idle", () => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    const sent = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      // Each refusal is longer than what asked for it.
      const ask = (): void => sendWhole(frames, trio.chain("s2"), content(1));
      for (let i = 0; i < 100_000; i++) ask();
      await sleep(world.clock, 60_000);
      const waiting = frames.queuedBytes;
      await sleep(world.clock, 100_000);
      return { waiting, closed: frames.closed };
    });
    expect(sent.waiting).toBeGreaterThan(1_000_000);
    expect(sent.closed).toBe(true);
  });

  test("acknowledged means on the disks of all: the power goes at any moment, everywhere", () => {
    const small = {
      ...limits,
      smallChunkBytesMax: 20_000,
      logSegmentBytes: 256 * 1024,
      volumeLogBytesMax: 1024 * 1024,
    };
    let acknowledged = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const trio = new Trio(seed, small);
      const chain = trio.chain();
      const { simulation } = trio;
      const done: number[] = [];
      const task = trio.client.run(async (world) => {
        const frames = await dial(world, chain[0]!.data);
        for (let i = 1; i <= 9; i++)
          sendWhole(frames, chain, content(300 * i, i), { stream: i, handle: chunkHandle(i) });
        for (;;) done.push((await answer(frames)).stream);
      });
      const until = simulation.scheduler.events + 2 * seed;
      simulation.runUntil(() => task.settled || simulation.scheduler.events >= until);
      for (const machine of trio.machines) machine.crash({ powerLoss: true });
      for (const machine of trio.machines) {
        machine.restart();
        trio.start(machine, { limits: small });
      }
      acknowledged += done.length;
      for (const name of ["s1", "s2", "s3"]) {
        const refusals = trio.do(async (world) => {
          const frames = await dial(world, trio.address(name).data);
          const codes: string[] = [];
          for (const i of done) {
            sendWhole(frames, trio.chain(name), content(5), { handle: chunkHandle(i) });
            const error = await refusal(frames);
            codes.push(hasCode(error, "ChunkClosed") ? error.code : "lost");
          }
          return codes;
        });
        expect(refusals).toEqual(done.map(() => "ChunkClosed"));
      }
    }
    // Some, but not all: the moments lie around the acknowledgements.
    expect(acknowledged).toBeGreaterThan(40);
    expect(acknowledged).toBeLessThan(300);
  }, 120_000);
});

describe("a frame that is none", () => {
  test.each([
    ["is cut off", (header: Uint8Array) => header.subarray(0, 40)],
    ["has no chain", (header: Uint8Array) => header.subarray(0, 34 + 4 + 4)],
    ["names handle 0", (header: Uint8Array) => header.slice().fill(0, 0, 8)],
    ["has half a member", (header: Uint8Array) => header.subarray(0, header.length - 1)],
  ])("%s: that request alone is refused", (_, spoil) => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    const said = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      const bytes = content(10);
      const crc = crc32(bytes);
      const header = encodeWhole({ handle, version, crc, origin, chain }, [crc]);
      frames.send("writeWhole", 1, spoil(header), [bytes]);
      const first = await frames.read();
      sendWhole(frames, chain, bytes);
      return [first === null ? "" : errorOfFrame(first, "s1").code, (await answer(frames)).type];
    });
    expect(said).toEqual(["ProtocolError", "wholeDone"]);
  });
});
