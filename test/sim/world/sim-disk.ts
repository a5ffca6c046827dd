import type { Disk, DiskFile, DiskSpace, FileInfo, OpenMode } from "../../../src/io.ts";
import { diskError } from "./drive.ts";
import type { RangeMs } from "./fault-settings.ts";
import type { Scheduler } from "./scheduler.ts";
import { SimFile } from "./sim-file.ts";
import type { DiskOperation, SimDrive } from "./sim-drive.ts";
import { type EndOfProcess, never, type SimProcess } from "./sim-process.ts";

/** One operation of a process on a drive. */
export interface DiskWork<T> {
  readonly operation: DiskOperation;
  readonly path: string;
  readonly range: RangeMs;
  readonly bytes?: number;
  /** Happens at the end of the wait; throws what the caller gets. */
  readonly effect: () => T;
  /** Happens instead where the process ends during the wait. */
  readonly abandon?: (end: EndOfProcess) => void;
}

/** Runs operations in virtual time; those in flight when the process ends happen or not, by chance. */
export class DiskWorker {
  readonly scheduler: Scheduler;
  readonly process: SimProcess;
  readonly wallMs: () => number;

  constructor(scheduler: Scheduler, process: SimProcess, wallMs: () => number) {
    this.scheduler = scheduler;
    this.process = process;
    this.wallMs = wallMs;
  }

  run<T>(drive: SimDrive, work: DiskWork<T>): Promise<T> {
    const { scheduler, process } = this;
    if (!process.alive) return never();
    return new Promise((resolve, reject) => {
      const held = {
        onProcessEnd: (end: EndOfProcess) => {
          if (work.abandon !== undefined) work.abandon(end);
          else if (work.operation !== "read" && drive.integer(0, 1) === 1) attempt(() => work.effect());
        },
      };
      process.hold(held);
      scheduler.after(drive.latencyMs(work.range, work.bytes ?? 0), process, () => {
        process.release(held);
        try {
          drive.mayFail(work.operation, work.path);
          resolve(work.effect());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }
}

/** What a process that is gone wanted done: nobody learns how it went. */
function attempt(effect: () => unknown): void {
  try {
    effect();
  } catch {
    // nobody is left to be told
  }
}

/** The drives of a machine as one process sees them. */
export class SimDisk implements Disk {
  readonly #drives: readonly SimDrive[];
  readonly #worker: DiskWorker;

  constructor(drives: readonly SimDrive[], worker: DiskWorker) {
    this.#drives = drives;
    this.#worker = worker;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const drive = driveOf(this.#drives, path);
    const node = await this.#names("open", path, () => drive.files.openFile(path, mode, this.#worker.wallMs()));
    return new SimFile(path, { node, drive, mode }, this.#worker);
  }

  makeDirectory(path: string): Promise<void> {
    return this.#names("names", path, (drive) => drive.files.makeDirectory(path, this.#worker.wallMs()));
  }

  list(path: string): Promise<string[]> {
    return this.#names("names", path, (drive) => drive.files.list(path));
  }

  info(path: string): Promise<FileInfo | undefined> {
    return this.#names("names", path, (drive) => drive.files.info(path));
  }

  rename(from: string, to: string): Promise<void> {
    const target = driveOf(this.#drives, to);
    return this.#names("names", from, (drive) => {
      if (target !== drive) throw diskError("failed", "rename", from, `${to} is on another drive`);
      drive.files.rename(from, to, this.#worker.wallMs());
    });
  }

  remove(path: string): Promise<void> {
    return this.#names("names", path, (drive) => drive.files.remove(path, this.#worker.wallMs()));
  }

  removeTree(path: string): Promise<void> {
    return this.#names("names", path, (drive) => drive.files.removeTree(path, this.#worker.wallMs()));
  }

  async syncDirectory(path: string): Promise<void> {
    const drive = driveOf(this.#drives, path);
    const mark = drive.files.mark();
    await this.#worker.run(drive, {
      operation: "sync",
      path,
      range: drive.faults.syncMs,
      effect: () => {
        const directory = drive.files.directory("sync", path);
        if (!drive.strikes(drive.faults.lyingSync, "disk.lying-sync")) drive.files.syncDirectory(directory, mark);
      },
    });
  }

  space(path: string): Promise<DiskSpace> {
    return this.#names("names", path, (drive) => {
      if (drive.files.info(path) === undefined)
        throw diskError("missing", "measure the space of", path, "there is no such file");
      return { fileSystem: drive.name, totalBytes: drive.files.capacityBytes, freeBytes: drive.files.freeBytes };
    });
  }

  lock(directory: string): Promise<AsyncDisposable> {
    return this.#names("names", directory, (drive) => drive.lock(directory, this.#worker.process));
  }

  #names<T>(operation: DiskOperation, path: string, effect: (drive: SimDrive) => T): Promise<T> {
    const drive = driveOf(this.#drives, path);
    return this.#worker.run(drive, {
      operation,
      path,
      range: drive.faults.openMs,
      effect: () => {
        const result = effect(drive);
        drive.mayWriteBack();
        return result;
      },
    });
  }
}

/** The drive with the longest mount point that the path lies in. */
export function driveOf(drives: readonly SimDrive[], path: string): SimDrive {
  let best: SimDrive | undefined;
  for (const drive of drives) {
    const inside = drive.mount === "/" || path === drive.mount || path.startsWith(`${drive.mount}/`);
    if (inside && (best === undefined || drive.mount.length > best.mount.length)) best = drive;
  }
  if (best === undefined) throw diskError("missing", "find a drive for", path, "paths are absolute");
  return best;
}
