/**
 * Append tables (DESIGN §4.3): what each session appended to an inode, handed from one tail to the next while the inode lives. An entry leaves with
 * its session: one that ended can't retry, so the tables hold open sessions only.
 */
import { GfsError } from "../../base/errors.ts";
import { protocol } from "../../limits.ts";
import type { AppendTable, AppendTableEntry } from "../../wire/control/common.ts";
import type { InodeId, SessionId } from "../../wire/ids.ts";

export interface AppendTables {
  readonly byInode: Map<InodeId, Map<SessionId, AppendTableEntry>>;
  readonly inodesOf: Map<SessionId, Set<InodeId>>;
}

export function newAppendTables(): AppendTables {
  return { byInode: new Map(), inodesOf: new Map() };
}

/** All that is known of an inode's appends, by session; empty for a new inode. */
export function appendTableOf(tables: AppendTables, inode: InodeId): AppendTable {
  return [...(tables.byInode.get(inode)?.values() ?? [])].sort((a, b) => a.session - b.session);
}

/** The last records of a session that sealed tails of the inode took, oldest first. */
export function answersOf(tables: AppendTables, inode: InodeId, session: SessionId): AppendTableEntry["answers"] {
  return tables.byInode.get(inode)?.get(session)?.answers.slice(-protocol.appendWindow) ?? [];
}

/**
 * The table that the inode's next tail begins with: of every session its last answers, as many as let all have at most `answersMax` together, and one
 * at least. What is left out answers no retry any more (it is refused, not executed again); it stays here.
 *
 * @throws GfsError("Busy") with more sessions than that: none may be left out, or a repeated append would take effect twice
 */
export function tableForTail(tables: AppendTables, inode: InodeId, answersMax: number): AppendTable {
  const table = appendTableOf(tables, inode);
  if (table.length > answersMax) {
    throw new GfsError(
      "Busy",
      `Cannot append to inode ${inode}: ${table.length} open sessions have appended to it, ${answersMax} is the most; each ends when its client closes it, and one with a key a day after its last use`,
      { retryAfterMs: 1_000 },
    );
  }
  const total = (each: number): number => table.reduce((sum, { answers }) => sum + Math.min(each, answers.length), 0);
  let each: number = protocol.appendWindow;
  while (total(each) > answersMax) each--;
  return table.map(({ session, answers }) => ({ session, answers: answers.slice(-each) }));
}

/** What of a seal's table is new: the answers of open sessions that come after those held. Only these are logged. */
export function newAnswers(
  tables: AppendTables,
  inode: InodeId,
  found: { readonly table: AppendTable; readonly isOpen: (session: SessionId) => boolean },
): AppendTable {
  const table = tables.byInode.get(inode);
  return found.table.flatMap(({ session, answers }) => {
    if (!found.isOpen(session)) return [];
    const held = table?.get(session);
    const last = held === undefined ? 0 : lastSequence(held);
    const more = answers.filter(({ sequence }) => sequence > last);
    return more.length === 0 ? [] : [{ session, answers: more }];
  });
}

/**
 * What a seal found follows what is held of the same session, or replaces it where they don't meet; an entry that is further on already stays.
 * `isOpen`: sessions that still are.
 */
export function mergeAppendTable(
  tables: AppendTables,
  inode: InodeId,
  found: AppendTable,
  isOpen: (session: SessionId) => boolean,
): void {
  for (const entry of found) {
    if (!isOpen(entry.session)) continue;
    const table = tables.byInode.get(inode) ?? new Map<SessionId, AppendTableEntry>();
    const held = table.get(entry.session);
    if (held !== undefined && lastSequence(held) > lastSequence(entry)) continue;
    table.set(entry.session, held === undefined ? entry : joined(held, entry));
    tables.byInode.set(inode, table);
    const inodes = tables.inodesOf.get(entry.session) ?? new Set<InodeId>();
    tables.inodesOf.set(entry.session, inodes.add(inode));
  }
}

function joined(held: AppendTableEntry, found: AppendTableEntry): AppendTableEntry {
  const first = found.answers[0]?.sequence ?? 1;
  if (lastSequence(held) + 1 < first) return found;
  const before = held.answers.filter(({ sequence }) => sequence < first);
  return { session: found.session, answers: [...before, ...found.answers].slice(-protocol.appendWindow) };
}

export function dropInodeFromTables(tables: AppendTables, inode: InodeId): void {
  for (const session of tables.byInode.get(inode)?.keys() ?? []) {
    const inodes = tables.inodesOf.get(session);
    inodes?.delete(inode);
    if (inodes?.size === 0) tables.inodesOf.delete(session);
  }
  tables.byInode.delete(inode);
}

export function dropSessionFromTables(tables: AppendTables, session: SessionId): void {
  for (const inode of tables.inodesOf.get(session) ?? []) {
    const table = tables.byInode.get(inode);
    table?.delete(session);
    if (table?.size === 0) tables.byInode.delete(inode);
  }
  tables.inodesOf.delete(session);
}

function lastSequence(entry: AppendTableEntry): number {
  return entry.answers.at(-1)?.sequence ?? 0;
}
