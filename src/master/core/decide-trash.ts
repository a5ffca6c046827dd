/** Restoring from the trash and emptying it, by hand, by age, and where space is short (DESIGN §4.5). */
import { defined } from "../../base/assert.ts";
import { GfsError } from "../../base/errors.ts";
import type { TrashEntry, trashPurge, trashRestore } from "../../wire/control/namespace.ts";
import type { InodeId } from "../../wire/ids.ts";
import type { LogRecord } from "../../wire/log-records.ts";
import { formatPath, parsePath } from "../../wire/path.ts";
import { treeSums } from "./children.ts";
import { makeParents } from "./decide-files.ts";
import type { Decision, Now, ReplyOf, RequestOf } from "./decision.ts";
import { idOfSlot, isFile, slotOfId, trashSlot } from "./inodes.ts";
import { listChildren, resolve } from "./namespace.ts";
import type { MasterState } from "./state.ts";
import { isInTrash, newestOfPath, oldestInTrash, trashFacts } from "./trash.ts";

/** @throws GfsError("NotFound") for no such entry, GfsError("Exists") where its path is taken, GfsError of `resolve` */
export function decideTrashRestore(
  state: MasterState,
  request: RequestOf<typeof trashRestore>,
  now: Now,
): Decision<ReplyOf<typeof trashRestore>> {
  const slot = trashEntry(state, request.entry, "restore");
  const was = trashFacts(state.inodes, slot).path;
  const found = resolve(state.inodes, request.to ?? was, "restore");
  const path = formatPath(found.names);
  if (found.slot !== 0) throw new GfsError("Exists", `Cannot restore ${was} to ${path}: it exists`);
  const { records, parent } = makeParents(state, found, now);
  const name = defined(found.names.at(-1), "a name");
  return {
    records: [...records, { kind: "inode-restored", inode: idOfSlot(state.inodes, slot), parent, name }],
    reply: { path },
  };
}

/** A decision that may be only the first slice: while `more`, the same request is decided again, and the last one carries the mutation. */
export interface PurgeSlice extends Decision<ReplyOf<typeof trashPurge>> {
  readonly more: boolean;
}

/**
 * One entry, or the oldest `max` of all that were removed up to `now` (so that purging ends however fast others remove). The reply counts this slice.
 *
 * @throws GfsError("NotFound") for no such entry
 */
export function decideTrashPurge(
  state: MasterState,
  request: Pick<RequestOf<typeof trashPurge>, "entry">,
  slice: { max: number; removedUpToMs: number },
): PurgeSlice {
  if (request.entry !== undefined) {
    const inode = idOfSlot(state.inodes, trashEntry(state, request.entry, "purge"));
    return { records: [{ kind: "inode-detached", inode }], reply: { entries: 1 }, more: false };
  }
  const slots = oldestInTrash(state.inodes, slice.max + 1).filter(
    (slot) => trashFacts(state.inodes, slot).removedMs <= slice.removedUpToMs,
  );
  const records = detachAll(state, slots.slice(0, slice.max));
  return { records, reply: { entries: records.length }, more: slots.length > slice.max };
}

/** The oldest entries that have expired, at most `max`. */
export function decideTrashExpiry(state: MasterState, now: Now, max: number): LogRecord[] {
  return detachAll(state, oldestInTrash(state.inodes, max, now.clusterMs));
}

/** The oldest entries, expired or not, until they free `bytes` (of content, one copy) or there are `max`: where space is short. */
export function decideTrashForSpace(state: MasterState, bytes: number, max: number): LogRecord[] {
  const chosen: number[] = [];
  let freed = 0;
  for (const slot of oldestInTrash(state.inodes, max)) {
    if (freed >= bytes) break;
    freed += treeSums(state.inodes, slot).bytes;
    chosen.push(slot);
  }
  return detachAll(state, chosen);
}

/** A page of the trash, oldest first. Times are of the wall clock, as far as cluster time tells. @throws GfsError("ProtocolError") for a bad cursor */
export function listTrash(
  state: MasterState,
  page: { cursor?: string | undefined; limit: number },
  now: Now,
): { entries: TrashEntry[]; cursor: string | undefined } {
  const { slots, cursor } = listChildren(state.inodes, trashSlot, page);
  const shiftMs = now.wallMs - now.clusterMs;
  const entries = slots.map((slot): TrashEntry => {
    const { path, removedMs, expiresMs } = trashFacts(state.inodes, slot);
    return {
      id: idOfSlot(state.inodes, slot),
      path,
      kind: isFile(state.inodes, slot) ? "file" : "directory",
      bytes: treeSums(state.inodes, slot).bytes,
      removedMs: removedMs + shiftMs,
      expiresMs: expiresMs + shiftMs,
    };
  });
  return { entries, cursor };
}

function trashEntry(state: MasterState, entry: InodeId | string, what: string): number {
  const byPath = typeof entry === "string";
  const name = byPath ? formatPath(parsePath(entry)) : String(entry);
  const slot = byPath ? newestOfPath(state.trash, name) : slotOfId(state.inodes, entry);
  if (slot === 0 || !isInTrash(state.inodes, slot))
    throw new GfsError("NotFound", `Cannot ${what} ${name}: the trash has no such entry`);
  return slot;
}

function detachAll(state: MasterState, slots: readonly number[]): LogRecord[] {
  return slots.map((slot) => ({ kind: "inode-detached", inode: idOfSlot(state.inodes, slot) }));
}
