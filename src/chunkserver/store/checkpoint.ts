/**
 * The checkpoint of a volume: all replica states at one position of the volume log (DESIGN §4.7, docs/DISK-FORMAT.md). A file of sections, each:
 * length u32, CRC-32 u32, bytes. First a CBOR header, then rows packed at 25 bytes, then one CBOR value for each active replica, then an empty one.
 */
import { z } from "zod";
import { readUint53, viewOf, writeUint53 } from "../../base/bytes.ts";
import { crc32 } from "../../base/checksum.ts";
import { GfsError } from "../../base/errors.ts";
import { decodeStoredCbor, encodeCbor } from "../../wire/cbor.ts";
import { Origin } from "../../wire/control/commands.ts";
import { AppendTable, Crc, Uint32, Uint53 } from "../../wire/control/common.ts";
import { ChunkHandle, ChunkVersion, Epoch, VolumeId } from "../../wire/ids.ts";
import { type ActiveReplica, newActive } from "./active-replica.ts";
import { AppendAnswers } from "./append-answers.ts";
import { BlockSums } from "./block-sums.ts";
import { LogRanges } from "./log-ranges.ts";
import type { Row, RowState } from "./replica-table.ts";

export const checkpointFormat = 1;
const sectionHeadBytes = 8;
/** Sections are read whole: more than this is damage. */
export const sectionBytesMax = 256 * 1_048_576;

export const CheckpointHeader = z.object({
  kind: z.literal("gfs volume checkpoint"),
  format: z.int().min(1),
  volume: VolumeId,
  /** Of the volume log: everything up to here is in the checkpoint, nothing of what follows. */
  position: Uint53,
  epoch: Epoch.optional(),
  highestHandle: Uint53,
});
export type CheckpointHeader = z.infer<typeof CheckpointHeader>;

const ActiveSection = z.object({
  handle: ChunkHandle,
  state: z.enum(["open", "fenced", "sealed"]),
  promised: ChunkVersion,
  dataVersion: ChunkVersion,
  length: Uint32,
  blocks: z.array(Crc),
  chunkBytes: Uint32,
  origin: Origin.optional(),
  answers: AppendTable,
  fileBytes: Uint32,
  /** Chunk offset, segment, offset in it: where the bytes from `fileBytes` on lie in the log. */
  log: z.array(z.tuple([Uint32, Uint53, Uint32])),
});

/** A section ready to be written. */
export function section(bytes: Uint8Array): Uint8Array[] {
  const head = new Uint8Array(sectionHeadBytes);
  const view = viewOf(head);
  view.setUint32(0, bytes.length, true);
  view.setUint32(4, crc32(bytes, crc32(head.subarray(0, 4))), true);
  return [head, bytes];
}

/** Reads sections one after the other. */
export interface SectionSource {
  /** Exactly so many bytes. @throws GfsError Corrupt where the file ends before */
  take(bytes: number): Promise<Uint8Array>;
}

/** @throws GfsError Corrupt */
export async function nextSection(source: SectionSource, where: string): Promise<Uint8Array> {
  const head = await source.take(sectionHeadBytes);
  const view = viewOf(head);
  const length = view.getUint32(0, true);
  if (length > sectionBytesMax) throw new GfsError("Corrupt", `Cannot read ${where}: a section of ${length} bytes`);
  const bytes = await source.take(length);
  if (crc32(bytes, crc32(head.subarray(0, 4))) !== view.getUint32(4, true)) {
    throw new GfsError("Corrupt", `Cannot read ${where}: a section's checksum is wrong`);
  }
  return bytes;
}

export function encodeCheckpointHeader(header: CheckpointHeader): Uint8Array {
  return encodeCbor(header);
}

/** @throws GfsError Corrupt | FormatUnsupported */
export function decodeCheckpointHeader(bytes: Uint8Array, where: string): CheckpointHeader {
  const value = decodeStoredCbor(bytes, where);
  const format = z.object({ format: z.int() }).safeParse(value);
  if (format.success && format.data.format > checkpointFormat) {
    throw new GfsError(
      "FormatUnsupported",
      `Cannot read ${where}: it has format ${format.data.format}, written by a newer release; this one reads up to ${checkpointFormat}`,
    );
  }
  const parsed = CheckpointHeader.safeParse(value);
  if (!parsed.success)
    throw new GfsError("Corrupt", `Cannot read ${where}: it does not begin as a volume's checkpoint`);
  return parsed.data;
}

// row: handle u64, promised u32, dataVersion u32, length u32, crc u32, state u8
const rowBytes = 25;
/** Codes are for ever. */
const rowStates: readonly RowState[] = ["open", "fenced", "sealed", "corrupt", "removed"];

export function packRows(rows: readonly Row[]): Uint8Array {
  const bytes = new Uint8Array(rows.length * rowBytes);
  const view = viewOf(bytes);
  let at = 0;
  for (const row of rows) {
    writeUint53(view, at, row.handle);
    view.setUint32(at + 8, row.promised, true);
    view.setUint32(at + 12, row.dataVersion, true);
    view.setUint32(at + 16, row.length, true);
    view.setUint32(at + 20, row.crc, true);
    view.setUint8(at + 24, rowStates.indexOf(row.state));
    at += rowBytes;
  }
  return bytes;
}

/** @throws GfsError Corrupt */
export function* unpackRows(bytes: Uint8Array, where: string): IterableIterator<Row> {
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; at += rowBytes) {
    const state = at + rowBytes <= bytes.length ? rowStates[view.getUint8(at + 24)] : undefined;
    const handle = state === undefined ? undefined : readUint53(view, at);
    if (handle === undefined || handle === 0 || state === undefined) {
      throw new GfsError("Corrupt", `Cannot read ${where}: a row is out of range`);
    }
    yield {
      handle,
      promised: view.getUint32(at + 8, true),
      dataVersion: view.getUint32(at + 12, true),
      length: view.getUint32(at + 16, true),
      crc: view.getUint32(at + 20, true),
      state,
    };
  }
}

export function encodeActive(active: ActiveReplica): Uint8Array {
  const { handle, state, promised, dataVersion, sums, chunkBytes, origin, fileBytes } = active;
  const log = active.log
    .entries()
    .map(({ from, segment, offset }): [number, number, number] => [from, segment, offset]);
  return encodeCbor({
    handle,
    state,
    promised,
    dataVersion,
    length: sums.length,
    blocks: [...sums.blocks()],
    chunkBytes,
    ...(origin === undefined ? {} : { origin }),
    answers: active.answers.table(),
    fileBytes,
    log,
  });
}

/** @throws GfsError Corrupt */
export function decodeActive(bytes: Uint8Array, where: string): ActiveReplica {
  const parsed = ActiveSection.safeParse(decodeStoredCbor(bytes, where));
  if (!parsed.success) throw new GfsError("Corrupt", `Cannot read ${where}: an open replica is out of range`);
  const { data } = parsed;
  const log = new LogRanges(data.fileBytes);
  for (const [index, [from, segment, offset]] of data.log.entries()) {
    const end = data.log[index + 1]?.[0] ?? data.length;
    if (from !== log.end || end < from)
      throw new GfsError("Corrupt", `Cannot read ${where}: an open replica has a hole`);
    log.add(segment, offset, end - from);
  }
  return {
    ...newActive(data.handle, data.promised),
    state: data.state,
    dataVersion: data.dataVersion,
    sums: BlockSums.of(data.length, data.blocks),
    chunkBytes: data.chunkBytes,
    origin: data.origin,
    answers: AppendAnswers.from(data.answers),
    fileBytes: data.fileBytes,
    log,
    accepted: data.length,
  };
}
