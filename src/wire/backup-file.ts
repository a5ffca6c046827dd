/**
 * A backup of the master's metadata in one file (docs/DISK-FORMAT.md): a header, pieces of the files of a master's directory, an end. Each checksum goes on from the one before, so
 * that nothing can be left out, and only a file with its end is whole. Little endian.
 *
 * Header, 128 bytes: 0 magic "GFSBKUP\n" · 8 format u16 · 10 zero u16 · 12 CRC-32 of the header with this field zero u32 · 16 cluster id, 16 bytes · 32 checkpoint u64 · 40 last
 * entry of the log u64 · 48 wall clock f64 · 56 epoch u64 · 64 start id, 8 bytes · zeros.
 * Piece: 0 length u32 · 4 CRC-32 of all that follows u32 · 8 kind u8 (1 checkpoint, 2 segment) · 9 zeros · 16 position u64 · 24 offset in the file u64 · 32 the bytes.
 * End: as a piece without bytes, of kind 0: position: the last entry; offset: how many pieces there are.
 */
import { equalBytes, readUint53, utf8, viewOf, writeUint53 } from "../base/bytes.ts";
import { crc32 } from "../base/checksum.ts";
import { GfsError } from "../base/errors.ts";
import { metadataPieceBytesMax, type MetadataFile } from "./control/metadata.ts";
import { type ClusterId, clusterId, type Epoch, Epoch as EpochSchema } from "./ids.ts";

export const backupFormat = 1;
export const backupHeaderBytes = 128;
export const backupPieceHeadBytes = 32;
const magic = utf8("GFSBKUP\n");
const kinds: readonly (MetadataFile["kind"] | "end")[] = ["end", "checkpoint", "segment"];

export interface BackupFacts {
  readonly clusterId: ClusterId;
  readonly epoch: Epoch;
  /** The entry that its checkpoint has; 0: it has none, and the log from its beginning. */
  readonly checkpoint: number;
  /** The last entry of the log that is in it. */
  readonly until: number;
  /** Wall clock, milliseconds since 1970: when that was the end of the log. */
  readonly wallMs: number;
}

/** What a piece's head says; `kind` "end" ends the file. */
export interface BackupPieceHead {
  readonly kind: MetadataFile["kind"] | "end";
  readonly position: number;
  readonly offset: number;
  readonly bytes: number;
  readonly crc: number;
}

export function encodeBackupHeader(facts: BackupFacts): Uint8Array {
  const bytes = new Uint8Array(backupHeaderBytes);
  const view = viewOf(bytes);
  bytes.set(magic, 0);
  view.setUint16(8, backupFormat, true);
  bytes.set(Uint8Array.fromHex(facts.clusterId), 16);
  writeUint53(view, 32, facts.checkpoint);
  writeUint53(view, 40, facts.until);
  view.setFloat64(48, facts.wallMs, true);
  writeUint53(view, 56, facts.epoch.number);
  bytes.set(Uint8Array.fromHex(facts.epoch.startId), 64);
  view.setUint32(12, crc32(bytes), true);
  return bytes;
}

/** @throws GfsError("Corrupt" | "FormatUnsupported") naming `path` */
export function decodeBackupHeader(header: Uint8Array, path: string): BackupFacts & { readonly crc: number } {
  const bytes = header.slice();
  const view = viewOf(bytes);
  if (bytes.length < backupHeaderBytes || !equalBytes(bytes.subarray(0, 8), magic))
    throw corruptBackup(path, 0, "it is not a backup");
  const crc = view.getUint32(12, true);
  view.setUint32(12, 0, true);
  if (crc32(bytes) !== crc) throw corruptBackup(path, 0, "its header's checksum is wrong");
  const format = view.getUint16(8, true);
  if (format !== backupFormat)
    throw new GfsError(
      "FormatUnsupported",
      `Cannot read ${path}: it has format ${format}, and this version of gfs knows ${backupFormat}`,
    );
  const [checkpoint, until, number] = [32, 40, 56].map((at) => readUint53(view, at));
  const epoch = EpochSchema.safeParse({ number, startId: bytes.subarray(64, 72).toHex() });
  if (checkpoint === undefined || until === undefined || !epoch.success)
    throw corruptBackup(path, 16, "its header is out of range");
  const wallMs = view.getFloat64(48, true);
  return { clusterId: clusterId(bytes.subarray(16, 32).toHex()), epoch: epoch.data, checkpoint, until, wallMs, crc };
}

/** Encodes pieces and the end, in order. */
export class BackupEncoder {
  #crc: number;
  #pieces = 0;

  /** @param header as it was encoded: the first piece's checksum goes on from it */
  constructor(header: Uint8Array) {
    this.#crc = viewOf(header).getUint32(12, true);
  }

  /** The head; the bytes follow it. */
  piece(file: MetadataFile, offset: number, bytes: Uint8Array): Uint8Array {
    this.#pieces++;
    return this.#head({ ...file, offset }, bytes);
  }

  end(until: number): Uint8Array {
    return this.#head({ kind: "end", position: until, offset: this.#pieces }, new Uint8Array(0));
  }

  #head(
    { kind, position, offset }: Pick<BackupPieceHead, "kind" | "position" | "offset">,
    content: Uint8Array,
  ): Uint8Array {
    const bytes = new Uint8Array(backupPieceHeadBytes);
    const view = viewOf(bytes);
    view.setUint32(0, content.length, true);
    view.setUint8(8, kinds.indexOf(kind));
    writeUint53(view, 16, position);
    writeUint53(view, 24, offset);
    this.#crc = crc32(content, crc32(bytes.subarray(8), this.#crc));
    view.setUint32(4, this.#crc, true);
    return bytes;
  }
}

/** @throws GfsError("Corrupt") naming `path` and `at`, where the head lies */
export function decodeBackupPieceHead(head: Uint8Array, path: string, at: number): BackupPieceHead {
  if (head.length < backupPieceHeadBytes) throw corruptBackup(path, at, "it is cut short");
  const view = viewOf(head);
  const kind = kinds[view.getUint8(8)];
  const [position, offset] = [16, 24].map((field) => readUint53(view, field));
  const bytes = view.getUint32(0, true);
  if (kind === undefined || position === undefined || offset === undefined || bytes > metadataPieceBytesMax)
    throw corruptBackup(path, at, "a piece is out of range");
  if ((kind === "end") !== (bytes === 0)) throw corruptBackup(path, at, "a piece has no bytes");
  return { kind, position, offset, bytes, crc: view.getUint32(4, true) };
}

/** Of a piece, from the checksum before it. */
export function backupPieceCrc(before: number, head: Uint8Array, content: Uint8Array): number {
  return crc32(content, crc32(head.subarray(8, backupPieceHeadBytes), before));
}

export function corruptBackup(path: string, offset: number, why: string): GfsError {
  return new GfsError("Corrupt", `Cannot read the backup ${path} at byte ${offset}: ${why}`, {
    details: { file: path, offset },
  });
}
