import { protocol } from "../limits.ts";
import type { Origin } from "../wire/control/commands.ts";
import { type ChunkHandle, type InodeId, rootInode } from "../wire/ids.ts";
import { findChunk } from "./core/chunk-table.ts";
import { extentOfChunk, fileBytes } from "./core/extents.ts";
import { slotOfId } from "./core/inodes.ts";
import { pathOf } from "./core/namespace.ts";
import type { MasterState } from "./core/state.ts";

/** What a chunk belongs to, for its trailer and for salvage: as well as is known. */
export function originOf(state: MasterState, handle: ChunkHandle): Origin {
  const owner = findChunk(state.chunks, handle)?.owner;
  if (owner?.kind !== "inode") return { inode: rootInode, path: "", fileOffset: 0 };
  const slot = slotOfId(state.inodes, owner.inode);
  if (slot === 0) return { inode: owner.inode, path: "", fileOffset: 0 };
  const { fileOffset = fileBytes(state.inodes, slot) } = extentOfChunk(state.inodes, slot, handle) ?? {};
  return { ...originOfInode(state, owner.inode), fileOffset };
}

/** Of a chunk that will lie at the end of the file. */
export function originOfInode(state: MasterState, inode: InodeId): Origin {
  const slot = slotOfId(state.inodes, inode);
  if (slot === 0) return { inode, path: "", fileOffset: 0 };
  return { inode, path: shortPath(pathOf(state.inodes, slot).path), fileOffset: fileBytes(state.inodes, slot) };
}

/** Moves of directories can make paths longer than any that may be asked for. */
function shortPath(path: string): string {
  return path.length <= protocol.pathBytesMax ? path : path.slice(0, protocol.pathBytesMax).toWellFormed();
}
