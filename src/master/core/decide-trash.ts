/** Restoring from the trash and emptying it, by hand, by age, and where space is short (DESIGN §4.5). */
import { defined } from "../../base/assert.ts";
import { utf8 } from "../../base/bytes.ts";
import { GfsError } from "../../base/errors.ts";
import type { TrashEntry, trashPurge, trashRestore } from "../../wire/control/namespace.ts";
import type { InodeId } from "../../wire/ids.ts";
import type { LogRecord } from "../../wire/log-records.ts";
import { formatPath, parsePath } from "../../wire/path.ts";
import { treeSums } from "./children.ts";
import { makeParents } from "./decide-files.ts";
import type { Decision, Now, ReplyOf, RequestOf } from "./decision.ts";
import { idOfSlot, isDirectory, isFile, slotOfId, trashSlot } from "./inodes.ts";
import { listChildren, resolve, type Resolved } from "./namespace.ts";
import type { MasterState } from "./state.ts";
import { isInTrash, newestOfPath, olderOfPath, oldestInTrash, trashFacts, wasAt } from "./trash.ts";

/** Other entries of a path are counted up to so many. */
const othersMax = 1_000;

/** Of a path the newest entry. Where `to` is a directory, into it under the name that it had. @throws GfsError("NotFound") for no such entry, GfsError("Exists") where its path is taken, GfsError of `resolve` */
export function decideTrashRestore(
  state: MasterState,
  request: RequestOf<typeof trashRestore>,
  now: Now,
): Decision<ReplyOf<typeof trashRestore>> {
  const slot = trashEntry(state, request.entry, "restore");
  const was = trashFacts(state.inodes, slot).path;
  const found = restoreTarget(state, was, request.to);
  const path = formatPath(found.names);
  if (found.slot !== 0) throw new GfsError("Exists", `Cannot restore ${was} to ${path}: it exists`);
  const { records, parent } = makeParents(state, found, now);
  const name = defined(found.names.at(-1), "a name");
  return {
    records: [...records, { kind: "inode-restored", inode: idOfSlot(state.inodes, slot), parent, name }],
    reply: { path, others: typeof request.entry === "string" ? olderOfPath(state.inodes, slot, othersMax) : 0 },
  };
}

function restoreTarget(state: MasterState, was: string, to: string | undefined): Resolved {
  const found = resolve(state.inodes, to ?? was, "restore");
  if (to === undefined || found.slot === 0 || !isDirectory(state.inodes, found.slot)) return found;
  const name = defined(parsePath(was).at(-1), "a name");
  return resolve(state.inodes, formatPath([...found.names, name]), "restore");
}

/** A decision that may be only the first slice: while there is a `cursor`, the request is decided again with it, and the last one carries the mutation. */
export interface PurgeSlice extends Decision<ReplyOf<typeof trashPurge>> {
  readonly cursor: string | undefined;
}

/**
 * The entry of a number; or among the next `max` entries, oldest first, those that were removed from a path (`below`: or from below it; without a path all), and up to a moment (so
 * that purging ends however fast others remove). The reply counts this slice.
 *
 * @throws GfsError("NotFound") for no entry of this number
 */
export function decideTrashPurge(
  { state, request }: { state: MasterState; request: Pick<RequestOf<typeof trashPurge>, "entry" | "below"> },
  slice: { cursor?: string | undefined; max: number; removedUpToMs: number },
): PurgeSlice {
  const { inodes } = state;
  const { entry, below = false } = request;
  if (typeof entry === "number") {
    const inode = idOfSlot(inodes, trashEntry(state, entry, "purge"));
    return { records: [{ kind: "inode-detached", inode }], reply: { entries: 1 }, cursor: undefined };
  }
  const where = entry === undefined ? undefined : { path: utf8(formatPath(parsePath(entry))), below };
  const { slots, cursor } = listChildren(inodes, trashSlot, { cursor: slice.cursor, limit: slice.max });
  const old = slots.filter((slot) => trashFacts(inodes, slot).removedMs <= slice.removedUpToMs);
  const records = detachAll(state, where === undefined ? old : old.filter((slot) => wasAt(inodes, slot, where)));
  return { records, reply: { entries: records.length }, cursor: old.length < slots.length ? undefined : cursor };
}

/** Entries that have expired, at most `max`. */
export function decideTrashExpiry(state: MasterState, now: Now, max: number): LogRecord[] {
  return detachAll(state, state.trash.expiry.due(now.clusterMs, max));
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

/**
 * A page of the trash, oldest first: of the next `limit` entries those that were removed from a path or below it. Times are of the wall clock, as far as cluster time tells.
 *
 * @throws GfsError("ProtocolError") for a bad cursor, GfsError("PathInvalid")
 */
export function listTrash(
  state: MasterState,
  page: { path?: string | undefined; cursor?: string | undefined; limit: number },
  now: Now,
): { entries: TrashEntry[]; cursor: string | undefined } {
  const { slots, cursor } = listChildren(state.inodes, trashSlot, page);
  const where = page.path === undefined ? undefined : { path: utf8(formatPath(parsePath(page.path))), below: true };
  const shiftMs = now.wallMs - now.clusterMs;
  const found = where === undefined ? slots : slots.filter((slot) => wasAt(state.inodes, slot, where));
  const entries = found.map((slot): TrashEntry => {
    const { files, bytes, storedBytes } = treeSums(state.inodes, slot);
    const { path, removedMs, expiresMs } = trashFacts(state.inodes, slot);
    return {
      id: idOfSlot(state.inodes, slot),
      path,
      kind: isFile(state.inodes, slot) ? "file" : "directory",
      files,
      bytes,
      storedBytes,
      removedMs: removedMs + shiftMs,
      expiresMs: expiresMs + shiftMs,
    };
  });
  return { entries, cursor };
}

/** Sums over the next `max` entries that were removed from a path or below it. */
export function sumTrash(
  { inodes }: MasterState,
  of: { path: Uint8Array; cursor: string | undefined; max: number },
): { entries: number; bytes: number; storedBytes: number; cursor: string | undefined } {
  const { slots, cursor } = listChildren(inodes, trashSlot, { cursor: of.cursor, limit: of.max });
  const sums = { entries: 0, bytes: 0, storedBytes: 0 };
  for (const slot of slots) {
    if (!wasAt(inodes, slot, { path: of.path, below: true })) continue;
    const { bytes, storedBytes } = treeSums(inodes, slot);
    sums.entries++;
    sums.bytes += bytes;
    sums.storedBytes += storedBytes;
  }
  return { ...sums, cursor };
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
