/** Where a file's bytes are, as the master says now. Nothing is kept beyond one read: the end of a file is never known from before (DESIGN §4.4). */
import type { z } from "zod";
import { GfsError, hasCode } from "../base/errors.ts";
import { locate, type LocatedExtent } from "../wire/control/files.ts";
import type { InodeId } from "../wire/ids.ts";
import type { ClientContext, Operation } from "./context.ts";
import { askMaster } from "./retry.ts";

export type FileTarget =
  { readonly kind: "path"; readonly path: string } | { readonly kind: "inode"; readonly inode: InodeId };

export type Located = z.infer<typeof locate.reply>;

/** @throws GfsError NotFound | IsDirectory of a path; InodeChanged where an inode is no file any more */
export async function locateRange(
  ctx: ClientContext,
  op: Operation,
  target: FileTarget,
  range: { readonly offset: number; readonly length: number },
): Promise<Located> {
  try {
    return await askMaster(ctx, op, locate, { target, ...range, ...ctx.whereabouts });
  } catch (error) {
    if (target.kind !== "inode" || !hasCode(error, "NotFound")) throw error;
    throw new GfsError("InodeChanged", `Cannot go on reading inode ${target.inode}: it was removed or replaced`, {
      cause: error,
    });
  }
}

/** Bytes [from, to) of the file, which lie in one extent. */
export interface FilePart {
  readonly extent: LocatedExtent;
  readonly from: number;
  readonly to: number;
}

/** The sealed parts of [offset, end), in order. */
export function sealedParts(located: Located, offset: number, end: number): FilePart[] {
  const parts: FilePart[] = [];
  for (const extent of located.extents) {
    if (extent.state !== "sealed") continue;
    const from = Math.max(offset, extent.fileOffset);
    const to = Math.min(end, extent.fileOffset + extent.length);
    if (from < to) parts.push({ extent, from, to });
  }
  return parts;
}
