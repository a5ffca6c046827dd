/** Drafts (DESIGN §4.2): files being put and large appends being written, invisible until they are committed in one batch. */
import { assert } from "../../base/assert.ts";
import { GfsError } from "../../base/errors.ts";
import type { ChunkHandle, DraftId, Generation, InodeId, SessionId } from "../../wire/ids.ts";

/** Where the content goes: a path, where it becomes the whole file, or the end of an inode. */
export type DraftTarget =
  | {
      readonly kind: "put";
      readonly path: string;
      readonly overwrite: boolean;
      readonly ifGeneration?: Generation | undefined;
    }
  | { readonly kind: "append"; readonly inode: InodeId };

export interface Draft {
  readonly draft: DraftId;
  readonly session: SessionId;
  readonly target: DraftTarget;
  readonly replicas: number;
  readonly chunkBytes: number;
  /** Allocated to it; versions and members are in the chunk table. */
  readonly chunks: Set<ChunkHandle>;
  /** Named before the commit, no more in `chunks`: lists of what one writer wrote, in order, each under its first. */
  readonly lists: Map<ChunkHandle, ChunkHandle[]>;
  /** Soft: cluster time of the last sign of life; not in the log. */
  touchedMs: number;
}

export interface Drafts {
  readonly byId: Map<DraftId, Draft>;
  next: number;
}

export function newDrafts(): Drafts {
  return { byId: new Map(), next: 1 };
}

/** @throws GfsError("DraftEnded") for a draft that was committed, aborted or expired, or never was. */
export function liveDraft(drafts: Drafts, draft: DraftId, what: string): Draft {
  const found = drafts.byId.get(draft);
  if (found === undefined)
    throw new GfsError("DraftEnded", `Cannot ${what} draft ${draft}: it was committed, aborted, or has expired`);
  return found;
}

export function addDraft(drafts: Drafts, draft: Draft): void {
  assert(!drafts.byId.has(draft.draft), "a draft is created once");
  drafts.byId.set(draft.draft, draft);
  drafts.next = Math.max(drafts.next, draft.draft + 1);
}

/** Takes out a draft and tells the chunks that were allocated to it. */
export function endDraft(drafts: Drafts, draft: DraftId): readonly ChunkHandle[] {
  const found = drafts.byId.get(draft);
  assert(found !== undefined, "a draft that ends was there");
  drafts.byId.delete(draft);
  return [...found.chunks, ...[...found.lists.values()].flat()];
}

/** Chunks that were allocated to it. */
export function chunksOfDraft({ chunks, lists }: Draft): number {
  let count = chunks.size;
  for (const list of lists.values()) count += list.length;
  return count;
}

/** A sign of life of their client: soft. The drafts among them that have ended. */
export function touchDrafts(drafts: Drafts, ids: readonly DraftId[], clusterMs: number): DraftId[] {
  return ids.filter((id) => {
    const draft = drafts.byId.get(id);
    if (draft === undefined) return true;
    draft.touchedMs = Math.max(draft.touchedMs, clusterMs);
    return false;
  });
}

/** After a start of the master nobody could be heard: every draft starts its time anew. */
export function touchAllDrafts(drafts: Drafts, clusterMs: number): void {
  for (const draft of drafts.byId.values()) draft.touchedMs = Math.max(draft.touchedMs, clusterMs);
}

/** Drafts that nothing was heard of for `draftMs` or longer, at most `max`. */
export function silentDrafts(drafts: Drafts, clusterMs: number, bounds: { draftMs: number; max: number }): DraftId[] {
  const silent: DraftId[] = [];
  for (const [id, draft] of drafts.byId) {
    if (silent.length === bounds.max) break;
    if (clusterMs - draft.touchedMs >= bounds.draftMs) silent.push(id);
  }
  return silent;
}
