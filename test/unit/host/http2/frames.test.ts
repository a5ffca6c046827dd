import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes } from "../../../../src/base/bytes.ts";
import {
  contentOf,
  decodeSettings,
  encodeFrame,
  encodeNumberFrame,
  encodeSettings,
  frameBytesDefault,
  frameFlag,
  FrameReader,
  frameType,
  Http2Error,
  type Http2Frame,
} from "../../../../src/host/http2/frames.ts";

const anyFrame: fc.Arbitrary<Http2Frame> = fc.record({
  type: fc.integer({ min: 0, max: 255 }),
  flags: fc.integer({ min: 0, max: 255 }),
  stream: fc.integer({ min: 0, max: 0x7fff_ffff }),
  payload: fc.uint8Array({ maxLength: 300 }),
});

/** The pieces of `bytes`, cut at these places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return at.slice(1).map((end, i) => bytes.slice(at[i], end));
}

describe("HTTP/2 frames", () => {
  test("have the bytes of RFC 9113", () => {
    const hex = (bytes: Uint8Array): string => bytes.toHex();
    expect(hex(encodeFrame({ type: 0, flags: 1, stream: 0x7fff_fffd, payload: Uint8Array.of(1, 2) }))).toBe(
      "00000200017ffffffd0102",
    );
    expect(hex(encodeNumberFrame(frameType.windowUpdate, 3, 0x7fff_ffff))).toBe("0000040800000000037fffffff");
    expect(hex(encodeNumberFrame(frameType.goaway, 0, 5, 1))).toBe("0000080700000000000000000500000001");
    const settings = encodeSettings([
      [1, 0],
      [4, 1_048_576],
    ]);
    expect(hex(settings)).toBe("00000c040000000000000100000000000400100000");
    expect(decodeSettings(settings.slice(9))).toEqual([
      [1, 0],
      [4, 1_048_576],
    ]);
  });

  test("come out as they went in, wherever the bytes are cut", () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 12 }), (frames, places) => {
        const reader = new FrameReader();
        const pieces = cut(concatBytes(frames.map((frame) => encodeFrame(frame))), places);
        expect(pieces.flatMap((piece) => reader.feed(piece))).toEqual(frames);
      }),
    );
  });

  test("of the greatest length are taken, one byte more is refused before it comes", () => {
    const payload = new Uint8Array(frameBytesDefault);
    const whole = encodeFrame({ type: 0, flags: 0, stream: 1, payload });
    expect(new FrameReader().feed(whole)[0]?.payload.length).toBe(frameBytesDefault);
    const head = encodeFrame({ type: 0, flags: 0, stream: 1, payload: new Uint8Array(frameBytesDefault + 1) });
    expect(() => new FrameReader().feed(head.slice(0, 9))).toThrow(Http2Error);
  });

  test("lose their padding and their priority", () => {
    const payload = Uint8Array.of(2, 9, 9, 9, 9, 9, 7, 8, 0, 0);
    const flags = frameFlag.padded | frameFlag.priority;
    expect([...contentOf({ type: frameType.headers, flags, stream: 1, payload })]).toEqual([7, 8]);
    expect([...contentOf({ type: frameType.data, flags, stream: 1, payload })]).toEqual([9, 9, 9, 9, 9, 7, 8]);
    const short = { type: frameType.data, flags: frameFlag.padded, stream: 1, payload: Uint8Array.of(1) };
    expect(() => contentOf(short)).toThrow(Http2Error);
    expect(() => contentOf({ ...short, payload: new Uint8Array(0) })).toThrow(Http2Error);
  });

  test("of settings have whole entries", () => {
    expect(() => decodeSettings(new Uint8Array(7))).toThrow(Http2Error);
  });
});
