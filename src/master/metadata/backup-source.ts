/** A backup file to restore from: read once from end to end, every piece checked, before anything of it is used. */
import { type Disk, DiskError, type DiskFile } from "../../io.ts";
import { diskFailed } from "../../log/survey.ts";
import {
  backupHeaderBytes,
  backupPieceCrc,
  backupPieceHeadBytes,
  corruptBackup,
  decodeBackupHeader,
  decodeBackupPieceHead,
} from "../../wire/backup-file.ts";
import { metadataPieceBytesMax, type MetadataFile } from "../../wire/control/metadata.ts";
import type { MetadataSource, SourceFile } from "./source.ts";

interface Run {
  /** In the backup. */
  readonly at: number;
  readonly bytes: number;
}

interface IndexedFile extends SourceFile {
  bytes: number;
  readonly runs: Run[];
}

/** @throws GfsError("Corrupt") naming the byte where it is damaged or cut short, GfsError("FormatUnsupported" | "DiskFailed") */
export async function openBackup(disk: Disk, path: string): Promise<MetadataSource> {
  let opened: DiskFile | undefined;
  try {
    const file = await disk.open(path, "read");
    opened = file;
    const { facts, files } = await index(file, path);
    return {
      text: path,
      clusterId: facts.clusterId,
      epoch: facts.epoch.number,
      files,
      last: facts.until,
      read: (wanted) => runsOf(file, path, files.find((each) => isSame(each, wanted))?.runs ?? []),
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await opened?.close();
    throw error instanceof DiskError ? diskFailed(`read ${path}`, error) : error;
  }
}

function isSame(a: MetadataFile, b: MetadataFile): boolean {
  return a.kind === b.kind && a.position === b.position;
}

async function index(
  file: DiskFile,
  path: string,
): Promise<{ readonly facts: ReturnType<typeof decodeBackupHeader>; readonly files: readonly IndexedFile[] }> {
  const header = new Uint8Array(backupHeaderBytes);
  const facts = decodeBackupHeader(header.subarray(0, await file.read(header, 0)), path);
  const files: IndexedFile[] = [];
  let { crc } = facts;
  let at = backupHeaderBytes;
  let pieces = 0;
  const buffer = new Uint8Array(backupPieceHeadBytes + metadataPieceBytesMax);
  for (;;) {
    const into = buffer.subarray(0, backupPieceHeadBytes);
    const head = decodeBackupPieceHead(into.subarray(0, await file.read(into, at)), path, at);
    const content = buffer.subarray(backupPieceHeadBytes, backupPieceHeadBytes + head.bytes);
    if ((await file.read(content, at + backupPieceHeadBytes)) < head.bytes)
      throw corruptBackup(path, at, "it is cut short");
    crc = backupPieceCrc(crc, into, content);
    if (crc !== head.crc) throw corruptBackup(path, at, "the checksum of a piece is wrong");
    const { kind, position, offset } = head;
    if (kind === "end") {
      const end = at + backupPieceHeadBytes;
      if (position !== facts.until || offset !== pieces) throw corruptBackup(path, at, "pieces are missing");
      if ((await file.size()) !== end) throw corruptBackup(path, end, "something follows its end");
      return { facts, files };
    }
    let entry = files.at(-1);
    if (entry === undefined || !isSame(entry, { kind, position })) {
      if (files.some((each) => isSame(each, { kind, position }))) throw corruptBackup(path, at, "a file comes twice");
      entry = { kind, position, bytes: 0, runs: [] };
      files.push(entry);
    }
    if (entry.bytes !== offset) throw corruptBackup(path, at, "a file has a hole");
    entry.runs.push({ at: at + backupPieceHeadBytes, bytes: head.bytes });
    entry.bytes += head.bytes;
    at += backupPieceHeadBytes + head.bytes;
    pieces++;
  }
}

async function* runsOf(file: DiskFile, path: string, runs: readonly Run[]): AsyncGenerator<Uint8Array, void> {
  for (const { at, bytes } of runs) {
    const into = new Uint8Array(bytes);
    if ((await file.read(into, at)) < bytes) throw corruptBackup(path, at, "it is no longer what it was a moment ago");
    yield into;
  }
}
