/**
 * The master's work for repair with a million chunks, a dead server holding a fifth of them: the longest turn of its event loop, on the processor, of the round over the chunk
 * table that finds what is short, of a step of the plan, and of a clone's end; and all of it together until everything is whole. In this process, by the core alone. Linux only.
 */
import { readFileSync } from "node:fs";
import { defaultLimits } from "../../src/limits.ts";
import {
  applyChunkPublished,
  applyDraftChunkAdded,
  applyHandlesReserved,
  beginServing,
} from "../../src/master/core/chunk-apply.ts";
import { noteReplicaFact } from "../../src/master/core/chunk-replicas.ts";
import {
  type ChunkView,
  createChunkScan,
  scanSlotsPerSlice,
  stepScan,
  wantScan,
} from "../../src/master/core/chunk-scan.ts";
import { createChunkTable, findChunk } from "../../src/master/core/chunk-table.ts";
import { createGarbage } from "../../src/master/core/garbage.ts";
import { createRepair, planRepairs, type RepairCommand, repairEnded } from "../../src/master/core/repair.ts";
import { queueMisplaced, queueShort, wantsMore } from "../../src/master/core/repair-queues.ts";
import { applyVolumeAdded, createVolumeTable, registerVolume, volumeAt } from "../../src/master/core/volumes.ts";
import { chunkHandle, chunkVersion, draftId, inodeId, volumeId } from "../../src/wire/ids.ts";
import { atMost, type Row, told } from "./bench-rows.ts";

const chunks = Number(process.env["CHUNKS"] ?? 1_000_000);
/** Three replicas of each chunk on fifteen servers: a fifth of the chunks is on each. */
const servers = 15;
const racks = 5;
const nowMs = 1_000_000;
const pace = { streams: 64, streamsPerServer: 8, rate: 0, serverRate: 0 };

function onProcessorMs(): number {
  return Number(readFileSync("/proc/self/schedstat", "utf8").split(" ", 1)[0]) / 1e6;
}

function makeCluster(): ChunkView {
  const view = { chunks: createChunkTable(), volumes: createVolumeTable(), safeMode: false };
  applyHandlesReserved(view.chunks, 2 * chunks);
  beginServing(view.chunks);
  view.chunks.nextHandle = 1;
  for (let index = 0; index < servers; index++) {
    const volume = volumeId(index.toString(16).padStart(32, "0"));
    applyVolumeAdded(view.volumes, { index, volume, label: `s${index}` });
    const space = { totalBytes: 1e15, freeBytes: 9e14 - index * 1e12, usedBytes: 1e14 };
    const known = { incarnation: "1", label: `s${index}`, control: "h:1", data: "h:2", location: undefined };
    registerVolume(volumeAt(view.volumes, index), { ...known, rack: `r${index % racks}`, space, factMark: 0 }, nowMs);
  }
  const draft = draftId(1);
  const version = chunkVersion(1);
  for (let number = 1; number <= chunks; number++) {
    const first = number % servers;
    const members = [first, (first + 1 + (number % 6)) % servers, (first + 7 + (number % 7)) % servers];
    const handle = chunkHandle(number);
    applyDraftChunkAdded(view.chunks, { draft, handle, version, members, goal: 3 });
    applyChunkPublished(view.chunks, { handle, version, length: 64_000_000, crc: 1, members }, { inode: inodeId(2) });
    for (const volume of members) noteReplicaFact(view.chunks, handle, { volume, health: "healthy" });
  }
  return view;
}

class Turns {
  longestMs = 0;
  totalMs = 0;

  run<Value>(turn: () => Value): Value {
    const beganMs = onProcessorMs();
    const value = turn();
    const tookMs = onProcessorMs() - beganMs;
    this.longestMs = Math.max(this.longestMs, tookMs);
    this.totalMs += tookMs;
    return value;
  }
}

export function repairDecisionRows(): Promise<Row[]> {
  const view = makeCluster();
  const [scanning, planning, ending] = [new Turns(), new Turns(), new Turns()];
  const scan = createChunkScan();
  const repair = createRepair();
  const garbage = createGarbage();
  const isTrashed = (): boolean => false;
  const round = (): void => {
    do {
      scanning.run(() => {
        const step = stepScan(view, scan, { slotsMax: scanSlotsPerSlice, nowMs });
        for (const short of step.short) {
          findChunk(view.chunks, short.handle);
          queueShort(repair.queues, { ...short, trashed: false }, nowMs);
        }
        for (const handle of step.misplaced) queueMisplaced(repair.queues, handle);
      });
    } while (scan.running);
  };
  round();
  const before = scan.finished?.counts.short ?? 0;
  volumeAt(view.volumes, 3).liveness = "dead";
  wantScan(scan);
  round();
  const short = (scan.finished?.counts.short ?? 0) - before;
  const limits = defaultLimits;
  let running: RepairCommand[] = [];
  for (let idle = 0; idle < 3;) {
    let more = true;
    while (more) {
      const step = planning.run(() => planRepairs(repair, view, { nowMs, limits, pace, garbage, isTrashed }));
      running.push(...step.commands);
      ({ more } = step);
    }
    idle = running.length === 0 ? idle + 1 : 0;
    for (const command of running)
      ending.run(() => repairEnded(repair, view, { command, failure: undefined, nowMs, pace }));
    running = [];
    if (wantsMore(repair.queues) || idle > 0) {
      wantScan(scan);
      round();
    }
  }
  const left = scan.finished?.counts.short ?? Number.NaN;
  const each = (scanning.totalMs + planning.totalMs + ending.totalMs) / Math.max(1, short);
  return Promise.resolve([
    told("chunks that one dead server leaves short", short, ""),
    atMost("longest turn that looks for what is short", scanning.longestMs, "ms", 50),
    atMost("longest turn that plans clones", planning.longestMs, "ms", 50),
    atMost("longest turn at a clone's end", ending.longestMs, "ms", 50),
    told("all work for one chunk", 1_000 * each, "µs"),
    atMost("chunks still short at the end", left, "", 0),
  ]);
}
