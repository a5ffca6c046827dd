import { describe, expect, test } from "bun:test";
import type { z } from "zod";
import { concatBytes, utf8 } from "../../src/base/bytes.ts";
import { crc32 } from "../../src/base/checksum.ts";
import { GfsError } from "../../src/base/errors.ts";
import { packReport, unpackReport } from "../../src/wire/report.ts";
import { decodeBlocks, encodeBlockHeader, partCrcs } from "../../src/wire/data/blocks.ts";
import { encodeFrame, type Frame, FrameParser, frameTypes, type FrameType } from "../../src/wire/data/frame.ts";
import * as headers from "../../src/wire/data/headers.ts";
import * as records from "../../src/wire/data/records.ts";
import * as whole from "../../src/wire/data/whole.ts";
import { chunkHandle, chunkVersion, inodeId, sequence, sessionId, volumeId } from "../../src/wire/ids.ts";
import { expectGolden } from "./golden-file.ts";
import { samplesOf } from "./schema-samples.ts";

const record = utf8("one record\n");
const run = new Uint8Array(100).fill(7);
/** Crosses a block border: two parts. */
const runOffset = 65_536 - 40;

interface Sample {
  readonly header: Uint8Array;
  readonly payload?: readonly Uint8Array[];
  /** Reads the frame and writes its header again. */
  readonly again: (frame: Frame) => Uint8Array;
}

function fixed(header: Uint8Array, again: (frame: Frame) => Uint8Array, payload?: Uint8Array): Sample {
  return { header, again, ...(payload === undefined ? {} : { payload: [payload] }) };
}

function cbor(schema: z.ZodType): Sample[] {
  return [...samplesOf(schema).values()].map((value) => ({
    header: headers.encodeHeader(schema, value),
    again: (frame) => headers.encodeHeader(schema, headers.decodeHeader(schema, frame.header)),
  }));
}

const empty = fixed(new Uint8Array(0), () => new Uint8Array(0));
const length = fixed(records.encodeLength(2 ** 33 + 5), (frame) => records.encodeLength(records.decodeLength(frame)));
const blocks = fixed(
  encodeBlockHeader(runOffset, partCrcs(runOffset, [run])),
  (frame) => {
    const read = decodeBlocks(frame);
    return encodeBlockHeader(read.offset, read.crcs);
  },
  run,
);
const chainRecord = {
  session: sessionId(9),
  sequence: sequence(2 ** 40),
  offset: 1_000,
  committed: 900,
  crc: crc32(record),
};

function answerAgain(frame: Frame): Uint8Array {
  const decoded = records.decodeAppendAnswer(frame);
  return decoded.kind === "done"
    ? records.encodeAppendAnswer(decoded.answer)
    : records.encodeAppendRefusal(decoded.refusal.sequence, decoded.refusal.error);
}

const wholeCrcs = partCrcs(0, [run]);
const wholeChunk = {
  handle: chunkHandle(2 ** 33 + 7),
  version: chunkVersion(3),
  crc: crc32(run),
  origin: { inode: inodeId(2 ** 32 + 1), path: "/a/ü", fileOffset: 2 ** 40 },
  chain: ["a1", "b2"].map((digits) => ({ volume: volumeId(digits.repeat(16)), data: `${digits}.example:5371` })),
};

const samples: Record<FrameType, readonly Sample[]> = {
  hello: cbor(headers.Hello),
  helloReply: cbor(headers.HelloReply),
  authenticate: cbor(headers.Authenticate),
  authenticated: [empty],
  error: cbor(headers.ErrorHeader),
  ping: [empty],
  pong: [empty],
  writeOpen: cbor(headers.WriteOpen),
  writeData: [blocks],
  writeEnd: cbor(headers.WriteEnd),
  writeDone: cbor(headers.WriteDone),
  writeAbort: [empty],
  writeWhole: [
    fixed(
      whole.encodeWhole(wholeChunk, wholeCrcs),
      (frame) => {
        const read = whole.decodeWhole(frame);
        const { crcs } = read.run;
        expect(read.passedOn).toEqual(whole.encodeWhole({ ...read, chain: read.chain.slice(1) }, crcs));
        return whole.encodeWhole(read, crcs);
      },
      run,
    ),
  ],
  wholeDone: [
    fixed(whole.encodeWholeDone({ length: 65_600, crc: 0xdead_beef, volumes: 3 }), (frame) =>
      whole.encodeWholeDone(whole.decodeWholeDone(frame)),
    ),
  ],
  read: cbor(headers.Read),
  readData: [blocks],
  readEnd: cbor(headers.ReadEnd),
  readCancel: [empty],
  appendOpen: cbor(headers.AppendOpen),
  appendOpened: cbor(headers.AppendOpened),
  append: [
    fixed(
      records.encodeAppend(sequence(2 ** 33), crc32(record)),
      (frame) => {
        const read = records.decodeAppend(frame);
        return records.encodeAppend(read.sequence, read.crc);
      },
      record,
    ),
  ],
  appendAnswer: [
    fixed(
      records.encodeAppendAnswer({ sequence: sequence(7), fileOffset: 2 ** 40, bytes: 11, crc: 0xdead_beef }),
      answerAgain,
    ),
    fixed(records.encodeAppendRefusal(sequence(8), new GfsError("ChunkFull", "Cannot append")), answerAgain),
  ],
  appendClose: [empty],
  chainOpen: cbor(headers.ChainOpen),
  chainOpened: [empty],
  chainAppend: [
    fixed(
      records.encodeChainAppend(chainRecord),
      (frame) => records.encodeChainAppend(records.decodeChainAppend(frame)),
      record,
    ),
  ],
  chainPrepared: [length],
  chainCommitted: [length],
};

describe("the data plane's bytes stay as they are", () => {
  test("every frame that was sent once is read, and sent again alike", () => {
    const written = new Map<string, Uint8Array>();
    const again = new Map<string, Sample["again"]>();
    for (const [type, list] of Object.entries(samples))
      for (const [i, { header, payload, again: read }] of list.entries()) {
        const title = `${type} ${i}`;
        again.set(title, read);
        written.set(title, concatBytes(encodeFrame(typeNamed(type), 3 + i, header, payload)));
      }
    for (const [title, bytes] of expectGolden("frames.hex", written)) {
      const [frame, ...more] = new FrameParser().feed(bytes);
      expect(more).toBeEmpty();
      expect(again.get(title)!(frame!), title).toEqual(frame!.header);
      expect(frame!.type, title).toBe(typeNamed(title.split(" ", 1)[0]!));
    }
  });

  test("entries of a report page", () => {
    const replicas = (["writing", "open", "fenced", "sealed", "corrupt"] as const).map((state, i) => ({
      handle: chunkHandle(2 ** 33 + i),
      promisedVersion: chunkVersion(i + 2),
      dataVersion: chunkVersion(i + 1),
      length: 1_000 + i,
      crc: 0xdead_0000 + i,
      state,
    }));
    const kept = expectGolden("report-page.hex", new Map([["report page", packReport(replicas)]]));
    expect(unpackReport(kept.get("report page")!)).toEqual(replicas);
  });
});

function typeNamed(name: string): FrameType {
  const found = Object.keys(samples).find((type): type is FrameType => type === name && type in frameTypes);
  if (found === undefined) throw new Error(`no frame type ${name}`);
  return found;
}
