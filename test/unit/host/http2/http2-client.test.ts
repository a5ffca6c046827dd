import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes, utf8 } from "../../../../src/base/bytes.ts";
import {
  encodeFrame,
  encodeNumberFrame,
  encodeSettings,
  frameFlag,
  frameType,
  type Http2Frame,
  numberAt,
  setting,
} from "../../../../src/host/http2/frames.ts";
import { encodeHeaderBlock } from "../../../../src/host/http2/hpack.ts";
import { Http2Client } from "../../../../src/host/http2/http2-client.ts";
import type { Http2Call, Http2Stream } from "../../../../src/host/http2/http2-stream.ts";
import { ClientBytes, dataFrame, headersFrame } from "./raw-server.ts";

const { endStream, endHeaders } = frameFlag;
const block = encodeHeaderBlock([[":path", "/x"]]);
const nothing = new Uint8Array(0);

/** A client whose server is the test. */
class Wire {
  readonly sent: Http2Frame[] = [];
  readonly ends: string[] = [];
  readonly #bytes = new ClientBytes();
  readonly client = new Http2Client((pieces) => this.sent.push(...this.#bytes.feed(concatBytes(pieces).slice())));

  call(name: string, body: Uint8Array = nothing): Http2Stream {
    const call: Http2Call = {
      onAnswer: (answer) => this.ends.push(`${name}: ${answer.status} ${new TextDecoder().decode(answer.body)}`),
      onFailure: ({ reason, processed }) => this.ends.push(`${name}: ${processed}: ${reason}`),
    };
    return this.client.request(block, body, call);
  }

  say(...frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.client.receive(frame.slice());
  }

  answer(stream: number, text: string): void {
    this.say(
      headersFrame(stream, { ":status": "200", "content-length": `${text.length}` }),
      dataFrame(stream, utf8(text), endStream),
    );
  }

  /** Of frames that the client sent, by type. */
  ofType(type: number): Http2Frame[] {
    return this.sent.filter((frame) => frame.type === type);
  }

  bodyBytes(stream: number): number {
    return this.ofType(frameType.data)
      .filter((frame) => frame.stream === stream)
      .reduce((sum, { payload }) => sum + payload.length, 0);
  }
}

function settings(id: number, value: number): Uint8Array {
  return encodeSettings([[id, value]]);
}

describe("an HTTP/2 client", () => {
  test("begins with the preface, its settings and its window", () => {
    const pieces: Uint8Array[] = [];
    const client = new Http2Client((sent) => pieces.push(...sent));
    expect(client.usable).toBe(true);
    expect(concatBytes(pieces).toHex()).toBe(
      "505249202a20485454502f322e300d0a0d0a534d0d0a0d0a" +
        "00000c040000000000000200000000000400100000" +
        "00000408000000000000ff0001",
    );
  });

  test("gives each call its own answer, in whatever order they come", () => {
    const wire = new Wire();
    wire.call("a");
    wire.call("b", utf8("body"));
    expect(wire.ofType(frameType.headers).map(({ stream, flags }) => [stream, flags])).toEqual([
      [1, endHeaders | endStream],
      [3, endHeaders],
    ]);
    wire.answer(3, "second");
    wire.answer(1, "first");
    expect(wire.ends).toEqual(["b: 200 second", "a: 200 first"]);
  });

  test("passes over preliminary answers, trailers, priorities and what it does not know", () => {
    const wire = new Wire();
    wire.call("a");
    wire.say(
      encodeFrame({ type: frameType.priority, flags: 0, stream: 1, payload: new Uint8Array(5) }),
      encodeFrame({ type: 200, flags: 255, stream: 1, payload: new Uint8Array(5) }),
      headersFrame(1, { ":status": "103" }),
      headersFrame(1, { ":status": "200", "content-length": "2" }),
      dataFrame(1, utf8("ok")),
      headersFrame(1, { "x-checked": "yes" }, endStream),
    );
    expect(wire.ends).toEqual(["a: 200 ok"]);
  });

  test("puts headers in several frames together, and takes nothing between them", () => {
    const whole = encodeHeaderBlock([
      [":status", "200"],
      ["content-length", "0"],
    ]);
    const first = encodeFrame({ type: frameType.headers, flags: endStream, stream: 1, payload: whole.slice(0, 3) });
    const next = encodeFrame({
      type: frameType.continuation,
      flags: endHeaders,
      stream: 1,
      payload: whole.slice(3),
    });
    const wire = new Wire();
    wire.call("a");
    wire.say(first, next);
    expect(wire.ends).toEqual(["a: 200 "]);
    const broken = new Wire();
    broken.call("a");
    broken.say(first, encodeNumberFrame(frameType.windowUpdate, 0, 1));
    expect(broken.ends[0]).toContain("headers that do not go on");
    const endless = new Wire();
    endless.call("a");
    endless.say(first);
    const empty = encodeFrame({ type: frameType.continuation, flags: 0, stream: 1, payload: nothing });
    for (let i = 0; i < 20_000 && !endless.client.lost; i++) endless.say(empty);
    expect(endless.ends[0]).toContain("too long");
  });

  test("sends no more of a body than the windows of stream and connection let go, and the rest when they grow", () => {
    const wire = new Wire();
    wire.call("a", new Uint8Array(100_000));
    expect(wire.bodyBytes(1)).toBe(65_535);
    wire.say(encodeNumberFrame(frameType.windowUpdate, 1, 50_000));
    expect(wire.bodyBytes(1)).toBe(65_535);
    wire.say(encodeNumberFrame(frameType.windowUpdate, 0, 10_000));
    expect(wire.bodyBytes(1)).toBe(75_535);
    wire.say(encodeNumberFrame(frameType.windowUpdate, 0, 100_000));
    expect(wire.bodyBytes(1)).toBe(100_000);
    expect(wire.ofType(frameType.data).every(({ payload }) => payload.length <= 16_384)).toBe(true);
    expect(wire.ofType(frameType.data).filter(({ flags }) => flags === endStream)).toHaveLength(1);
    expect(wire.sent.findLast(({ type }) => type === frameType.data)?.flags).toBe(endStream);
    wire.answer(1, "taken");
    expect(wire.ends).toEqual(["a: 200 taken"]);
  });

  test("keeps to windows that the server's settings make smaller or larger under way", () => {
    const wire = new Wire();
    wire.call("a", new Uint8Array(65_535));
    wire.say(settings(setting.initialWindowSize, 10));
    wire.say(encodeNumberFrame(frameType.windowUpdate, 0, 200_000));
    wire.call("b", new Uint8Array(100));
    expect(wire.bodyBytes(3)).toBe(10);
    wire.say(settings(setting.initialWindowSize, 99));
    expect(wire.bodyBytes(3)).toBe(99);
    wire.say(encodeNumberFrame(frameType.windowUpdate, 3, 1));
    expect(wire.bodyBytes(3)).toBe(100);
    wire.say(settings(setting.initialWindowSize, 0x8000_0000));
    expect(wire.client.lost).toBe(true);
  });

  test("tells the server what it has taken of long answers", () => {
    const wire = new Wire();
    wire.call("a");
    const bytes = 9_000_000;
    wire.say(headersFrame(1, { ":status": "200", "content-length": `${bytes}` }));
    for (let left = bytes; left > 0; left -= 16_000) {
      const last = left <= 16_000;
      wire.say(dataFrame(1, new Uint8Array(Math.min(16_000, left)), last ? endStream : 0));
    }
    expect(wire.ends[0]?.length).toBe("a: 200 ".length + bytes);
    const taken = (stream: number): number =>
      wire
        .ofType(frameType.windowUpdate)
        .filter((frame) => frame.stream === stream)
        .slice(stream === 0 ? 1 : 0)
        .reduce((sum, { payload }) => sum + numberAt(payload, 0), 0);
    expect(taken(0)).toBeGreaterThanOrEqual(8 << 20);
    expect(taken(1)).toBeGreaterThan(bytes - (1 << 20));
  });

  test("keeps nothing of a call that is over, and lets others go on", () => {
    const wire = new Wire();
    wire.client.cancel(wire.call("a"));
    for (let i = 0; i < 1_100; i++) wire.say(dataFrame(1, new Uint8Array(16_384)));
    wire.call("b");
    wire.answer(3, "b");
    expect(wire.ends).toEqual(["b: 200 b"]);
  });

  test("ends a call whose answer is longer than declared before it has ended", () => {
    const wire = new Wire();
    wire.call("a");
    wire.say(headersFrame(1, { ":status": "200", "content-length": "5" }), dataFrame(1, utf8("longer")));
    expect(wire.ends).toEqual(["a: perhaps: the answer is longer than the 5 bytes it declared"]);
    expect(wire.ofType(frameType.reset).map(({ stream }) => stream)).toEqual([1]);
  });

  test("has no more calls under way than the server takes, and begins the others as these end", () => {
    const wire = new Wire();
    wire.say(settings(setting.maxConcurrentStreams, 2));
    const calls = ["a", "b", "c", "d", "e"].map((name) => wire.call(name));
    expect(calls.map(({ number }) => number)).toEqual([1, 3, 0, 0, 0]);
    const [, second, third] = calls;
    if (second === undefined || third === undefined) throw new Error("no calls");
    wire.client.cancel(third);
    wire.client.cancel(second);
    expect(calls.map(({ number }) => number)).toEqual([1, 3, 0, 5, 0]);
    expect(wire.ofType(frameType.reset).map(({ stream, payload }) => [stream, numberAt(payload, 0)])).toEqual([[3, 8]]);
    wire.say(headersFrame(3, { ":status": "200", "content-length": "0" }, endStream)); // it comes too late
    wire.answer(1, "1");
    wire.answer(7, "7");
    expect(wire.ends).toEqual(["a: 200 1", "e: 200 7"]);
    wire.client.lose("the cable");
    expect(wire.ends.slice(2)).toEqual(["d: perhaps: the cable"]);
  });

  test("tells what surely was not processed from what perhaps was", () => {
    const wire = new Wire();
    wire.say(settings(setting.maxConcurrentStreams, 3));
    for (const name of ["a", "b", "c", "d"]) wire.call(name);
    wire.say(encodeNumberFrame(frameType.reset, 3, 7));
    expect(wire.ends).toEqual(["b: no: the server ended it (code 7)"]);
    wire.say(encodeNumberFrame(frameType.goaway, 0, 5, 0));
    expect(wire.client.usable).toBe(false);
    expect(wire.ends.slice(1)).toEqual(["d: no: the server is stopping"]);
    wire.answer(1, "late");
    wire.client.lose("gone");
    expect(wire.ends.slice(2)).toEqual(["a: 200 late", "c: perhaps: gone"]);
  });

  test("answers pings and settings, and not their answers", () => {
    const wire = new Wire();
    const payload = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    wire.sent.length = 0;
    for (const flags of [0, frameFlag.ack]) {
      wire.say(encodeFrame({ type: frameType.ping, flags, stream: 0, payload }));
      wire.say(encodeFrame({ type: frameType.settings, flags, stream: 0, payload: nothing }));
    }
    expect(wire.sent).toEqual([
      { type: frameType.ping, flags: frameFlag.ack, stream: 0, payload },
      { type: frameType.settings, flags: frameFlag.ack, stream: 0, payload: nothing },
    ]);
  });

  test.each<[string, Uint8Array]>([
    ["data of no stream", dataFrame(0, nothing)],
    ["an answer to no call", headersFrame(99, { ":status": "200" })],
    ["a stream of its own", headersFrame(2, { ":status": "200" })],
    ["a promise", encodeFrame({ type: frameType.pushPromise, flags: 0, stream: 1, payload: new Uint8Array(5) })],
    ["headers that go on from nothing", encodeFrame({ type: 9, flags: 4, stream: 1, payload: nothing })],
    ["a broken header block", encodeFrame({ type: 1, flags: 4, stream: 1, payload: Uint8Array.of(0xff) })],
    ["a window that grows by nothing", encodeNumberFrame(frameType.windowUpdate, 0, 0)],
    ["a window beyond all bounds", encodeNumberFrame(frameType.windowUpdate, 1, 0x7fff_ffff)],
    ["a ping of another length", encodeFrame({ type: 6, flags: 0, stream: 0, payload: nothing })],
    ["settings of a stream", encodeFrame({ type: 4, flags: 0, stream: 1, payload: nothing })],
    ["a good-bye without a stream", encodeFrame({ type: 7, flags: 0, stream: 0, payload: new Uint8Array(4) })],
    ["a reset of the connection", encodeNumberFrame(frameType.reset, 0, 8)],
  ])("gives up a connection with %s: its calls may have been processed", (_, frame) => {
    const wire = new Wire();
    wire.call("a");
    wire.say(frame);
    expect(wire.client.lost).toBe(true);
    expect(wire.ends).toHaveLength(1);
    expect(wire.ends[0]).toMatch(/^a: perhaps: the server does not speak HTTP\/2 as agreed/);
    expect(wire.sent.at(-1)?.type).toBe(frameType.goaway);
  });

  test("takes any bytes, cut anywhere, without a crash: each call ends once at most, and all do when the connection is lost", () => {
    const frame = fc.record({
      type: fc.integer({ min: 0, max: 10 }),
      flags: fc.constantFrom(0, 1, 4, 5, 8, 32, 45),
      stream: fc.constantFrom(0, 1, 3, 5, 7),
      payload: fc.oneof(
        fc.uint8Array({ maxLength: 20 }),
        fc.constant(
          encodeHeaderBlock([
            [":status", "200"],
            ["content-length", "3"],
          ]),
        ),
        fc.constant(Uint8Array.of(0, 0, 0, 9)),
      ),
    });
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 15 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.integer({ min: 1, max: 30 }),
        (frames, noise, step) => {
          const wire = new Wire();
          for (const name of ["a", "b", "c"]) wire.call(name, new Uint8Array(70_000));
          const bytes = concatBytes([...frames.map((one) => encodeFrame(one)), noise]);
          for (let at = 0; at < bytes.length; at += step) wire.client.receive(bytes.slice(at, at + step));
          wire.client.lose("over");
          expect(wire.ends.map((end) => end.slice(0, 1)).sort()).toEqual(["a", "b", "c"]);
        },
      ),
    );
  });
});
