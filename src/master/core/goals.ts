/**
 * How many replicas a file wants: one number for the file, which its new chunks get, and the same for each of its chunks, by which repair and the surplus go. A change is logged in parts
 * of a file: the first makes the number the file's, each makes it that of some chunks. A crash between two leaves chunks with the number that they had, which the next
 * change to any number finds. Of two changes at the same time the later one goes on, the earlier one leaves the rest of that file alone.
 *
 * An open tail keeps its chain, for all of whose members acknowledge; it takes the file's number when it is sealed, and the shell has it sealed.
 */
import { assert } from "../../base/assert.ts";
import type { ChunkHandle, InodeId } from "../../wire/ids.ts";
import type { LogRecord } from "../../wire/log-records.ts";
import { setReplicas } from "./children.ts";
import { isHolder, replicaCountAt, replicaHealthAt, replicaVolumeAt } from "./chunk-replicas.ts";
import type { ChunkView } from "./chunk-scan.ts";
import { type ChunkTable, membersAt, slotOf } from "./chunk-table.ts";
import { extentAt, extentCount } from "./extents.ts";
import type { FilePart } from "./file-walk.ts";
import { idOfSlot, type Inodes, isFile } from "./inodes.ts";
import type { MasterState } from "./state.ts";
import { isGone } from "./volumes.ts";

/** Records for some parts of files, the files among them whose tails must be sealed, and how much changes. */
export interface GoalChange {
  readonly records: LogRecord[];
  readonly tails: readonly ChunkHandle[];
  readonly changed: number;
  readonly chunks: number;
}

export function decideGoals(state: MasterState, parts: readonly FilePart[], replicas: number): GoalChange {
  const { inodes, chunks: table } = state;
  const records: LogRecord[] = [];
  const tails: ChunkHandle[] = [];
  let [changed, chunks] = [0, 0];
  for (const { slot, from, to } of parts) {
    const own = inodes.replicas.get(slot);
    // Somebody asked for another number since its first part.
    if (from > 0 && own !== replicas) continue;
    let differing = 0;
    for (let i = from; i < to; i++) if (goalOf(table, extentAt(inodes, slot, i).handle) !== replicas) differing++;
    const inode = idOfSlot(inodes, slot);
    const tail = from === 0 ? state.tails.get(inode) : undefined;
    if (tail !== undefined && goalOf(table, tail) !== replicas) tails.push(tail);
    if (own === replicas && differing === 0) continue;
    records.push({ kind: "goal-set", inode, replicas, from, to });
    chunks += differing;
    if (from === 0) changed++;
  }
  return { records, tails, changed, chunks };
}

/** The file wants so many, and so do the chunks of its extents from `from` up to, and without, `to`. */
export function applyGoalSet(
  { inodes, chunks }: { inodes: Inodes; chunks: ChunkTable },
  slot: number,
  { replicas, from, to }: { replicas: number; from: number; to: number },
): void {
  assert(isFile(inodes, slot) && to <= extentCount(inodes, slot), "a goal is of a file and its extents");
  setReplicas(inodes, slot, replicas);
  for (let i = from; i < to; i++) applyChunkGoal(chunks, extentAt(inodes, slot, i).handle, replicas);
}

export function applyChunkGoal(table: ChunkTable, handle: ChunkHandle, replicas: number): void {
  const slot = slotOf(table, handle);
  assert(slot >= 0, "a chunk that gets a goal is there");
  table.goals.set(slot, replicas);
}

function goalOf(table: ChunkTable, handle: ChunkHandle): number {
  return table.goals.get(slotOf(table, handle));
}

export interface GoalCounts {
  files: number;
  chunks: number;
  reached: number;
  otherwise: number;
  missingBytes: number;
}

/** Adds what is so of some parts of files. */
export function countGoals(
  { view, state }: { view: ChunkView; state: MasterState },
  parts: readonly FilePart[],
  { replicas, counts }: { replicas: number; counts: GoalCounts },
): void {
  const { inodes, chunks: table } = state;
  const count = (slot: number, holders: number, bytes: number): void => {
    counts.chunks++;
    if (table.goals.get(slot) !== replicas) counts.otherwise++;
    else if (holders >= replicas) counts.reached++;
    if (holders < replicas) counts.missingBytes += (replicas - holders) * bytes;
  };
  for (const { slot, from, to, last } of parts) {
    for (let i = from; i < to; i++) {
      const { handle, length } = extentAt(inodes, slot, i);
      const at = slotOf(table, handle);
      count(at, heardHolders(view, at), length);
    }
    if (!last) continue;
    counts.files++;
    const tail = tailSlot(state, idOfSlot(inodes, slot));
    if (tail < 0) continue;
    // With another number it is sealed soon, and takes the file's.
    if (table.goals.get(tail) === replicas) count(tail, membersAt(table, tail).length, 0);
    else counts.chunks++;
  }
}

function tailSlot(state: MasterState, inode: InodeId): number {
  const tail = state.tails.get(inode);
  return tail === undefined ? -1 : slotOf(state.chunks, tail);
}

/** Holders that have registered since the master's start: what nobody has heard of promises nothing. */
function heardHolders({ chunks, volumes }: ChunkView, slot: number): number {
  let heard = 0;
  for (let i = 0; i < replicaCountAt(chunks, slot); i++) {
    const volume = volumes.byIndex[replicaVolumeAt(chunks, slot, i)];
    if (volume?.registration !== undefined && !isGone(volume) && isHolder(replicaHealthAt(chunks, slot, i))) heard++;
  }
  return heard;
}
