import { describe, expect, test } from "bun:test";
import { hasCode } from "../../../src/base/errors.ts";
import { chunkHandle, sessionId } from "../../../src/wire/ids.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { errorOfFrame } from "../../../src/net/frame-connection.ts";
import type { FrameConnection } from "../../../src/net/frame-connection.ts";
import type { Connection, Stream } from "../../../src/io.ts";
import { encodeFrame } from "../../../src/wire/data/frame.ts";
import { AppendOpen, encodeHeader, Read, WriteOpen } from "../../../src/wire/data/headers.ts";
import type { Machine } from "../../sim/world/machine.ts";
import { answer, content, dial, handle, origin, put, sendBlocks, sendOpen, Trio, version } from "./trio.ts";

const until = async (frames: FrameConnection): Promise<string> => {
  for (;;) {
    const frame = await frames.read().catch(() => null);
    if (frame === null) return "closed";
    if (frame.type === "error") return errorOfFrame(frame, "s1").code;
  }
};

describe("DESIGN §4.6 the data port", () => {
  test("garbage after a good handshake: a typed error, then the end; others go on", () => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    const said = trio.do(async (world) => {
      const bad = await dial(world, chain[0]!.data);
      const good = await dial(world, chain[0]!.data);
      sendOpen(good, chain, undefined);
      sendBlocks(good, 0, content(10));
      bad.send("writeData", 1, new Uint8Array(3));
      bad.send("append", 0, new Uint8Array(0));
      bad.send("read", 0, new Uint8Array([0xff]));
      const refused = await until(bad);
      return [refused, await until(bad), good.closed];
    });
    expect(said).toEqual(["ProtocolError", "closed", false]);
  });

  test.each([
    ["writeOpen", new Uint8Array([0xff]), "ProtocolError"],
    ["read", new Uint8Array(0), "ProtocolError"],
    ["appendOpen", new Uint8Array([1, 2, 3]), "ProtocolError"],
    ["chainOpen", new Uint8Array([0x80]), "Denied"],
  ] as const)("a %s whose header can't be read ends that stream alone", (type, header, code) => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    const said = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      frames.send(type, 7, header);
      const refused = await until(frames);
      return [refused, (await put(frames, chain, content(10))).type];
    });
    // A client has no business in a chain, whatever it says there.
    expect(said).toEqual([code, "writeDone"]);
  });

  test("data that is out of order, doubled or after the end is refused", () => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    const said = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      sendOpen(frames, chain, undefined);
      sendBlocks(frames, 65_536, content(10));
      return until(frames);
    });
    expect(said).toBe("ProtocolError");
  });

  test("more streams than a connection may have are told to come back", () => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    const said = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      const open = { handle, version, chain, chunkBytes: 1_000_000, origin };
      for (let stream = 1; stream <= 65; stream++)
        frames.send("writeOpen", stream, encodeHeader(WriteOpen, { ...open, handle: chunkHandle(handle + stream) }));
      return until(frames);
    });
    expect(said).toBe("Busy");
  });

  test("a frame that does not get whole costs its sender the connection, whatever else is open on it", () => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    trio.openChunk(chain);
    const ends = trio.do(async (world) => {
      let raw: Connection | undefined;
      const connect: Stream["connect"] = async (address, options) => {
        raw = await world.stream.connect(address, options);
        return raw;
      };
      const stream: Stream = { connect, listen: (address, onConnection) => world.stream.listen(address, onConnection) };
      const frames = await dial({ ...world, stream }, chain[0]!.data);
      const { volume } = chain[0]!;
      const header = { volume, handle, version, inode: origin.inode, session: sessionId(1) };
      frames.send("appendOpen", 1, encodeHeader(AppendOpen, header));
      await answer(frames);
      const [head] = encodeFrame("append", 1, new Uint8Array(12), [new Uint8Array(1_000_000)]);
      raw?.send([head!, new Uint8Array(1_000)]);
      const beganMs = world.clock.monotonicMs();
      expect(await until(frames)).toBe("Timeout");
      return world.clock.monotonicMs() - beganMs;
    });
    expect(ends).toBeGreaterThan(25_000);
    expect(ends).toBeLessThan(35_000);
  });

  test("many frames that do not get whole hold a bounded sum of bytes: the oldest are given up first", () => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    const said = trio.do(async (world) => {
      const part = new Uint8Array(4 * 1_048_576 - 1);
      const ends: string[] = [];
      for (let i = 0; i < 80; i++) {
        let raw: Connection | undefined;
        const connect: Stream["connect"] = async (address, options) => {
          raw = await world.stream.connect(address, options);
          return raw;
        };
        const stream: Stream = {
          connect,
          listen: (address, onConnection) => world.stream.listen(address, onConnection),
        };
        const frames = await dial({ ...world, stream }, chain[0]!.data);
        const [head] = encodeFrame("ping", 1, new Uint8Array(0), [new Uint8Array(4 * 1_048_576)]);
        raw?.send([head!, part]);
        until(frames).then(
          (end) => ends.push(`${i} ${end}`),
          () => ends.push("failed"),
        );
      }
      await sleep(world.clock, 5_000);
      return ends;
    });
    expect(said.length).toBeGreaterThan(10);
    expect(said.length).toBeLessThan(30);
    expect(said.every((end) => end.endsWith("Timeout"))).toBe(true);
    expect(said).toContain("0 Timeout");
  });

  test("a connection on which nothing happens is closed", () => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    const ends = trio.do(async (world) => {
      const idle = await dial(world, chain[0]!.data);
      const beganMs = world.clock.monotonicMs();
      await until(idle);
      return world.clock.monotonicMs() - beganMs;
    });
    expect(ends).toBeLessThan(125_000);
  });

  test("whoever pings keeps its connection, and each ping is answered with its header", () => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    const [pongs, openMs] = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      const answered: string[] = [];
      for (let i = 1; i <= 5; i++) {
        await sleep(world.clock, 60_000);
        frames.send("ping", i, new Uint8Array([i]));
        const { type, stream, header } = await answer(frames);
        answered.push(`${type} ${stream} ${[...header]}`);
      }
      const lastMs = world.clock.monotonicMs();
      await until(frames);
      return [answered, world.clock.monotonicMs() - lastMs];
    });
    expect(pongs).toEqual([1, 2, 3, 4, 5].map((i) => `pong ${i} ${i}`));
    expect(openMs).toBeLessThan(125_000);
  });

  test("connections beyond the limit are told so where something is open on all", () => {
    const trio = new Trio(1, { connectionsMax: 2 });
    const chain = trio.chain("s1");
    const said = trio.do(async (world) => {
      for (const stream of [1, 2]) {
        const frames = await dial(world, chain[0]!.data);
        const open = { handle: chunkHandle(handle + stream), version, chain, chunkBytes: 1_000_000, origin };
        frames.send("writeOpen", 1, encodeHeader(WriteOpen, open));
        await frames.sent();
      }
      await sleep(world.clock, 100);
      return dial(world, chain[0]!.data).catch((error: unknown) => error);
    });
    expect(hasCode(said, "Busy")).toBe(true);
  });

  test("at the limit those that are idle make room, longest first: nobody is locked out by connections that do nothing", () => {
    const trio = new Trio(1, { connectionsMax: 4 });
    const chain = trio.chain("s1");
    const closed = trio.do(async (world) => {
      const busy = await dial(world, chain[0]!.data);
      sendOpen(busy, chain, undefined);
      await sleep(world.clock, 10);
      const idle: FrameConnection[] = [];
      for (let i = 0; i < 3; i++) {
        idle.push(await dial(world, chain[0]!.data));
        await sleep(world.clock, 10);
      }
      // Refused, but something came: it is the youngest now.
      idle[0]!.send("read", 5, new Uint8Array(0));
      expect(await until(idle[0]!)).toBe("ProtocolError");
      const ends = idle.map((frames) => until(frames));
      await dial(world, chain[0]!.data);
      expect(await ends[1]!).toBe("closed");
      await dial(world, chain[0]!.data);
      expect(await ends[2]!).toBe("closed");
      return [busy, ...idle].map((frames) => frames.closed);
    });
    expect(closed).toEqual([false, false, true, true]);
  });

  test("those that never said hello make room first, however many they are", () => {
    const trio = new Trio(1, { connectionsMax: 4 });
    const chain = trio.chain("s1");
    const [open, type] = trio.do(async (world) => {
      const idle = await dial(world, chain[0]!.data);
      const strangers: Connection[] = [];
      for (let i = 0; i < 20; i++) strangers.push(await world.stream.connect(chain[0]!.data, { timeoutMs: 1_000 }));
      const frames = await dial(world, chain[0]!.data);
      const put1 = await put(frames, chain, content(10));
      return [idle.closed, put1.type];
    });
    expect([open, type]).toEqual([false, "writeDone"]);
  });

  test("a sender that is silent in the middle of a put loses its stream", () => {
    const trio = new Trio();
    const chain = trio.chain();
    const said = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      sendOpen(frames, chain, undefined);
      sendBlocks(frames, 0, content(10));
      return until(frames);
    });
    expect(said).toBe("Timeout");
  });

  test("a read that is cancelled ends in order, and the connection can be used again", () => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    const machine: Machine = trio.machines[0]!;
    expect(machine.alive).toBe(true);
    const said = trio.do(async (world) => {
      const frames = await dial(world, chain[0]!.data);
      await put(frames, chain, content(9_000_000));
      const { volume } = chain[0]!;
      const header = { volume, handle, version, offset: 0, length: 9_000_000, purpose: "read" as const };
      frames.send("read", 5, encodeHeader(Read, header));
      frames.send("readCancel", 5, new Uint8Array(0));
      let bytes = 0;
      for (;;) {
        const frame = await answer(frames);
        if (frame.type === "readEnd") break;
        bytes += frame.payloadBytes;
      }
      frames.send("ping", 1, new Uint8Array(0));
      return [bytes < 9_000_000, (await answer(frames)).type];
    });
    expect(said).toEqual([true, "pong"]);
  });
});
