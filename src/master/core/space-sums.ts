/** What volumes hold together. A disk that several of them share has its space once, however many tell it (promise P7). */
import type { Limits } from "../../limits.ts";
import { allVolumes, isCounted, isUsable, newChunkBytes, type Volume, type VolumeTable } from "./volumes.ts";

/** A file system, with the usable volumes on it. */
export interface SharedDisk {
  readonly volumes: readonly Volume[];
  /** Of the volumes together: no more than the disk has. */
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** For new chunks. */
  readonly newBytes: number;
}

export interface SpaceSums {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly usedBytes: number;
}

/** Of the volumes that may be read or written now, in bytes of replicas. */
export function spaceSums(table: VolumeTable): SpaceSums {
  const disks = usableDisks(table);
  return {
    totalBytes: sum(disks, (disk) => disk.totalBytes),
    freeBytes: sum(disks, (disk) => disk.freeBytes),
    usedBytes: sum(disks, ({ volumes }) => sum(volumes, ({ space }) => space.usedBytes)),
  };
}

/** What a full cluster of these volumes still takes, in bytes of files at `replicas` each (each replica on another volume). */
export function usableBytes(table: VolumeTable, replicas: Limits["replicas"]): number {
  const disks = usableDisks(table, isCounted).map(({ volumes, newBytes }) => ({
    freeBytes: Math.max(0, newBytes - sum(volumes, ({ reservedBytes }) => reservedBytes)),
    volumes: volumes.map(newChunkBytes),
  }));
  // No volume takes more than one replica of a byte, and no disk more than it has.
  const fits = (bytes: number): boolean =>
    sum(disks, (disk) =>
      Math.min(
        disk.freeBytes,
        sum(disk.volumes, (free) => Math.min(free, bytes)),
      ),
    ) >=
    replicas * bytes;
  let most = Math.floor(sum(disks, ({ freeBytes }) => freeBytes) / Math.max(1, replicas));
  for (let least = 0; least < most;) {
    const middle = least + Math.ceil((most - least) / 2);
    if (fits(middle)) least = middle;
    else most = middle - 1;
  }
  return most;
}

/** Disks of usable volumes that `takes` holds for. A volume that does not tell where it lies has a disk of its own. */
export function usableDisks(table: VolumeTable, takes: (volume: Volume) => boolean = () => true): SharedDisk[] {
  const byFileSystem = new Map<string, Volume[]>();
  for (const volume of allVolumes(table)) {
    if (!isUsable(volume) || !takes(volume)) continue;
    const name = volume.space.disk?.fileSystem ?? volume.volume;
    const sharing = byFileSystem.get(name);
    if (sharing === undefined) byFileSystem.set(name, [volume]);
    else sharing.push(volume);
  }
  return [...byFileSystem.values()].map((volumes) => ({
    volumes,
    totalBytes: together(volumes, ({ totalBytes }) => totalBytes),
    freeBytes: together(volumes, ({ freeBytes }) => freeBytes),
    newBytes: Math.min(
      sum(volumes, ({ space }) => newOf(space)),
      Math.max(...volumes.map(({ space }) => (space.disk ?? space).freeBytes - (space.freeBytes - newOf(space)))),
    ),
  }));
}

function newOf({ newBytes, freeBytes }: Volume["space"]): number {
  return newBytes ?? freeBytes;
}

/** The sum, and no more than their disk has: each tells the disk's figure at another moment, and with its own reserve. */
function together(
  volumes: readonly Volume[],
  of: (space: Pick<SpaceSums, "totalBytes" | "freeBytes">) => number,
): number {
  const ofDisk = volumes.map(({ space }) => of(space.disk ?? space));
  return Math.min(
    sum(volumes, ({ space }) => of(space)),
    Math.max(...ofDisk),
  );
}

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((total, one) => total + of(one), 0);
}
