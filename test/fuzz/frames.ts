/** Frames of the data plane: any split of any bytes gives the same frames, and what is in them is refused or read, never trusted. */
import { concatBytes, viewOf } from "../../src/base/bytes.ts";
import { crc32 } from "../../src/base/checksum.ts";
import { GfsError } from "../../src/base/errors.ts";
import { protocol } from "../../src/limits.ts";
import { decodeBlocks, encodeBlockHeader, partCrcs } from "../../src/wire/data/blocks.ts";
import { type Frame, frameFixedBytes, FrameParser } from "../../src/wire/data/frame.ts";
import * as headers from "../../src/wire/data/headers.ts";
import { decodeAppend, decodeAppendAnswer, decodeChainAppend, decodeLength } from "../../src/wire/data/records.ts";
import { readGolden } from "../golden/golden-file.ts";
import type { Prng } from "../sim/world/prng.ts";
import { demand, type FuzzRun, type FuzzTarget, mustBeTyped, sameCbor, typed } from "./fuzz-target.ts";
import { mutateBytes, pick } from "./mutate.ts";

const refusals = ["ProtocolError", "VersionUnsupported"] as const;
const contentRefusals = ["ProtocolError", "Corrupt"] as const;

interface Parsed {
  readonly frames: string[];
  readonly refused: string;
}

/** What a parser makes of the pieces. @throws Error where it holds more than a frame may have */
function parse(pieces: readonly Uint8Array[], keep?: (frame: Frame) => void): Parsed {
  const parser = new FrameParser();
  const frames: string[] = [];
  const most = frameFixedBytes + protocol.frameHeaderBytesMax + protocol.framePayloadBytesMax;
  try {
    for (const piece of pieces) {
      for (const frame of parser.feed(piece)) {
        keep?.(frame);
        const { type, stream, header, payload, payloadBytes } = frame;
        const crc = crc32(concatBytes(payload), crc32(header));
        frames.push(`${type} ${stream} ${header.length} ${payloadBytes} ${crc}`);
      }
      demand(parser.partBytes <= most, () => `the parser holds ${parser.partBytes} bytes of one frame`);
    }
    return { frames, refused: "" };
  } catch (error) {
    return { frames, refused: mustBeTyped(error, refusals).code };
  }
}

function cut(prng: Prng, bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const most = pick(prng, [1, 3, 30, 300, 5_000]);
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + prng.integer(1, most));
    pieces.push(bytes.slice(at, end));
    at = end;
  }
  return pieces;
}

/** Makes the checksum of the first frame right again, so that what is behind it is reached. */
function mended(bytes: Uint8Array): Uint8Array {
  if (bytes.length < frameFixedBytes) return bytes;
  const view = viewOf(bytes);
  const header = bytes.subarray(frameFixedBytes, frameFixedBytes + Math.min(view.getUint32(12, true), bytes.length));
  view.setUint32(20, crc32(header, crc32(bytes.subarray(0, 20))), true);
  return bytes;
}

function prepareFrames(): FuzzRun {
  const samples = [...readGolden("frames.hex").values()];
  return {
    once(prng) {
      const parts = Array.from({ length: prng.integer(1, 5) }, () => {
        const sample = pick(prng, samples);
        if (prng.chance(0.5)) return sample;
        const mutated = mutateBytes(prng, sample, samples);
        return prng.chance(0.5) ? mended(mutated) : mutated;
      });
      const bytes = concatBytes(parts);
      const whole = parse([bytes]);
      const split = parse(cut(prng, bytes));
      // What came before a refusal may have been given already, in pieces.
      const same =
        split.refused === whole.refused && (whole.refused !== "" || split.frames.join() === whole.frames.join());
      demand(same, () => `in pieces: ${JSON.stringify(split)}; whole: ${JSON.stringify(whole)}; ${bytes.toHex()}`);
    },
  };
}

const schemas = Object.values(headers).filter((value) => typeof value !== "function");
const decoders: readonly ((frame: Frame) => unknown)[] = [
  decodeBlocks,
  decodeAppend,
  decodeAppendAnswer,
  decodeChainAppend,
  decodeLength,
];

function prepareContents(): FuzzRun {
  const samples = [...readGolden("frames.hex").values()];
  return {
    once(prng) {
      const frames: Frame[] = [];
      if (prng.chance(0.3)) {
        const payload = [prng.bytes(prng.integer(0, 70_000))];
        const header = encodeBlockHeader(prng.integer(0, 2 ** 40), partCrcs(prng.integer(0, 70_000), payload));
        const length = payload[0]!.length;
        const own = prng.chance(0.5) ? header : mutateBytes(prng, header);
        frames.push({ type: "readData", stream: 1, header: own, payload, payloadBytes: length });
      } else parse([mended(mutateBytes(prng, pick(prng, samples), samples))], (frame) => frames.push(frame));
      for (const frame of frames) {
        for (const decode of decoders) typed(() => decode(frame), ...contentRefusals);
        for (const schema of schemas) {
          const header = typed(() => headers.decodeHeader(schema, frame.header), "ProtocolError");
          if (header instanceof GfsError) continue;
          const again = headers.decodeHeader(schema, headers.encodeHeader(schema, header));
          demand(sameCbor(again, header), () => `another header when encoded again: ${JSON.stringify(header)}`);
        }
      }
    },
  };
}

export const frameTargets: readonly FuzzTarget[] = [
  { name: "frames", shortRun: 500, prepare: prepareFrames },
  { name: "frame-contents", shortRun: 500, prepare: prepareContents },
];
