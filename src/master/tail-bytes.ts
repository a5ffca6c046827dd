/** Sizes with what is in open tails, as far as their primaries have told by heartbeats (P7): an exact length is theirs to say. */
import type { Entry, usage } from "../wire/control/namespace.ts";
import type { MasterContext } from "./context.ts";
import { findChunk } from "./core/chunk-table.ts";
import type { ReplyOf } from "./core/decision.ts";
import { extentCount, fileBytes } from "./core/extents.ts";
import { idOfSlot, isFile } from "./core/inodes.ts";
import { heardCommitted } from "./core/leases.ts";
import { entryOf, usageOf } from "./core/namespace.ts";
import { openTailsUnder } from "./core/tails.ts";

export function entryWithTail(ctx: MasterContext, slot: number): Entry {
  const { inodes } = ctx.state;
  if (!isFile(inodes, slot)) return entryOf(inodes, slot, false);
  const { bytes, open } = contentWithTail(ctx, slot);
  return { ...entryOf(inodes, slot, open), bytes };
}

/** Of a file. `open`: one of the chunks is its tail, open or being sealed. */
export function contentWithTail(
  ctx: MasterContext,
  slot: number,
): { readonly chunks: number; readonly bytes: number; readonly open: boolean } {
  const { inodes, tails } = ctx.state;
  const tail = tails.get(idOfSlot(inodes, slot));
  const sealed = { chunks: extentCount(inodes, slot), bytes: fileBytes(inodes, slot), open: false };
  if (tail === undefined) return sealed;
  return { chunks: sealed.chunks + 1, bytes: sealed.bytes + heardCommitted(ctx.soft.leases, tail), open: true };
}

/** Of a file, or of all below a directory. */
export function usageWithTails(ctx: MasterContext, slot: number): ReplyOf<typeof usage> {
  const { state } = ctx;
  const sums = usageOf(state.inodes, slot);
  let { bytes, storedBytes } = sums;
  const open = openTailsUnder(state, idOfSlot(state.inodes, slot));
  for (const inode of open) {
    const tail = state.tails.get(inode);
    const chunk = tail === undefined ? undefined : findChunk(state.chunks, tail);
    if (chunk === undefined) continue;
    const committed = heardCommitted(ctx.soft.leases, chunk.handle);
    bytes += committed;
    storedBytes += committed * chunk.members.length;
  }
  return { ...sums, openFiles: open.length, bytes, storedBytes };
}
