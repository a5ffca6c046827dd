/**
 * What a volume may still take: the disk's free bytes less the reserve, and its own limit. New chunks and appends fill it to `fullShare`; the rest is for clones and the ends of
 * chunks that are being sealed, so that a full cluster can still be repaired.
 */
import { GfsError } from "../../base/errors.ts";
import type { DiskSpace, World } from "../../io.ts";
import type { VolumeSpace } from "../../wire/control/chunkservers.ts";

/** How old the disk's own figure may be; what we wrote since then is taken off it. */
const freshMs = 200;

/** What space is wanted for. */
export type SpaceUse = "new" | "clone";

export function spaceUse(purpose: "put" | "clone"): SpaceUse {
  return purpose === "put" ? "new" : "clone";
}

export interface SpaceOptions {
  readonly directory: string;
  readonly limitBytes: number | undefined;
  readonly reserveBytes: number;
  /** Of the total. */
  readonly fullShare: number;
  /** Bytes of all replicas, also those moved aside. */
  readonly usedBytes: () => number;
  /** Of those, bytes that only the volume log has: the log's own space is set aside, and they take the disk's once they are filed. */
  readonly unfiledBytes: () => number;
}

export class SpaceAccount {
  readonly #world: World;
  readonly #options: SpaceOptions;
  #disk: DiskSpace = { fileSystem: "", totalBytes: 0, freeBytes: 0 };
  #askedMs = Number.NEGATIVE_INFINITY;
  #takenSince = 0;
  /** When the disk was asked. */
  #unfiled = 0;
  /** Promised to streams that are under way, whose length is known, and not yet taken. */
  #reserved = 0;
  /** Taken by streams that are not replicas yet. */
  #streaming = 0;

  constructor(world: World, options: SpaceOptions) {
    this.#world = world;
    this.#options = options;
  }

  /** The disk's figure is not old: `refresh` has nothing to do. */
  get fresh(): boolean {
    return this.#world.clock.monotonicMs() - this.#askedMs < freshMs;
  }

  /** Brings the disk's figure up to date where it is old. @throws DiskError */
  async refresh(): Promise<void> {
    if (this.fresh) return;
    this.#askedMs = this.#world.clock.monotonicMs();
    this.#takenSince = 0;
    this.#unfiled = this.#options.unfiledBytes();
    this.#disk = await this.#world.disk.space(this.#options.directory);
  }

  /** The figure now, as `refresh` and what was taken since know it. */
  now(): VolumeSpace {
    const { limitBytes, reserveBytes, usedBytes } = this.#options;
    const used = usedBytes();
    const diskFree = this.#disk.freeBytes - reserveBytes - this.#unfiled - this.#takenSince;
    const limit = limitBytes ?? Number.POSITIVE_INFINITY;
    const free = Math.max(0, Math.min(diskFree, limit - used - this.#streaming) - this.#reserved);
    const diskTotal = Math.max(0, this.#disk.totalBytes - reserveBytes);
    const { fileSystem } = this.#disk;
    const disk = { fileSystem, totalBytes: diskTotal, freeBytes: Math.max(0, diskFree - this.#reserved) };
    const totalBytes = Math.min(diskTotal, limit);
    const newBytes = Math.max(0, Math.floor(free - (1 - this.#options.fullShare) * totalBytes));
    const own = { totalBytes, freeBytes: free, usedBytes: used, newBytes };
    return fileSystem === "" ? own : { ...own, disk };
  }

  /** @throws GfsError NoSpace where `bytes` more do not fit */
  check(bytes: number, what: string, use: SpaceUse): void {
    const { freeBytes, newBytes = freeBytes, totalBytes } = this.now();
    const room = use === "new" ? newBytes : freeBytes;
    if (bytes <= room && room > 0) return;
    const kept = room < freeBytes ? `, and ${freeBytes - room} kept for repair` : "";
    throw new GfsError(
      "NoSpace",
      `Cannot ${what}: ${bytes} bytes are wanted, ${room} of ${totalBytes} are free on this volume${kept}`,
      { details: { wantedBytes: bytes, freeBytes: room, totalBytes } },
    );
  }

  /** Bytes of an open replica went to the log. */
  take(bytes: number): void {
    this.#takenSince += bytes;
  }

  /** What a stream holds until it is a replica, or given back. `bytes`: its length, where that is known. */
  hold(bytes: number, use: SpaceUse): SpaceHold {
    let reserved = bytes;
    let taken = 0;
    this.#reserved += reserved;
    return {
      take: (more, what) => {
        const within = Math.min(reserved, more);
        if (more > within) this.check(more - within, what, use);
        reserved -= within;
        this.#reserved -= within;
        taken += more;
        this.#streaming += more;
        this.#takenSince += more;
      },
      release: () => {
        this.#reserved -= reserved;
        this.#streaming -= taken;
        reserved = 0;
        taken = 0;
      },
    };
  }
}

export interface SpaceHold {
  /** @throws GfsError NoSpace where more is taken than was held, and does not fit */
  take(bytes: number, what: string): void;
  /** Idempotent. */
  release(): void;
}
