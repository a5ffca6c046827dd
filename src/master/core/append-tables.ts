/**
 * Append tables (DESIGN §4.3): what each session appended to an inode, handed from one tail to the next while the inode lives. An entry leaves with
 * its session.
 */
import type { AppendTable, AppendTableEntry } from "../../wire/control/common.ts";
import type { InodeId, SessionId } from "../../wire/ids.ts";

export interface AppendTables {
  readonly byInode: Map<InodeId, Map<SessionId, AppendTableEntry>>;
  readonly inodesOf: Map<SessionId, Set<InodeId>>;
}

export function newAppendTables(): AppendTables {
  return { byInode: new Map(), inodesOf: new Map() };
}

/** The table a new tail of the inode starts with, by session; empty for a new inode. */
export function appendTableOf(tables: AppendTables, inode: InodeId): AppendTable {
  return [...(tables.byInode.get(inode)?.values() ?? [])].sort((a, b) => a.session - b.session);
}

/** What a seal found replaces the entries of the sessions it names, unless an entry is further on already; `isOpen`: sessions that still are. */
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
    table.set(entry.session, entry);
    tables.byInode.set(inode, table);
    const inodes = tables.inodesOf.get(entry.session) ?? new Set<InodeId>();
    tables.inodesOf.set(entry.session, inodes.add(inode));
  }
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
