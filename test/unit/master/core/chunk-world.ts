/** A chunk table and volumes for the tests of the chunk side: three or more registered volumes, chunks sealed on some of them. */
import { defaultLimits } from "../../../../src/limits.ts";
import type { Location } from "../../../../src/wire/control/common.ts";
import type { ReplicaReport } from "../../../../src/wire/control/chunkservers.ts";
import { chunkHandle, chunkVersion, draftId, inodeId, volumeId } from "../../../../src/wire/ids.ts";
import { packReport } from "../../../../src/wire/report.ts";
import {
  applyChunkPublished,
  applyDraftChunkAdded,
  applyHandlesReserved,
} from "../../../../src/master/core/chunk-apply.ts";
import { beginServing } from "../../../../src/master/core/chunk-apply.ts";
import { handFactMark } from "../../../../src/master/core/chunk-replicas.ts";
import type { ChunkView } from "../../../../src/master/core/chunk-scan.ts";
import { createChunkTable } from "../../../../src/master/core/chunk-table.ts";
import { pageJob, stepPage, takePage } from "../../../../src/master/core/reports.ts";
import type { PageVerdict, ReportFinding } from "../../../../src/master/core/reports.ts";
import {
  applyVolumeAdded,
  createVolumeTable,
  expectVolumes,
  registerVolume,
} from "../../../../src/master/core/volumes.ts";
import { volumeAt } from "../../../../src/master/core/volumes.ts";

export const limits = defaultLimits;
export const v1 = chunkVersion(1);
export const handleOf = chunkHandle;

export interface ChunkWorld extends ChunkView {
  safeMode: boolean;
  nowMs: number;
}

export function volumeHex(index: number): string {
  return index.toString(16).padStart(32, "0");
}

export function addVolume(
  world: ChunkWorld,
  index: number,
  at: { location?: Location; rack?: string; freeBytes?: number } = {},
): void {
  applyVolumeAdded(world.volumes, { index, volume: volumeId(volumeHex(index)), label: `s${index}` });
  register(world, index, "first", at);
}

export function register(
  world: ChunkWorld,
  index: number,
  incarnation: string,
  at: { location?: Location; rack?: string; freeBytes?: number } = {},
): void {
  const freeBytes = at.freeBytes ?? 500;
  registerVolume(
    volumeAt(world.volumes, index),
    {
      incarnation,
      label: `s${index}`,
      control: "h:1",
      data: "h:2",
      location: at.location,
      rack: at.rack,
      space: { totalBytes: 1_000, freeBytes, usedBytes: 1_000 - freeBytes },
      factMark: handFactMark(world.chunks, world.nowMs),
    },
    world.nowMs,
  );
}

/** Serving, past safe mode, with `volumes` live ones. */
export function chunkWorld(volumes: number): ChunkWorld {
  const world: ChunkWorld = {
    chunks: createChunkTable(),
    volumes: createVolumeTable(),
    safeMode: false,
    nowMs: 10_000,
  };
  applyHandlesReserved(world.chunks, 1_000_000);
  beginServing(world.chunks);
  world.chunks.nextHandle = 1;
  expectVolumes(world.volumes, world.nowMs);
  for (let index = 0; index < volumes; index++) addVolume(world, index);
  return world;
}

/** A sealed chunk at version 1, 10 bytes, CRC = handle, owned by inode 2. */
export function addSealed(world: ChunkWorld, number: number, members: readonly number[], goal = 3): void {
  const handle = chunkHandle(number);
  const draft = draftId(1);
  applyDraftChunkAdded(world.chunks, { draft, handle, version: v1, members, goal });
  applyChunkPublished(
    world.chunks,
    { handle, version: v1, length: 10, crc: number, members: [...members] },
    { inode: inodeId(2) },
  );
}

export function entry(number: number, overrides: Partial<ReplicaReport> = {}): ReplicaReport {
  return {
    handle: chunkHandle(number),
    promisedVersion: v1,
    dataVersion: v1,
    length: 10,
    crc: number,
    state: "sealed",
    ...overrides,
  };
}

/** One whole report of one page, applied. */
export function reportOf(
  world: ChunkWorld,
  index: number,
  report: { number: number; entries: readonly ReplicaReport[]; factMark?: number; incarnation?: string },
): { verdict: PageVerdict; findings: ReportFinding[]; late: number } {
  const volume = volumeAt(world.volumes, index);
  const page = {
    incarnation: report.incarnation ?? "first",
    report: report.number,
    page: 0,
    last: true,
    factMark: report.factMark,
    entries: packReport(report.entries),
  };
  const verdict = takePage(volume, page);
  const job = verdict === "accepted" ? pageJob(volume, page) : undefined;
  if (job === undefined) return { verdict, findings: [], late: 0 };
  return { verdict, ...stepPage(world.chunks, job, 100) };
}

/** A mark that covers every fact so far: a second passes. */
export function freshMark(world: ChunkWorld): number {
  world.nowMs += 1_000;
  return handFactMark(world.chunks, world.nowMs);
}
