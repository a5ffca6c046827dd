import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes } from "../../../src/base/bytes.ts";
import { GfsError } from "../../../src/base/errors.ts";
import { encodeFrame, type Frame, FrameParser, frameTypes, type FrameType } from "../../../src/wire/data/frame.ts";

const isFrameType = (name: string): name is FrameType => Object.hasOwn(frameTypes, name);

/** One frame of each type, with headers and payloads of different lengths, none included. */
const bytes = concatBytes(
  Object.keys(frameTypes)
    .filter(isFrameType)
    .flatMap((type, i) => {
      const header = Uint8Array.from({ length: (i * 5) % 37 }, (_, at) => at ^ i);
      const payload = Uint8Array.from({ length: (i * 11) % 90 }, (_, at) => (at * 3) ^ i);
      return encodeFrame(type, i * 1000, header, [payload.subarray(0, 7), payload.subarray(7)]);
    }),
);

/** Equal for equal frames, whatever the pieces of their payloads. */
function shapeOf(parsed: readonly Frame[]): [string, number, string, number, string][] {
  return parsed.map(({ type, stream, header, payload, payloadBytes }) => {
    return [type, stream, header.toHex(), payloadBytes, concatBytes(payload).toHex()];
  });
}

function feed(parser: FrameParser, piece: Uint8Array): Frame[] | GfsError {
  try {
    return parser.feed(piece);
  } catch (error) {
    if (error instanceof GfsError) return error;
    throw error;
  }
}

const whole = shapeOf(new FrameParser().feed(bytes));

describe("frame parser", () => {
  test("gives each frame that was encoded", () => {
    expect(whole.map(([type, stream]) => [type, stream])).toEqual(
      Object.keys(frameTypes).map((type, i) => [type, i * 1000]),
    );
  });

  test("gives the same frames however the bytes are cut", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 50 }), (sizes) => {
        const parser = new FrameParser();
        const parsed: Frame[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = Math.min(bytes.length, at + sizes[i % sizes.length]!);
          parsed.push(...parser.feed(bytes.slice(at, end)));
          at = end;
        }
        expect(parser.idle).toBe(true);
        expect(shapeOf(parsed)).toEqual(whole);
      }),
      { numRuns: 100 },
    );
  });

  test("keeps few pieces of a payload that comes byte by byte", () => {
    const parser = new FrameParser();
    const [head, payload] = [encodeFrame("writeData", 1, new Uint8Array(12), [new Uint8Array(4_000)]), 4_000];
    const frames: Frame[] = [];
    for (const byte of concatBytes(head)) frames.push(...parser.feed(Uint8Array.of(byte)));
    expect(frames[0]?.payloadBytes).toBe(payload);
    expect(frames[0]?.payload.length).toBeLessThan(100);
  });

  test("refuses a flipped bit, or waits for more, or passes it on in a payload alone: never another frame", () => {
    for (let at = 0; at < bytes.length; at++) {
      const parsed = feed(new FrameParser(), bytes.with(at, bytes[at]! ^ (1 << (at % 8))));
      if (parsed instanceof GfsError) {
        expect(["ProtocolError", "VersionUnsupported"]).toContain(parsed.code);
        continue;
      }
      const withoutPayload = (shapes: typeof whole) => shapes.map((shape) => shape.slice(0, 4));
      expect(withoutPayload(shapeOf(parsed))).toEqual(withoutPayload(whole).slice(0, parsed.length));
    }
  });

  test("refuses garbage at its first bytes, and lengths over the limits before it keeps anything", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 100 }), (garbage) => {
        fc.pre(String.fromCharCode(...garbage.subarray(0, 4)) !== "gfsd");
        expect(feed(new FrameParser(), garbage)).toBeInstanceOf(GfsError);
      }),
    );
    for (const at of [15, 19])
      expect(feed(new FrameParser(), bytes.slice(0, 24).with(at, 255))).toBeInstanceOf(GfsError);
  });
});
