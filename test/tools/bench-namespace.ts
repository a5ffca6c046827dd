/** Figures of the master's state in memory: bytes and nanoseconds an entry at a million one-chunk files, and what a checkpoint costs. */
import { heapStats } from "bun:jsc";
import { applyBatch } from "../../src/master/core/apply.ts";
import { chunkTableBytes } from "../../src/master/core/chunk-table.ts";
import { decideRemove } from "../../src/master/core/decide-namespace.ts";
import { dumpState, loadState } from "../../src/master/core/dump.ts";
import { rootSlot } from "../../src/master/core/inodes.ts";
import { listChildren, lookup } from "../../src/master/core/namespace.ts";
import { nextToReap } from "../../src/master/core/reaping.ts";
import { type MasterState, newMasterState } from "../../src/master/core/state.ts";
import { defaultLimits } from "../../src/limits.ts";
import type { LogRecord } from "../../src/wire/log-records.ts";
import { beginFiles, filePath, mutationId, putFile } from "./million-files.ts";
import { toolFlags } from "./tool-flags.ts";

const flags = toolFlags({
  command: "bun run bench:namespace",
  about: "Figures of the master's state in memory.",
  flags: { files: { kind: "whole", about: "so many, 1000000 where left out" } },
  examples: ["bun run bench:namespace --files 100000"],
});
const files = flags.number("files") ?? 1_000_000;
const now = { clusterMs: 1_000, wallMs: 2_000_000 };

function log(state: MasterState, records: readonly LogRecord[]): void {
  applyBatch(state, { clusterMs: now.clusterMs, records: [...records] });
}

function put(state: MasterState, i: number): void {
  putFile(state, now, { i }, (records) => log(state, records));
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

/** After a full collection, and the second in which the allocator gives the freed pages back. */
async function resident(): Promise<number> {
  Bun.gc(true);
  await Bun.sleep(1_500);
  return process.memoryUsage.rss();
}

const state = newMasterState(defaultLimits);
beginFiles(state, now, (records) => log(state, records));
for (let i = 0; i < 10_000; i++) put(state, files + i);
const before = await resident();
timed("put (draft, commit)", files, (i) => put(state, i));
const after = await resident();
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

timed("lookup", 200_000, (i) => lookup(inodes, filePath((i * 7_919) % files), "find"));
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
  log(state, decideRemove(state, { id: mutationId, path: "/data", recursive: true, skipTrash: true }, now).records);
});
timed("reap 500", Math.ceil(files / 500), () => {
  log(state, [{ kind: "inodes-reaped", inodes: nextToReap(inodes, 500) }]);
});
console.log(`left: ${inodes.directories.files.get(inodes.content.get(rootSlot))} files, ${inodes.index.size} names`);
