import { assert } from "../../../src/base/assert.ts";
import { byteLengthOf, concatBytes } from "../../../src/base/bytes.ts";
import type { DiskFile, OpenMode } from "../../../src/io.ts";
import type { FileNode } from "./directory-tree.ts";
import type { Capture } from "./file-image.ts";
import { diskError } from "./drive.ts";
import type { DiskWork, DiskWorker } from "./sim-disk.ts";
import type { SimDrive } from "./sim-drive.ts";
import { never } from "./sim-process.ts";

const sectorBytes = 512;

/** A file that one process has open. Operations in flight may overtake each other, as those of a thread pool do. */
export class SimFile implements DiskFile {
  readonly path: string;
  readonly #node: FileNode;
  readonly #drive: SimDrive;
  readonly #mode: OpenMode;
  readonly #worker: DiskWorker;
  #inFlight = 0;
  #idle: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  constructor(
    path: string,
    { node, drive, mode }: { readonly node: FileNode; readonly drive: SimDrive; readonly mode: OpenMode },
    worker: DiskWorker,
  ) {
    this.path = path;
    this.#node = node;
    this.#drive = drive;
    this.#mode = mode;
    this.#worker = worker;
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return this.#run({
      operation: "read",
      path: this.path,
      range: this.#drive.faults.readMs,
      bytes: into.length,
      effect: () => this.#node.image.read(into, offset),
    });
  }

  async write(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    await this.#writeBack(pieces, offset);
    // As O_DSYNC does it: these bytes, and nothing that was written before.
    if (this.#mode === "through") await this.#sync(this.#node.image.capture({ offset, bytes: byteLengthOf(pieces) }));
  }

  #writeBack(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    if (!this.#worker.process.alive) return never();
    const drive = this.#drive;
    const bytes = byteLengthOf(pieces);
    if (bytes > 0 && drive.strikes(drive.faults.writeShowsEarly, "disk.write-shows-early"))
      this.#writeHead(pieces, offset);
    return this.#run({
      operation: "write",
      path: this.path,
      range: drive.faults.writeMs,
      bytes,
      effect: () => this.#write(pieces, offset, bytes),
      abandon: () => this.#writeHead(pieces, offset),
    });
  }

  sync(): Promise<void> {
    if (!this.#worker.process.alive) return never();
    return this.#sync(this.#node.image.capture());
  }

  #sync(capture: Capture): Promise<void> {
    const { image } = this.#node;
    return this.#run({
      operation: "sync",
      path: this.path,
      range: this.#drive.faults.syncMs,
      effect: () => {
        if (!this.#drive.strikes(this.#drive.faults.lyingSync, "disk.lying-sync")) image.commit(capture);
      },
      // What is on its way reaches the medium or not.
      abandon: () => {
        if (this.#drive.integer(0, 1) === 1) image.commit(capture);
      },
    }).catch((error: unknown) => {
      image.drop(capture);
      throw error;
    });
  }

  truncate(bytes: number): Promise<void> {
    return this.#run({
      operation: "write",
      path: this.path,
      range: this.#drive.faults.writeMs,
      effect: () => {
        this.#drive.files.truncate(this.#node, bytes);
        this.#node.modifiedMs = this.#worker.wallMs();
      },
    });
  }

  size(): Promise<number> {
    return this.#run({
      operation: "names",
      path: this.path,
      range: this.#drive.faults.openMs,
      effect: () => this.#node.image.bytes,
    });
  }

  close(): Promise<void> {
    if (!this.#worker.process.alive) return never();
    this.#closed ??= new Promise((resolve) => {
      if (this.#inFlight === 0) resolve();
      else this.#idle = resolve;
    });
    return this.#closed;
  }

  async #run<T>(work: DiskWork<T>): Promise<T> {
    if (!this.#worker.process.alive) return never();
    assert(this.#closed === undefined, `${work.operation} of a closed file: ${this.path}`);
    this.#inFlight++;
    try {
      return await this.#worker.run(this.#drive, work);
    } finally {
      this.#inFlight--;
      if (this.#inFlight === 0) this.#idle?.();
    }
  }

  #write(pieces: readonly Uint8Array[], offset: number, bytes: number): void {
    const drive = this.#drive;
    const { bitRot } = drive.faults;
    const astray = bytes > 0 && drive.goesAstray(this.path);
    let at = astray ? drive.integer(0, Math.ceil(this.#node.image.bytes / sectorBytes)) * sectorBytes : offset;
    for (const piece of pieces) {
      if (!drive.files.write(this.#node, piece, at)) throw diskError("full", "write", this.path, "no space is left");
      at += piece.length;
    }
    this.#node.modifiedMs = this.#worker.wallMs();
    if (bytes > 0 && drive.strikes(bitRot, "disk.bit-rot")) {
      this.#node.image.flip(offset + drive.integer(0, bytes - 1), 1 << drive.integer(0, 7));
    }
    if (drive.mayWriteBack()) this.#node.image.commit(this.#node.image.capture());
  }

  /** A random first part of a write: what had been copied when somebody looked. */
  #writeHead(pieces: readonly Uint8Array[], offset: number): void {
    const bytes = byteLengthOf(pieces);
    const head = concatBytes(pieces).subarray(0, this.#drive.integer(0, bytes));
    if (head.length > 0) this.#drive.files.write(this.#node, head, offset);
  }
}
