/** One file for each chunk: names, directories, and the files that are open for reading (DESIGN §4.7). */
import { GfsError } from "../../base/errors.ts";
import { type Disk, DiskError, type DiskFile } from "../../io.ts";
import { DirectorySyncs } from "./directory-syncs.ts";
import { type Row } from "./replica-table.ts";
import { decodeTrailer, type Trailer, trailerBytesMax } from "./trailer.ts";

/** A sealed chunk's data file, open, with its trailer checked against what the volume knows of the replica. */
export interface SealedFile {
  readonly file: DiskFile;
  readonly trailer: Trailer;
  readonly blocks: Uint32Array;
}

export interface Loan {
  readonly sealed: SealedFile;
  /** Idempotent. */
  giveBack(): void;
}

interface Cached {
  readonly opened: Promise<SealedFile>;
  readers: number;
  forgotten: boolean;
}

/** Files kept open beside those being read. */
const cachedMax = 64;

export class DataFiles {
  readonly #disk: Disk;
  readonly #root: string;
  readonly #syncs: DirectorySyncs;
  readonly #made = new Map<string, Promise<void>>();
  /** Least recently used first. */
  readonly #cache = new Map<number, Cached>();

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#root = directory;
    this.#syncs = new DirectorySyncs(disk);
  }

  get chunksDirectory(): string {
    return `${this.#root}/chunks`;
  }

  get asideDirectory(): string {
    return `${this.#root}/aside`;
  }

  directoryOf(handle: number): string {
    return `${this.chunksDirectory}/${hexOf(handle).slice(14)}`;
  }

  pathOf(handle: number): string {
    return `${this.directoryOf(handle)}/${hexOf(handle)}`;
  }

  /** An empty file, its name not yet durable. What a crash left under the name is replaced. @throws DiskError */
  async create(handle: number): Promise<DiskFile> {
    await this.#directory(this.directoryOf(handle));
    const path = this.pathOf(handle);
    try {
      return await this.#disk.open(path, "create");
    } catch (error) {
      if (!(error instanceof DiskError) || error.kind !== "exists") throw error;
      await this.#disk.remove(path);
      return this.#disk.open(path, "create");
    }
  }

  /** To write on: made where it is missing. @throws DiskError missing (to read) */
  async open(handle: number, mode: "read" | "medium" | "write"): Promise<DiskFile> {
    if (mode === "write") await this.#directory(this.directoryOf(handle));
    return this.#disk.open(this.pathOf(handle), mode);
  }

  /** The file's name survives a power loss from here on. @throws DiskError */
  syncName(handle: number): Promise<void> {
    return this.#syncs.sync(this.directoryOf(handle));
  }

  async remove(handle: number): Promise<void> {
    this.forget(handle);
    await this.#disk.remove(this.pathOf(handle));
  }

  /** Out of the way, under a name of its own; false where there is no file. */
  async moveAside(handle: number, mark: number): Promise<string | undefined> {
    this.forget(handle);
    await this.#directory(this.asideDirectory);
    const target = `${hexOf(handle)}-${mark}`;
    try {
      await this.#disk.rename(this.pathOf(handle), `${this.asideDirectory}/${target}`);
      return target;
    } catch (error) {
      if (error instanceof DiskError && error.kind === "missing") return undefined;
      throw error;
    }
  }

  async purge(asideName: string): Promise<void> {
    await this.#disk.remove(`${this.asideDirectory}/${asideName}`);
  }

  /**
   * Lends the data file of a sealed replica at rest.
   *
   * @throws GfsError Corrupt (short, or the trailer damaged or of another replica) | DiskError missing
   */
  async borrow(row: Row): Promise<Loan> {
    const cached = this.#cached(row);
    cached.readers++;
    let lent = true;
    const giveBack = (): void => {
      if (!lent) return;
      lent = false;
      cached.readers--;
      if (cached.forgotten && cached.readers === 0) closeQuietly(cached.opened);
    };
    try {
      return { sealed: await cached.opened, giveBack };
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  /** The file of this name is about to change or go: the next reader opens it anew. */
  forget(handle: number): void {
    const cached = this.#cache.get(handle);
    if (cached === undefined) return;
    this.#cache.delete(handle);
    cached.forgotten = true;
    if (cached.readers === 0) closeQuietly(cached.opened);
  }

  /** Closes what is cached; files lent out are closed when they are given back. */
  close(): void {
    for (const handle of this.#cache.keys()) this.forget(handle);
  }

  #cached(row: Row): Cached {
    const known = this.#cache.get(row.handle);
    if (known !== undefined) {
      this.#cache.delete(row.handle);
      this.#cache.set(row.handle, known);
      return known;
    }
    const cached: Cached = { opened: this.openSealed(row, "read"), readers: 0, forgotten: false };
    cached.opened.catch(() => {
      if (this.#cache.get(row.handle) === cached) this.#cache.delete(row.handle);
    });
    this.#cache.set(row.handle, cached);
    for (const [handle, { readers }] of this.#cache) {
      if (this.#cache.size <= cachedMax) break;
      if (readers === 0 && handle !== row.handle) this.forget(handle);
    }
    return cached;
  }

  /**
   * Opens the data file of a sealed replica at rest anew, and reads its trailer. The caller closes it.
   *
   * @throws GfsError Corrupt (short, or the trailer damaged or of another replica) | DiskError missing
   */
  async openSealed(row: Row, mode: "read" | "medium"): Promise<SealedFile> {
    const file = await this.open(row.handle, mode);
    try {
      const into = new Uint8Array(trailerBytesMax(row.length));
      const read = await file.read(into, row.length);
      const { trailer, blocks } = decodeTrailer(into.subarray(0, read));
      const same =
        trailer.handle === row.handle &&
        trailer.version === row.dataVersion &&
        trailer.length === row.length &&
        trailer.crc === row.crc;
      if (!same)
        throw new GfsError(
          "Corrupt",
          `Cannot use ${file.path}: its trailer is of another replica than the volume's records say`,
        );
      return { file, trailer, blocks };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  #directory(path: string): Promise<void> {
    const known = this.#made.get(path);
    if (known !== undefined) return known;
    const made = this.#make(path);
    made.catch(() => this.#made.delete(path));
    this.#made.set(path, made);
    return made;
  }

  async #make(path: string): Promise<void> {
    if (path.startsWith(`${this.chunksDirectory}/`)) await this.#directory(this.chunksDirectory);
    await this.#disk.makeDirectory(path);
    await this.#syncs.sync(path.slice(0, path.lastIndexOf("/")));
  }
}

function hexOf(handle: number): string {
  return handle.toString(16).padStart(16, "0");
}

/** Of a data file's name, or a name in `aside`; undefined for anything else. */
export function handleOfName(name: string): number | undefined {
  const hex = /^([0-9a-f]{16})(?:-\d+)?$/.exec(name)?.[1];
  const handle = hex === undefined ? 0 : Number.parseInt(hex, 16);
  return Number.isSafeInteger(handle) && handle > 0 ? handle : undefined;
}

function closeQuietly(opened: Promise<SealedFile>): void {
  // It was only read: what closing it could still report concerns nobody.
  opened.then(({ file }) => file.close()).catch(() => undefined);
}
