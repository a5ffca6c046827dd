/**
 * A checkpoint on disk (DESIGN §4.1; docs/DISK-FORMAT.md). Little endian. Header, 128 bytes: 0 magic "GFSCKPT\n" · 8 format u16 · 10 zero u16 · 12 CRC of the
 * header with this field zero u32 · 16 log position u64 · 24 cluster id, 16 bytes · 40 cluster time f64 · 48 cluster time of the last epoch f64 · 56 its wall-clock
 * time f64 · zeros. Then pieces: length u32 · CRC-32 u32 · bytes. At the end: zero u32 · CRC-32 of all pieces' CRCs u32 · count of pieces u64.
 */
import { concatBytes, readUint53, utf8, viewOf, writeUint53, equalBytes } from "../base/bytes.ts";
import { crc32 } from "../base/checksum.ts";
import { GfsError } from "../base/errors.ts";
import type { Disk, DiskFile } from "../io.ts";
import type { LogPosition } from "../log/log-types.ts";
import { type ClusterId, clusterId } from "../wire/ids.ts";
import type { LoggedTime } from "./cluster-clock.ts";

export const checkpointFormat = 2;
const headerBytes = 128;
const magic = utf8("GFSCKPT\n");
/** Of one piece: more can't be right. */
const pieceBytesMax = 16 * 1_048_576;
/** Small pieces are written together. */
const writeBytes = 1_048_576;
const readBytes = 4 * 1_048_576;
/** What is left of one read before the next: less than a piece, which has at most a mebibyte and a little. */
const joinBytes = 1_114_112;

export interface CheckpointFacts {
  /** The last entry of the log that is in it. */
  readonly position: LogPosition;
  readonly clusterId: ClusterId;
  readonly time: Readonly<LoggedTime>;
}

export function checkpointName(position: LogPosition): string {
  return `${position.toString(16).padStart(16, "0")}.checkpoint`;
}

export function positionOfCheckpoint(name: string): LogPosition | undefined {
  const match = /^([0-9a-f]{16})\.checkpoint$/.exec(name);
  return match?.[1] === undefined ? undefined : Number.parseInt(match[1], 16);
}

function encodeHeader(facts: CheckpointFacts): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  const view = viewOf(bytes);
  bytes.set(magic, 0);
  view.setUint16(8, checkpointFormat, true);
  writeUint53(view, 16, facts.position);
  bytes.set(Uint8Array.fromHex(facts.clusterId), 24);
  view.setFloat64(40, facts.time.clusterMs, true);
  view.setFloat64(48, facts.time.epochClusterMs, true);
  view.setFloat64(56, facts.time.epochWallMs ?? Number.NaN, true);
  view.setUint32(12, crc32(bytes), true);
  return bytes;
}

/** Writes a checkpoint under a path that nobody reads yet; durable when this returns, but for the name. @throws DiskError */
export async function writeCheckpoint(
  disk: Disk,
  path: string,
  facts: CheckpointFacts,
  pieces: Iterable<Uint8Array>,
): Promise<void> {
  const file = await disk.open(path, "write");
  try {
    await file.truncate(0);
    let at = 0;
    let queued: Uint8Array[] = [encodeHeader(facts)];
    let bytes = headerBytes;
    const flush = async (): Promise<void> => {
      await file.write(queued, at);
      at += bytes;
      queued = [];
      bytes = 0;
    };
    let count = 0;
    let chained = 0;
    for (const piece of pieces) {
      const crc = crc32(piece);
      queued.push(numbers([piece.length, crc]), piece);
      bytes += 8 + piece.length;
      chained = crc32(numbers([crc]), chained);
      count++;
      if (bytes >= writeBytes) await flush();
    }
    const end = new Uint8Array(16);
    viewOf(end).setUint32(4, chained, true);
    writeUint53(viewOf(end), 8, count);
    queued.push(end);
    bytes += end.length;
    await flush();
    await file.sync();
  } finally {
    await file.close();
  }
}

function numbers(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = viewOf(bytes);
  for (const [i, value] of values.entries()) view.setUint32(4 * i, value, true);
  return bytes;
}

/**
 * Reads a checkpoint to its end, calling `take` with every piece, each checked before and valid during the call only. What `take` built counts only when this returns.
 *
 * @throws GfsError("Corrupt") naming file and byte, GfsError("FormatUnsupported"), DiskError, and what `take` throws
 */
export async function readCheckpoint(
  disk: Disk,
  path: string,
  take: (piece: Uint8Array) => void,
): Promise<CheckpointFacts> {
  const file = await disk.open(path, "read");
  let reader: Reader | undefined;
  try {
    reader = new Reader(path, file, await file.size());
    const facts = decodeHeader(path, await reader.take(headerBytes));
    let count = 0;
    let chained = 0;
    for (;;) {
      const at = reader.at;
      const head = viewOf(await reader.take(8));
      const length = head.getUint32(0, true);
      const crc = head.getUint32(4, true);
      if (length === 0) {
        const wanted = readUint53(viewOf(await reader.take(8)), 0);
        if (crc !== chained || wanted !== count) throw corrupt(path, at, "pieces are missing");
        return facts;
      }
      if (length > pieceBytesMax) throw corrupt(path, at, "a piece is too long");
      const piece = await reader.take(length);
      if (crc32(piece) !== crc) throw corrupt(path, at, "the checksum of a piece is wrong");
      chained = crc32(numbers([crc]), chained);
      count++;
      take(piece);
    }
  } finally {
    await reader?.settle();
    await file.close();
  }
}

function decodeHeader(path: string, bytes: Uint8Array): CheckpointFacts {
  const header = bytes.slice();
  const view = viewOf(header);
  if (!equalBytes(header.subarray(0, 8), magic)) throw corrupt(path, 0, "it is not a checkpoint");
  const crc = view.getUint32(12, true);
  view.setUint32(12, 0, true);
  if (crc32(header) !== crc) throw corrupt(path, 0, "its header's checksum is wrong");
  const format = view.getUint16(8, true);
  if (format !== checkpointFormat) {
    throw new GfsError(
      "FormatUnsupported",
      `Cannot open ${path}: it has format ${format}, and this version of gfs knows ${checkpointFormat}`,
    );
  }
  const position = readUint53(view, 16);
  if (position === undefined) throw corrupt(path, 16, "its position is out of range");
  const epochWallMs = view.getFloat64(56, true);
  return {
    position,
    clusterId: clusterId(header.subarray(24, 40).toHex()),
    time: {
      clusterMs: view.getFloat64(40, true),
      epochClusterMs: view.getFloat64(48, true),
      epochWallMs: Number.isNaN(epochWallMs) ? undefined : epochWallMs,
    },
  };
}

function corrupt(path: string, offset: number, why: string): GfsError {
  return new GfsError("Corrupt", `Cannot read ${path} at byte ${offset}: ${why}`, { details: { file: path, offset } });
}

/** Reads a file from its beginning, by large reads, the next of them while what was read is used. */
class Reader {
  readonly #path: string;
  readonly #file: DiskFile;
  /** By turns; each has room before what is read into it for what is left of the other. */
  readonly #buffers: readonly [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>];
  readonly #joinBytes: number;
  #turn: 0 | 1 = 0;
  #unread: Uint8Array = new Uint8Array(0);
  #ahead: Promise<Uint8Array<ArrayBuffer>> | undefined;
  #next = 0;
  at = 0;

  constructor(path: string, file: DiskFile, fileBytes: number) {
    this.#path = path;
    this.#file = file;
    this.#joinBytes = Math.min(joinBytes, fileBytes);
    const bytes = this.#joinBytes + Math.min(readBytes, fileBytes);
    this.#buffers = [new Uint8Array(bytes), new Uint8Array(bytes)];
  }

  /** A view, valid until the next call. */
  async take(bytes: number): Promise<Uint8Array> {
    while (this.#unread.length < bytes) await this.#fill();
    const taken = this.#unread.subarray(0, bytes);
    this.#unread = this.#unread.subarray(bytes);
    this.at += bytes;
    return taken;
  }

  /** No read is under way any more: the file may be closed. */
  async settle(): Promise<void> {
    await this.#ahead?.catch(() => undefined);
  }

  async #fill(): Promise<void> {
    const read = await (this.#ahead ?? this.#read());
    if (read.length === 0) throw corrupt(this.#path, this.at, "it is cut short");
    const left = this.#unread;
    if (left.length <= this.#joinBytes) {
      const from = this.#joinBytes - left.length;
      const joined = new Uint8Array(read.buffer, 0, this.#joinBytes + read.length);
      joined.set(left, from);
      this.#unread = joined.subarray(from);
    } else this.#unread = concatBytes([left, read]);
    this.#ahead = this.#read();
    // It is asked for again, or settled, before the file is closed.
    this.#ahead.catch(() => undefined);
  }

  async #read(): Promise<Uint8Array<ArrayBuffer>> {
    const buffer = this.#buffers[this.#turn];
    this.#turn = this.#turn === 0 ? 1 : 0;
    const read = await this.#file.read(buffer.subarray(this.#joinBytes), this.#next);
    this.#next += read;
    return buffer.subarray(this.#joinBytes, this.#joinBytes + read);
  }
}
