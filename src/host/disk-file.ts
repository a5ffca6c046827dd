import { constants, type FileHandle, open } from "node:fs/promises";
import { assert } from "../base/assert.ts";
import { byteLengthOf, concatBytes } from "../base/bytes.ts";
import { type DiskFile, DiskError, type OpenMode } from "../io.ts";
import { openDirect, readDirect } from "./direct-read.ts";
import { diskError } from "./disk-error.ts";

const flagsOf: Readonly<Record<OpenMode, number>> = {
  read: constants.O_RDONLY,
  medium: constants.O_RDONLY,
  write: constants.O_RDWR | constants.O_CREAT,
  through: constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
};

/** The most that one `writev` takes (IOV_MAX). */
const piecesPerCallMax = 1024;
/** Pieces smaller than this on average, when there are many, are cheaper to copy together than to list. */
const copyBelowBytes = 512;
const copyFromCount = 64;

export async function openFile(path: string, mode: OpenMode): Promise<DiskFile> {
  try {
    const handle = await open(path, flagsOf[mode]);
    // A directory opens for reading without complaint.
    if ((mode === "read" || mode === "medium") && (await handle.stat()).isDirectory()) {
      await handle.close();
      throw new DiskError("kind", path, `Cannot open ${path}: it is a directory`);
    }
    if (mode !== "medium") return new HostFile(path, handle, undefined);
    return new HostFile(path, handle, await openDirect(path).catch(closing(handle)));
  } catch (error) {
    throw diskError("open", path, error);
  }
}

function closing(handle: FileHandle): (error: unknown) => Promise<never> {
  return async (error) => {
    await handle.close();
    throw error;
  };
}

class HostFile implements DiskFile {
  readonly path: string;
  readonly #handle: FileHandle;
  /** Reads what the medium has. */
  readonly #direct: FileHandle | undefined;
  #inFlight = 0;
  #idle: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  constructor(path: string, handle: FileHandle, direct: FileHandle | undefined) {
    this.path = path;
    this.#handle = handle;
    this.#direct = direct;
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return this.#attempt("read", async (handle) => {
      if (this.#direct !== undefined) {
        const read = await readDirect(this.#direct, into, offset);
        if (read !== undefined) return read;
      }
      let done = 0;
      while (done < into.length) {
        const { bytesRead } = await handle.read(into, done, into.length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    });
  }

  write(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    return this.#attempt("write", async (handle) => {
      let at = offset;
      for (const group of groupsOf(pieces)) at += await writeGroup(handle, group, at);
    });
  }

  sync(): Promise<void> {
    return this.#attempt("sync", (handle) => handle.datasync());
  }

  truncate(bytes: number): Promise<void> {
    return this.#attempt("truncate", (handle) => handle.truncate(bytes));
  }

  size(): Promise<number> {
    return this.#attempt("look at", async (handle) => (await handle.stat()).size);
  }

  close(): Promise<void> {
    this.#closed ??= this.#closeWhenIdle();
    return this.#closed;
  }

  async #closeWhenIdle(): Promise<void> {
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    try {
      await this.#direct?.close();
      await this.#handle.close();
    } catch (error) {
      throw diskError("close", this.path, error);
    }
  }

  async #attempt<T>(action: string, operation: (handle: FileHandle) => Promise<T>): Promise<T> {
    // Descriptors are used again: an operation on a closed file could reach another one.
    assert(this.#closed === undefined, `${action} of a closed file: ${this.path}`);
    this.#inFlight++;
    try {
      return await operation(this.#handle);
    } catch (error) {
      throw diskError(action, this.path, error);
    } finally {
      this.#inFlight--;
      if (this.#inFlight === 0) this.#idle?.();
    }
  }
}

function groupsOf(pieces: readonly Uint8Array[]): readonly (readonly Uint8Array[])[] {
  if (pieces.length >= copyFromCount && byteLengthOf(pieces) < pieces.length * copyBelowBytes)
    return [[concatBytes(pieces)]];
  if (pieces.length <= piecesPerCallMax) return [pieces];
  const groups: (readonly Uint8Array[])[] = [];
  for (let i = 0; i < pieces.length; i += piecesPerCallMax) groups.push(pieces.slice(i, i + piecesPerCallMax));
  return groups;
}

/** All of it: the system may take less than it was given. */
async function writeGroup(handle: FileHandle, group: readonly Uint8Array[], offset: number): Promise<number> {
  const bytes = byteLengthOf(group);
  let done = 0;
  if (group.length > 1) done = (await handle.writev(group, offset)).bytesWritten;
  if (done === bytes) return bytes;
  const rest = concatBytes(group);
  while (done < bytes) {
    const { bytesWritten } = await handle.write(rest, done, bytes - done, offset + done);
    if (bytesWritten === 0) throw new Error("the system took no bytes");
    done += bytesWritten;
  }
  return bytes;
}
