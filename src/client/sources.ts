/** Where the bytes of a put come from: read by ranges, again where a chunk must be sent again. */
import { unreachable } from "../base/assert.ts";
import { concatBytes } from "../base/bytes.ts";
import { crc32 } from "../base/checksum.ts";
import { GfsError } from "../base/errors.ts";
import type { DiskFile, World } from "../io.ts";
import type { Source } from "./api.ts";
import { fileInfo, local } from "./local-files.ts";
import type { Content } from "./outcome.ts";
import { Spool, spoolWhole } from "./spool.ts";

/** Bytes of one chunk, in order. */
export interface ChunkSource {
  readonly bytes: number;
  /**
   * The bytes at `offset` of the chunk: as many as `into` holds, fewer only at the chunk's end. They lie in `into`, or where the source has them anyway.
   * @throws GfsError("SourceChanged") and those of local files
   */
  read(into: Uint8Array, offset: number): Promise<Uint8Array>;
  /** The chunk is safe: it will not be read again. */
  release(): void;
}

export interface OpenSource extends AsyncDisposable {
  /** Undefined while nobody knows. */
  readonly bytes: number | undefined;
  /** The next chunk, of at most `chunkBytes` and at least one; undefined at the end. May wait for a stream, and for earlier chunks to be released. One call at a time. */
  nextChunk(chunkBytes: number): Promise<{ readonly fileOffset: number; readonly source: ChunkSource } | undefined>;
  /** Begins again with the first chunk. Only where `bytes` is known. */
  rewind(): void;
  /** Length and checksum of all of it. Only where `bytes` is known. */
  content(): Promise<Content>;
  /** After all was read: throws GfsError("SourceChanged") where the source is not what it was at the start. */
  verify(): Promise<void>;
}

/** Streams up to here are taken whole before anything is sent: they then need no spool. */
const smallStreamBytes = 1_048_576;
const contentPieceBytes = 1_048_576;

export interface SourceOptions {
  readonly parallelChunks: number;
  /** A stream is taken to its end before anything else, so that its length and checksum are known. */
  readonly whole: boolean;
}

/** @throws GfsError NotFound | IsDirectory | LocalFile | Denied for a local file */
export async function openSource(world: World, source: Source, options: SourceOptions): Promise<OpenSource> {
  switch (source.kind) {
    case "bytes":
      return bytesSource(source.bytes);
    case "file":
      return openFile(world, source.path);
    case "stream":
      return openStream(world, source, options);
    default:
      return unreachable(source);
  }
}

async function openStream(
  world: World,
  { stream, spoolDirectory }: Extract<Source, { kind: "stream" }>,
  { parallelChunks, whole }: SourceOptions,
): Promise<OpenSource> {
  const pieces: Uint8Array[] = [];
  const rest = stream[Symbol.asyncIterator]();
  for (let bytes = 0; bytes <= smallStreamBytes;) {
    const next = await rest.next();
    if (next.done === true) return bytesSource(concatBytes(pieces));
    pieces.push(next.value);
    bytes += next.value.length;
  }
  const spooled = { head: pieces, rest, directory: spoolDirectory };
  if (!whole) return new Spool(world, { ...spooled, slots: parallelChunks + 1 });
  const { file, bytes } = await spoolWhole(world, spooled);
  return fileSource({ file, path: "(a stream)", bytes, verify: async () => {} });
}

export function bytesSource(whole: Uint8Array): OpenSource {
  let at = 0;
  return {
    bytes: whole.length,
    nextChunk: async (chunkBytes) => {
      if (at === whole.length) return undefined;
      const fileOffset = at;
      const chunk = whole.subarray(at, at + chunkBytes);
      at += chunk.length;
      const source: ChunkSource = {
        bytes: chunk.length,
        read: async (into, offset) => chunk.subarray(offset, offset + into.length),
        release: () => {},
      };
      return { fileOffset, source };
    },
    rewind: () => (at = 0),
    content: async () => ({ bytes: whole.length, crc: crc32(whole) }),
    verify: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

async function openFile(world: World, path: string): Promise<OpenSource> {
  const before = await fileInfo(world, path);
  const file = await local("read", world.disk.open(path, "read"));
  if (before.bytes === 0) await refuseUnsized(file);
  return fileSource({
    file,
    path,
    bytes: before.bytes,
    verify: async () => {
      const after = await local("read", world.disk.info(path));
      if (after === undefined) return; // removed, or renamed: what is open here is what was read
      if (after.bytes !== before.bytes || after.modifiedMs !== before.modifiedMs) throw changed(path, "changed");
    },
  });
}

/** Files of /proc have content and no size: they must not be taken for empty ones. */
async function refuseUnsized(file: DiskFile): Promise<void> {
  const bytes = await local("read", file.read(new Uint8Array(1), 0));
  if (bytes === 0) return;
  await file.close();
  const why = "it says that it is empty and is not; pipe it in as - instead";
  throw new GfsError("LocalFile", `Cannot read local ${file.path}: ${why}`);
}

function changed(path: string, how: string): GfsError {
  return new GfsError("SourceChanged", `Cannot send local ${path}: it ${how} while it was read`);
}

function fileSource({
  file,
  path,
  bytes: fileBytes,
  verify,
}: {
  readonly file: DiskFile;
  readonly path: string;
  readonly bytes: number;
  readonly verify: () => Promise<void>;
}): OpenSource {
  const readAt = async (into: Uint8Array, offset: number): Promise<void> => {
    if ((await local("read", file.read(into, offset))) < into.length) throw changed(path, "shrank");
  };
  let at = 0;
  return {
    bytes: fileBytes,
    nextChunk: async (chunkBytes) => {
      if (at === fileBytes) return undefined;
      const fileOffset = at;
      const bytes = Math.min(chunkBytes, fileBytes - at);
      at += bytes;
      const source: ChunkSource = {
        bytes,
        read: async (into, offset) => {
          const part = into.subarray(0, Math.min(into.length, bytes - offset));
          await readAt(part, fileOffset + offset);
          return part;
        },
        release: () => {},
      };
      return { fileOffset, source };
    },
    rewind: () => (at = 0),
    content: async () => {
      const buffer = new Uint8Array(Math.min(contentPieceBytes, fileBytes));
      let crc = 0;
      for (let from = 0; from < fileBytes; from += buffer.length) {
        const part = buffer.subarray(0, Math.min(buffer.length, fileBytes - from));
        await readAt(part, from);
        crc = crc32(part, crc);
      }
      return { bytes: fileBytes, crc };
    },
    verify,
    [Symbol.asyncDispose]: () => file.close(),
  };
}
