import type { DiskFaults } from "./fault-settings.ts";
import { diskError, Drive, type DriveOptions, normal } from "./drive.ts";
import type { Prng } from "./prng.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimProcess } from "./sim-process.ts";

export type DiskOperation = "open" | "read" | "write" | "sync" | "names";

/** Faults to make on purpose, at the next operations that match. */
export interface PlannedFailure {
  readonly operation: DiskOperation;
  /** Only of paths that begin with it. */
  readonly pathPrefix?: string;
  /** How many; Infinity for all from now on. */
  readonly times: number;
  /** There is no room for it, rather than an error of the medium. */
  readonly kind?: "full";
}

/** Of what strikes by chance. */
const harmful = new Set(["disk.misdirected", "disk.lying-sync", "disk.bit-rot"]);

/** What one operation takes longer by chance, on a slow drive too: it is over before everything has to be whole again. */
const longestByChanceMs = 60_000;

/** A drive with its wear: latencies, failures and locks. */
export class SimDrive {
  /** Of no other drive. */
  readonly name: string;
  readonly mount: string;
  readonly files: Drive;
  readonly #scheduler: Scheduler;
  readonly #prng: Prng;
  readonly #planned: { readonly failure: PlannedFailure; left: number }[] = [];
  readonly #usualCapacity: number;
  readonly #locks = new Map<string, SimProcess>();
  #broken = false;
  #slowFactor = 1;
  #misdirected: string | undefined;
  #harmed = false;
  faults: DiskFaults;

  constructor(mount: string, { name, scheduler, prng, faults, ...options }: SimDriveOptions) {
    this.name = name;
    this.mount = normal(mount);
    this.#scheduler = scheduler;
    this.#prng = prng;
    this.faults = faults;
    this.files = new Drive(options);
    this.#usualCapacity = this.files.capacityBytes;
    this.files.makeDirectory(this.mount, 0);
    this.files.losePower({ prng, keep: 1 });
  }

  /** Bytes on it may not be those that were written and synced, or an operation has failed. */
  get harmed(): boolean {
    return this.#harmed;
  }

  /** Every operation fails from now on. */
  breakDown(): void {
    this.#broken = true;
  }

  fail(failure: PlannedFailure): void {
    this.#planned.push({ failure, left: failure.times });
  }

  /** Takes `factor` times as long from now on. */
  slow(factor: number): void {
    this.#slowFactor = factor;
  }

  /** What was planned and has not happened does not happen any more. */
  forgetPlans(): void {
    this.#planned.length = 0;
    this.#misdirected = undefined;
  }

  /** The next write to a file whose path begins so lands on other sectors of it. */
  misdirectNext(pathPrefix: string): void {
    this.#misdirected = pathPrefix;
  }

  goesAstray(path: string): boolean {
    if (this.#misdirected === undefined || !path.startsWith(this.#misdirected))
      return this.strikes(this.faults.misdirectedWrite, "disk.misdirected");
    this.#misdirected = undefined;
    this.#harmed = true;
    this.#scheduler.count("disk.misdirected");
    return true;
  }

  /** Only so many bytes are free from now on; undefined: enough again. */
  fill(freeBytes: number | undefined): void {
    if (freeBytes === undefined) this.files.capacityBytes = this.#usualCapacity;
    else this.files.capacityBytes += freeBytes - this.files.freeBytes;
    if (freeBytes !== undefined) this.#scheduler.count("disk.full");
  }

  /** Flips bits of one byte on the medium, for readers too. @throws DiskError where there is no such byte */
  corrupt(path: string, offset: number, mask = 1): void {
    if (!this.files.file(path).image.flip(offset, mask))
      throw diskError("failed", "corrupt", path, `it has no byte ${offset}`);
    this.#harmed = true;
    this.#scheduler.count("disk.corrupted");
  }

  latencyMs(range: readonly [number, number], bytes: number): number {
    const { slow, slowMs, bytesPerMs } = this.faults;
    const usual = this.#prng.between(range) + bytes / bytesPerMs;
    const extra = this.#scheduler.strikes(this.#prng, slow, "disk.slow") ? this.#prng.between(slowMs) : 0;
    return Math.min((usual + extra) * this.#slowFactor, usual * this.#slowFactor + longestByChanceMs);
  }

  /** @throws DiskError("failed") by plan, by chance, and always once the drive is broken; ("full") by plan. */
  mayFail(operation: DiskOperation, path: string): void {
    const { readFails, writeFails, syncFails, failsForEver } = this.faults;
    const planned = this.#planned.find(
      ({ failure, left }) => left > 0 && failure.operation === operation && path.startsWith(failure.pathPrefix ?? ""),
    );
    if (planned !== undefined) {
      planned.left--;
      this.#scheduler.count(`disk.${operation}-failed`);
    }
    const odds =
      operation === "read" ? readFails : operation === "write" ? writeFails : operation === "sync" ? syncFails : 0;
    const fails = planned !== undefined || this.#scheduler.strikes(this.#prng, odds, `disk.${operation}-failed`);
    if (fails && planned === undefined && this.#prng.chance(failsForEver)) this.#broken = true;
    if (fails || this.#broken) this.#harmed = true;
    if (planned?.failure.kind === "full") throw diskError("full", operation, path, "ENOSPC, no space left on device");
    if (fails || this.#broken) throw diskError("failed", operation, path, "EIO, input/output error");
  }

  strikes(probability: number, name: string): boolean {
    const struck = this.#scheduler.strikes(this.#prng, probability, name);
    if (struck && harmful.has(name)) this.#harmed = true;
    return struck;
  }

  /** A moment for things to become durable by themselves. */
  mayWriteBack(): boolean {
    if (this.files.namesWaiting > 256) this.files.writeBack();
    if (!this.#prng.chance(this.faults.writeBack)) return false;
    this.files.writeBack();
    return true;
  }

  integer(min: number, max: number): number {
    return this.#prng.integer(min, max);
  }

  /** @throws DiskError("busy") */
  lock(directory: string, process: SimProcess): AsyncDisposable {
    this.files.directory("lock", directory);
    const key = normal(directory);
    if (this.#locks.get(key)?.alive === true)
      throw diskError("busy", "lock", directory, "another process holds the lock");
    this.#locks.set(key, process);
    let held = true;
    return {
      [Symbol.asyncDispose]: async () => {
        if (held && process.alive) this.#locks.delete(key);
        held = false;
      },
    };
  }

  /** Of what was not synced each part is kept with the probability `keep`; if not given, all, none, or a mixture by chance. */
  losePower(keep?: number): void {
    const prng = this.#prng;
    const draw = prng.fraction();
    const drawn = draw < 0.3 ? 0 : draw < 0.4 ? 1 : prng.fraction();
    this.files.losePower({ prng, keep: keep ?? drawn });
  }
}

export interface SimDriveOptions extends DriveOptions {
  /** Of no other drive of any machine. */
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly faults: DiskFaults;
}
