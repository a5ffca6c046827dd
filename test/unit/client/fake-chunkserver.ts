import { concatBytes } from "../../../src/base/bytes.ts";
import { crc32 } from "../../../src/base/checksum.ts";
import { GfsError } from "../../../src/base/errors.ts";
import type { Connection, World } from "../../../src/io.ts";
import { acceptFrames, type FrameConnection } from "../../../src/net/frame-connection.ts";
import { sleep } from "../../../src/net/deadline.ts";
import type { AppendAnswer, VolumeAddress } from "../../../src/wire/control/common.ts";
import { encodeBlockHeader, decodeBlocks, partCrcs } from "../../../src/wire/data/blocks.ts";
import type { Frame } from "../../../src/wire/data/frame.ts";
import {
  AppendOpen,
  AppendOpened,
  decodeHeader,
  encodeHeader,
  ErrorHeader,
  Read,
  ReadEnd,
  WriteDone,
  WriteEnd,
  WriteOpen,
} from "../../../src/wire/data/headers.ts";
import { decodeWhole, encodeWholeDone } from "../../../src/wire/data/whole.ts";
import { decodeAppend, encodeAppendAnswer, encodeAppendRefusal } from "../../../src/wire/data/records.ts";
import { type ClusterId, volumeId } from "../../../src/wire/ids.ts";

export interface FakeChunk {
  bytes: Uint8Array;
  /** Answers by session, of an open chunk. */
  readonly table: Map<number, AppendAnswer[]>;
  fileOffset: number;
  closed: boolean;
}

/** What a server does wrong, from now on. */
export interface Trouble {
  /** Ends the connection after so many bytes of a put or a read. */
  breakAfterBytes?: number | undefined;
  refuseWrites?: GfsError | undefined;
  corruptReads?: boolean;
  /** Reads that are refused with Busy, before others are served. */
  busyReads?: number;
  /** Takes everything and answers nothing. */
  silent?: boolean;
  /** A read's bytes from here on come only so much later. */
  lateReads?: { readonly fromByte: number; readonly ms: number } | undefined;
  /** Records after which appends are taken but not answered: the connection ends instead. */
  appendsBeforeBreak?: number | undefined;
  /** Streams of records open, and each record is refused so. */
  refuseRecords?: GfsError | undefined;
}

/** A chunkserver as a client sees it: no chain, no disk. */
export class FakeChunkserver {
  readonly address: VolumeAddress;
  readonly chunks = new Map<number, FakeChunk>();
  /** Of the chunks that were streamed here: where in their file they are to lie, as far as their trailers tell. */
  readonly origins: number[] = [];
  readonly trouble: Trouble = {};
  readonly reads: { handle: number; offset: number; length: number }[] = [];
  /** How often somebody dialled. */
  connections = 0;
  readonly #links: Connection[] = [];
  /** All others, so that an acknowledged chunk is on every member. */
  readonly #peers: () => readonly FakeChunkserver[];
  #appends = 0;

  constructor(
    name: string,
    { port, digit, peers }: { port: number; digit: string; peers: () => readonly FakeChunkserver[] },
  ) {
    this.address = {
      volume: volumeId(digit.repeat(32)),
      label: name,
      data: `${name}:${port}`,
      control: `${name}:${port + 1}`,
    };
    this.#peers = peers;
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#links.filter(({ closed }) => !closed).length;
  }

  async serve(world: World, clusterId: ClusterId): Promise<void> {
    await world.stream.listen(this.address.data, (connection) => {
      this.#links.push(connection);
      this.#talk(world, connection, clusterId).catch(() => connection.close());
    });
    await new Promise(() => {});
  }

  async #talk(world: World, connection: Connection, clusterId: ClusterId): Promise<void> {
    const { volume } = this.address;
    this.connections++;
    const { frames } = await acceptFrames(world, connection, { volume, clusterId: () => clusterId, timeoutMs: 1_000 });
    for (;;) {
      const frame = await frames.read();
      if (frame === null) return frames.end();
      if (frame.type === "writeOpen") await this.#write(frames, frame);
      else if (frame.type === "writeWhole") this.#writeWhole(frames, frame);
      else if (frame.type === "read") await this.#read(world, frames, frame);
      else if (frame.type === "appendOpen") return this.#append(frames, frame);
    }
  }

  #fail(frames: FrameConnection, stream: number, error: GfsError): void {
    const { code, message } = error;
    frames.send("error", stream, encodeHeader(ErrorHeader, { code, message, volume: this.address.volume }));
  }

  #writeWhole(frames: FrameConnection, frame: Frame): void {
    if (this.trouble.silent === true) return;
    if (this.trouble.refuseWrites !== undefined) return this.#fail(frames, frame.stream, this.trouble.refuseWrites);
    if (frame.payloadBytes > (this.trouble.breakAfterBytes ?? Number.POSITIVE_INFINITY)) return frames.close();
    const { handle, chain, crc, run } = decodeWhole(frame);
    const whole = concatBytes(run.payload).slice();
    const members = chain.map(({ volume }) => volume);
    for (const peer of this.#peers())
      if (members.includes(peer.address.volume)) peer.chunks.set(handle, newChunk(whole, "closed"));
    const done = { length: run.bytes, crc, volumes: members.length };
    frames.send("wholeDone", frame.stream, encodeWholeDone(done));
  }

  async #write(frames: FrameConnection, opening: Frame): Promise<void> {
    const { handle, chain, origin } = decodeHeader(WriteOpen, opening.header);
    this.origins.push(origin.fileOffset);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    if (this.trouble.refuseWrites !== undefined) return this.#fail(frames, opening.stream, this.trouble.refuseWrites);
    for (;;) {
      const frame = await frames.read();
      if (frame === null) return;
      if (this.trouble.silent === true) continue;
      if (frame.type === "writeEnd") {
        const { length, crc } = decodeHeader(WriteEnd, frame.header);
        const whole = concatBytes(pieces);
        if (whole.length !== length || crc32(whole) !== crc)
          return this.#fail(frames, opening.stream, new GfsError("Corrupt", "other bytes"));
        const members = chain.map(({ volume }) => volume);
        for (const peer of this.#peers())
          if (members.includes(peer.address.volume)) peer.chunks.set(handle, newChunk(whole, "closed"));
        return frames.send("writeDone", opening.stream, encodeHeader(WriteDone, { length, crc, volumes: members }));
      }
      if (frame.type !== "writeData") continue;
      for (const piece of decodeBlocks(frame).payload) pieces.push(piece.slice());
      bytes += frame.payloadBytes;
      if (bytes > (this.trouble.breakAfterBytes ?? Number.POSITIVE_INFINITY)) return frames.close();
    }
  }

  async #read(world: World, frames: FrameConnection, opening: Frame): Promise<void> {
    const { handle, offset, length } = decodeHeader(Read, opening.header);
    this.reads.push({ handle, offset, length });
    if (this.trouble.silent === true) return;
    if ((this.trouble.busyReads ?? 0) > 0) {
      this.trouble.busyReads = (this.trouble.busyReads ?? 0) - 1;
      return this.#fail(frames, opening.stream, new GfsError("Busy", "not now"));
    }
    const chunk = this.chunks.get(handle);
    if (chunk === undefined) return this.#fail(frames, opening.stream, new GfsError("ReplicaMissing", "not here"));
    const end = Math.min(chunk.bytes.length, offset + length);
    let at = offset;
    let late = this.trouble.lateReads;
    while (at < end) {
      if (late !== undefined && at - offset >= late.fromByte) {
        await sleep(world.clock, late.ms);
        late = undefined;
      }
      const piece = chunk.bytes.slice(at, Math.min(end, at + 65_536 - (at % 65_536)));
      const crcs = partCrcs(at, [piece]);
      if (this.trouble.corruptReads === true) piece[0] = (piece[0] ?? 0) ^ 1;
      frames.send("readData", opening.stream, encodeBlockHeader(at, crcs), [piece]);
      at += piece.length;
      if (at - offset > (this.trouble.breakAfterBytes ?? Number.POSITIVE_INFINITY)) {
        await frames.sent();
        return frames.end();
      }
    }
    const header = { bytes: at - offset, end: chunk.bytes.length, open: !chunk.closed };
    frames.send("readEnd", opening.stream, encodeHeader(ReadEnd, header));
  }

  async #append(frames: FrameConnection, opening: Frame): Promise<void> {
    const { handle, session } = decodeHeader(AppendOpen, opening.header);
    const chunk = this.chunks.get(handle);
    if (chunk === undefined || chunk.closed)
      return this.#fail(frames, opening.stream, new GfsError("NotPrimary", "not the primary"));
    const answers = chunk.table.get(session) ?? [];
    chunk.table.set(session, answers);
    frames.send("appendOpened", opening.stream, encodeHeader(AppendOpened, { answers: answers.slice(-64) }));
    for (;;) {
      const frame = await frames.read();
      if (frame === null) return;
      if (frame.type !== "append") continue;
      const record = decodeAppend(frame);
      const { refuseRecords } = this.trouble;
      if (chunk.closed || refuseRecords !== undefined) {
        const error = refuseRecords ?? new GfsError("ChunkClosed", "sealed");
        frames.send("appendAnswer", opening.stream, encodeAppendRefusal(record.sequence, error));
        continue;
      }
      let answer = answers.find(({ sequence }) => sequence === record.sequence);
      if (answer !== undefined && (answer.crc !== record.crc || answer.bytes !== record.bytes)) {
        const error = new GfsError("IdReused", "other content");
        frames.send("appendAnswer", opening.stream, encodeAppendRefusal(record.sequence, error));
        continue;
      }
      if (answer === undefined) {
        const { sequence, crc, bytes } = record;
        answer = { sequence, crc, bytes, fileOffset: chunk.fileOffset + chunk.bytes.length };
        answers.push(answer);
        chunk.bytes = concatBytes([chunk.bytes, ...record.payload]);
      }
      if (++this.#appends > (this.trouble.appendsBeforeBreak ?? Number.POSITIVE_INFINITY)) return frames.close();
      if (this.trouble.silent !== true) frames.send("appendAnswer", opening.stream, encodeAppendAnswer(answer));
    }
  }
}

export function newChunk(bytes: Uint8Array, state: "open" | "closed"): FakeChunk {
  return { bytes, table: new Map(), fileOffset: 0, closed: state === "closed" };
}
