/** Figures of the master's state in memory: bytes and nanoseconds an entry at a million one-chunk files, and what a checkpoint costs. */
import { heapStats } from "bun:jsc";
import { decideDraftCommit, decideDraftCreate } from "../../src/master/core/decide-drafts.ts";
import { applyBatch } from "../../src/master/core/apply.ts";
import { planHandles } from "../../src/master/core/chunk-apply.ts";
import { chunkTableBytes } from "../../src/master/core/chunk-table.ts";
import { decideRemove } from "../../src/master/core/decide-namespace.ts";
import { decideSessionOpen } from "../../src/master/core/decide-sessions.ts";
import { dumpState, loadState } from "../../src/master/core/dump.ts";
import { rootSlot } from "../../src/master/core/inodes.ts";
import { listChildren, lookup } from "../../src/master/core/namespace.ts";
import { nextToReap } from "../../src/master/core/reaping.ts";
import { type MasterState, newMasterState } from "../../src/master/core/state.ts";
import { defaultLimits } from "../../src/limits.ts";
import { chunkVersion, sequence, sessionId, volumeId } from "../../src/wire/ids.ts";
import type { LogRecord } from "../../src/wire/log-records.ts";

const files = Number(process.argv[2] ?? 1_000_000);
const now = { clusterMs: 1_000, wallMs: 2_000_000 };
const id = { session: sessionId(1), sequence: sequence(1), floor: sequence(1) };
const volumes = [1, 2, 3].map((n) => volumeId(n.toString(16).padStart(32, "0")));
const pathOf = (i: number): string => `/data/dir-${Math.floor(i / 1_000)}/file-${i}.bin`;

function log(state: MasterState, records: readonly LogRecord[]): void {
  applyBatch(state, { clusterMs: now.clusterMs, records: [...records] });
}

function put(state: MasterState, i: number): void {
  const { handles, reserveUpTo } = planHandles(state.chunks, 1, 1_000);
  const handle = handles[0]!;
  const version = chunkVersion(1);
  const target = { kind: "put", path: pathOf(i), overwrite: false } as const;
  const placed = { placement: { handle, version, chain: [] }, members: [0, 1, 2], reserveUpTo };
  const created = decideDraftCreate(state, { id, target }, placed);
  log(state, created.records);
  const chunks = [{ handle, version, length: 1_000 + (i % 64), crc: i, volumes }];
  log(state, decideDraftCommit(state, { id, draft: created.reply.draft, chunks }, now).records);
}

/** Runs `step` for each of `count`, and says what one and the slowest cost. */
function timed(what: string, count: number, step: (i: number) => void): void {
  let slowestMs = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) {
    const at = performance.now();
    step(i);
    slowestMs = Math.max(slowestMs, performance.now() - at);
  }
  const ns = ((performance.now() - begun) * 1e6) / count;
  console.log(`${what}: ${ns.toFixed(0)} ns each, slowest ${slowestMs.toFixed(2)} ms`);
}

function resident(): number {
  Bun.gc(true);
  return process.memoryUsage.rss();
}

const state = newMasterState(defaultLimits);
log(
  state,
  volumes.map((volume, index) => ({ kind: "volume-added", index, volume, label: "" }) as const),
);
log(state, decideSessionOpen(state, { label: "" }, now).records);
for (let i = 0; i < 10_000; i++) put(state, files + i);
const before = resident();
timed("put (draft, commit)", files, (i) => put(state, i));
const after = resident();
Bun.gc(true);
const gcAt = performance.now();
Bun.gc(true);
console.log(`collection ${(performance.now() - gcAt).toFixed(1)} ms, ${heapStats().objectCount} objects`);
console.log(
  `resident ${((after - before) / files).toFixed(0)} B a file; chunk table ${(chunkTableBytes(state.chunks) / files).toFixed(0)} B`,
);
const { inodes } = state;
const columns = [
  inodes.kind,
  inodes.reuse,
  inodes.replicas,
  inodes.generation,
  inodes.modifiedMs,
  inodes.name,
  inodes.parent,
];
columns.push(inodes.next, inodes.previous, inodes.link, inodes.content, inodes.first, inodes.second);
const columnBytes = columns.reduce((sum, column) => sum + column.bytes, 0);
const perFile = (bytes: number): string => (bytes / files).toFixed(1);
console.log(
  `inodes ${perFile(columnBytes)} B, names ${perFile(inodes.arena.bytes)} B, index ${perFile(inodes.index.bytes)} B a file`,
);

timed("lookup", 200_000, (i) => lookup(inodes, pathOf((i * 7_919) % files), "find"));
let cursor: string | undefined;
const directory = lookup(inodes, "/data", "list");
timed("list a page of 100", 10, () => {
  ({ cursor } = listChildren(inodes, directory, { cursor, limit: 100 }));
});

let pieces: Uint8Array[] = [];
timed("dump", 1, () => {
  pieces = [...dumpState(state)];
});
const largest = pieces.reduce((most, piece) => Math.max(most, piece.length), 0);
const total = pieces.reduce((sum, piece) => sum + piece.length, 0);
console.log(`${pieces.length} pieces, ${(total / 2 ** 20).toFixed(0)} MiB, the largest ${largest} B`);
timed("load", 1, () => {
  loadState(pieces, defaultLimits);
});
pieces = [];

timed("rm -r of everything", 1, () => {
  log(state, decideRemove(state, { id, path: "/data", recursive: true, skipTrash: true }, now).records);
});
timed("reap 500", Math.ceil(files / 500), () => {
  log(state, [{ kind: "inodes-reaped", inodes: nextToReap(inodes, 500) }]);
});
console.log(`left: ${inodes.directories.files.get(inodes.content.get(rootSlot))} files, ${inodes.index.size} names`);
