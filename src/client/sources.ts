/** Where the bytes of a put come from: read by ranges, again where a chunk must be sent again. */
import { crc32 } from "../base/checksum.ts";
import { GfsError } from "../base/errors.ts";
import type { DiskFile, World } from "../io.ts";
import type { Source } from "./api.ts";
import { fileInfo, local } from "./local-files.ts";
import type { Content } from "./outcome.ts";
import { openSpool } from "./spool.ts";

/** Bytes of one chunk, in order. */
export interface ChunkSource {
  /** Undefined while nobody knows how long the chunk will be. */
  readonly bytes: number | undefined;
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
  /** The next chunk, of at most `chunkBytes`; undefined at the end. May wait for a stream, and for earlier chunks to be released. One call at a time. */
  nextChunk(chunkBytes: number): Promise<{ readonly fileOffset: number; readonly source: ChunkSource } | undefined>;
  /** After all was read: throws GfsError("SourceChanged") where the source is not what it was at the start. */
  verify(): Promise<void>;
}

/** Streams up to here are taken whole before anything is sent: they then need no spool. */
const smallStreamBytes = 1_048_576;

/** @throws GfsError NotFound | IsDirectory | LocalFile | Denied for a local file */
export async function openSource(world: World, source: Source, parallelChunks: number): Promise<OpenSource> {
  switch (source.kind) {
    case "bytes":
      return bytesSource(source.bytes);
    case "file":
      return openFile(world, source.path);
    case "stream": {
      const pieces: Uint8Array[] = [];
      let bytes = 0;
      const iterator = source.stream[Symbol.asyncIterator]();
      while (bytes <= smallStreamBytes) {
        const next = await iterator.next();
        if (next.done === true) return bytesSource(joined(pieces, bytes));
        pieces.push(next.value);
        bytes += next.value.length;
      }
      return openSpool(world, { head: pieces, rest: iterator, directory: source.spoolDirectory, slots: parallelChunks + 1 });
    }
  }
}

function joined(pieces: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
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
    verify: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

async function openFile(world: World, path: string): Promise<OpenSource> {
  const before = await fileInfo(world, path);
  const file = await local("read", world.disk.open(path, "read"));
  const changed = (how: string): GfsError =>
    new GfsError("SourceChanged", `Cannot send local ${path}: it ${how} while it was read`);
  let at = 0;
  return {
    bytes: before.bytes,
    nextChunk: async (chunkBytes) => {
      if (at === before.bytes) return undefined;
      const fileOffset = at;
      const bytes = Math.min(chunkBytes, before.bytes - at);
      at += bytes;
      const source: ChunkSource = {
        bytes,
        read: async (into, offset) => {
          const wanted = Math.min(into.length, bytes - offset);
          if (wanted === 0) return into.subarray(0, 0);
          const part = into.subarray(0, wanted);
          if ((await local("read", file.read(part, fileOffset + offset))) < wanted) throw changed("shrank");
          return part;
        },
        release: () => {},
      };
      return { fileOffset, source };
    },
    verify: async () => {
      const after = await local("read", world.disk.info(path));
      if (after === undefined) return; // removed, or renamed: what is open here is what was read
      if (after.bytes !== before.bytes || after.modifiedMs !== before.modifiedMs) throw changed("changed");
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

/** Length and checksum of all that is in a local file. */
export async function contentOfFile(file: DiskFile, bytes: number): Promise<Content> {
  const buffer = new Uint8Array(1_048_576);
  let crc = 0;
  for (let at = 0; at < bytes; ) {
    const part = buffer.subarray(0, Math.min(buffer.length, bytes - at));
    const count = await local("read", file.read(part, at));
    if (count < part.length) throw new GfsError("SourceChanged", `Cannot send local ${file.path}: it shrank`);
    crc = crc32(part, crc);
    at += count;
  }
  return { bytes, crc };
}
