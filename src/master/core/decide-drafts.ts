/** A draft's way to a file (DESIGN §4.2): created, given chunks, committed or aborted. Nothing is visible before the commit's batch. */
import { GfsError } from "../../base/errors.ts";
import { are, counted } from "../../config/units.ts";
import { protocol } from "../../limits.ts";
import type {
  chunkAllocate,
  draftAbort,
  draftCommit,
  draftCreate,
  draftWritten,
  WrittenChunk,
} from "../../wire/control/files.ts";
import { type ChunkHandle, draftId, type DraftId, type InodeId } from "../../wire/ids.ts";
import type { LogRecord, PublishedChunk } from "../../wire/log-records.ts";
import { defaultReplicas } from "./attributes.ts";
import { membersAt, slotOf } from "./chunk-table.ts";
import { checkTarget, generationAt, makeFile } from "./decide-files.ts";
import type { Decision, Now, PlacedChunk, ReplyOf, RequestOf } from "./decision.ts";
import { type Draft, type DraftTarget, liveDraft } from "./drafts.ts";
import { fileBytes } from "./extents.ts";
import { idOfSlot, isFile, slotOfId } from "./inodes.ts";
import { notFound, resolve } from "./namespace.ts";
import type { MasterState } from "./state.ts";
import { appendableFile, requireSealedTails, reserveRecords } from "./tails.ts";
import { findVolume, isGone, volumeAt } from "./volumes.ts";

/** What a draft of this request would be; the shell places its first chunk by it. */
export interface DraftPlan {
  readonly target: DraftTarget;
  readonly draft: DraftId;
  readonly replicas: number;
  /** Copies that a chunk needs at the commit. */
  readonly minReplicas: number;
  readonly chunkBytes: number;
  /** Of an append. */
  readonly inode?: InodeId;
}

/**
 * Checks a request before servers are looked for.
 *
 * @throws GfsError of `resolve`, `checkTarget` and `appendableFile`
 */
export function planDraft(state: MasterState, request: RequestOf<typeof draftCreate>): DraftPlan {
  const target = boundTarget(state, request.target);
  let replicas: number;
  if (target.kind === "append") {
    // A file has one goal for all its chunks.
    replicas = state.inodes.replicas.get(appendableFile(state, target.inode));
  } else {
    const found = resolve(state.inodes, target.path, "put");
    checkTarget(state, found, { what: "put", overwrite: target.overwrite, ifGeneration: target.ifGeneration });
    replicas = request.replicas ?? defaultReplicas(state, found.parent);
  }
  return {
    target,
    draft: draftId(state.drafts.next),
    replicas,
    minReplicas: replicasNeeded(state, replicas),
    chunkBytes: request.chunkBytes ?? state.limits.chunkBytes,
    ...(target.kind === "append" ? { inode: target.inode } : {}),
  };
}

/** @throws GfsError("NotFound") where nothing is at the path and nothing may be made, GfsError("IsDirectory"), and those of `resolve` */
function boundTarget(state: MasterState, target: RequestOf<typeof draftCreate>["target"]): DraftTarget {
  if (target.kind !== "append-path") return target;
  const found = resolve(state.inodes, target.path, "append to");
  if (found.slot === 0) {
    if (!target.create) throw notFound(found, "append to");
    return { kind: "put", path: target.path, overwrite: false };
  }
  if (!isFile(state.inodes, found.slot))
    throw new GfsError("IsDirectory", `Cannot append to ${target.path}: it is a directory`);
  return { kind: "append", inode: idOfSlot(state.inodes, found.slot) };
}

/** `placed`: the first chunk, where the request wants one. @throws as `planDraft` */
export function decideDraftCreate(
  state: MasterState,
  request: RequestOf<typeof draftCreate>,
  placed: PlacedChunk | undefined,
): Decision<ReplyOf<typeof draftCreate>> {
  const { target, ...plan } = planDraft(state, request);
  const { draft, replicas, chunkBytes } = plan;
  const { session } = request.id;
  const created: LogRecord = { kind: "draft-created", draft, session, target, replicas, chunkBytes };
  if (placed === undefined) return { records: [created], reply: plan };
  return { records: [created, ...chunkRecords(draft, placed)], reply: { ...plan, placement: placed.placement } };
}

/** @throws GfsError("DraftEnded") */
export function decideChunkAllocate(
  state: MasterState,
  request: Pick<RequestOf<typeof chunkAllocate>, "draft">,
  placed: PlacedChunk,
): Decision<ReplyOf<typeof chunkAllocate>> {
  liveDraft(state.drafts, request.draft, "write to");
  return { records: chunkRecords(request.draft, placed), reply: { placement: placed.placement } };
}

/** An ended draft stays ended, whatever ended it. */
export function decideDraftAbort(
  state: MasterState,
  request: RequestOf<typeof draftAbort>,
): Decision<ReplyOf<typeof draftAbort>> {
  if (!state.drafts.byId.has(request.draft)) return { records: [], reply: {} };
  return { records: [{ kind: "draft-ended", draft: request.draft, reason: "aborted" }], reply: {} };
}

/**
 * Publishes a draft: rechecks its target, and that each chunk is its own and has copies enough left.
 *
 * @throws GfsError("DraftEnded"), ("ProtocolError") for chunks that are not the draft's or not as allocated, ("ChunkLost"), ("InodeChanged") where the
 * file to append to is gone, ("Busy") where a tail is not sealed, and those of `resolve` and `checkTarget`
 */
export function decideDraftCommit(
  state: MasterState,
  request: RequestOf<typeof draftCommit>,
  now: Now,
): Decision<ReplyOf<typeof draftCommit>> {
  const draft = liveDraft(state.drafts, request.draft, "commit");
  const target = targetNow(state, draft, request.ifExists);
  const goal = goalAtCommit(state, draft, target);
  const chunks = checkChunks(state, draft, request.chunks);
  const listed = checkList(state, draft, { first: request.first, goal });
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, listed.bytes);
  const short = chunks.filter((chunk) => chunk.members.length < goal).length;
  const summary = { bytes, shortChunks: short + listed.shortChunks, replicas: goal };
  const named = { draft: draft.draft, ...(request.first === undefined ? {} : { first: request.first }), chunks };
  const ended: LogRecord = { kind: "draft-ended", draft: draft.draft, reason: "committed" };
  if (target.kind === "append") {
    const { inode } = target;
    const slot = spliceTarget(state, inode);
    const splice: LogRecord = { kind: "file-spliced", ...named, inode, modifiedMs: now.wallMs };
    const reply = {
      inode,
      generation: generationAt(state, slot),
      fileOffset: fileBytes(state.inodes, slot),
      ...summary,
    };
    return { records: [splice, ended], reply };
  }
  const { path, overwrite, ifGeneration } = target;
  const found = resolve(state.inodes, path, "put");
  checkTarget(state, found, { what: "put", overwrite, ifGeneration });
  const made = makeFile(state, found, { what: "put", replicas: draft.replicas, now });
  const { inode, generation } = made;
  const publish: LogRecord = { kind: "file-published", ...named, inode, modifiedMs: now.wallMs };
  return { records: [...made.records, publish, ended], reply: { inode, generation, fileOffset: 0, ...summary } };
}

/**
 * Takes a page of chunks into a draft's list, where it is not in it yet.
 *
 * @throws GfsError("DraftEnded"), and as `decideDraftCommit` for chunks that are not the draft's
 */
export function decideDraftWritten(
  state: MasterState,
  request: RequestOf<typeof draftWritten>,
): Decision<ReplyOf<typeof draftWritten>> {
  const draft = liveDraft(state.drafts, request.draft, "write to");
  const { first, from, chunks } = request;
  const list = draft.lists.get(first) ?? [];
  if (from < list.length && chunks.every(({ handle }, i) => list[from + i] === handle))
    return { records: [], reply: {} };
  if (from !== list.length || (from === 0 && chunks[0]?.handle !== first))
    throw new GfsError(
      "ProtocolError",
      `Cannot write to draft ${draft.draft}: its list ${first} does not go on at ${from}`,
    );
  if (from + chunks.length > protocol.commitChunksMax)
    throw new GfsError(
      "ProtocolError",
      `Cannot write to draft ${draft.draft}: a file has at most ${protocol.commitChunksMax} chunks`,
    );
  const checked = checkChunks(state, draft, chunks);
  return { records: [{ kind: "draft-written", draft: draft.draft, first, chunks: checked }], reply: {} };
}

/** What a commit publishes of chunks that were named before it. @throws GfsError("ChunkLost"), GfsError("ProtocolError") for a list that is not there */
function checkList(
  state: MasterState,
  draft: Draft,
  { first, goal }: { readonly first: ChunkHandle | undefined; readonly goal: number },
): { readonly bytes: number; readonly shortChunks: number } {
  if (first === undefined) return { bytes: 0, shortChunks: 0 };
  const { chunks: table, volumes } = state;
  const list = draft.lists.get(first);
  if (list === undefined)
    throw new GfsError("ProtocolError", `Cannot commit draft ${draft.draft}: it has no list ${first}`);
  const needed = replicasNeeded(state, draft.replicas);
  let bytes = 0;
  let shortChunks = 0;
  for (const handle of list) {
    const slot = slotOf(table, handle);
    const members = membersAt(table, slot);
    let left = 0;
    for (const index of members) if (!isGone(volumeAt(volumes, index))) left++;
    if (left < needed) throw chunkLost(draft, handle, { left, needed });
    bytes += table.lengths.get(slot);
    if (members.length < goal) shortChunks++;
  }
  return { bytes, shortChunks };
}

function chunkLost({ draft }: Draft, handle: ChunkHandle, copies: { left: number; needed: number }): GfsError {
  return new GfsError(
    "ChunkLost",
    `Cannot commit draft ${draft}: chunk ${handle} has ${counted(copies.left, "copy", "copies")} left, ${copies.needed} ${are(copies.needed)} needed`,
  );
}

/** Copies that a chunk must have for its file to be committed: `minReplicas`, or the goal where that is lower. */
export function replicasNeeded(state: MasterState, replicas: number): number {
  return Math.min(state.limits.minReplicas, replicas);
}

/** The draft's own; of a put with `ifExists` that would be refused, the file that stands in its way, where that has the same goal. */
function targetNow(state: MasterState, { target, replicas }: Draft, ifExists: "append" | undefined): DraftTarget {
  if (target.kind === "append" || ifExists === undefined) return target;
  if (target.overwrite || target.ifGeneration !== undefined) return target;
  const { slot } = resolve(state.inodes, target.path, "append to");
  if (slot === 0 || !isFile(state.inodes, slot) || state.inodes.replicas.get(slot) !== replicas) return target;
  return { kind: "append", inode: idOfSlot(state.inodes, slot) };
}

/** A file may have got another goal since an append to it began; one that was removed is refused later. */
function goalAtCommit({ inodes }: MasterState, { replicas }: Draft, target: DraftTarget): number {
  const slot = target.kind === "append" ? slotOfId(inodes, target.inode) : 0;
  return slot === 0 ? replicas : inodes.replicas.get(slot);
}

function spliceTarget(state: MasterState, inode: InodeId): number {
  try {
    const slot = appendableFile(state, inode);
    requireSealedTails(state, inode, `append to inode ${inode}`);
    return slot;
  } catch (error) {
    if (!(error instanceof GfsError) || error.code !== "NotFound") throw error;
    throw new GfsError("InodeChanged", `Cannot append to inode ${inode}: it was removed or replaced meanwhile`, {
      cause: error,
    });
  }
}

/** In one go for tens of thousands of chunks: no object a chunk but what is logged. */
function checkChunks(state: MasterState, draft: Draft, written: readonly WrittenChunk[]): PublishedChunk[] {
  const { chunks: table, volumes } = state;
  const needed = replicasNeeded(state, draft.replicas);
  const seen = new Set<number>();
  return written.map((chunk) => {
    const { handle, version, length, crc } = chunk;
    const refuse = (why: string): never => {
      throw new GfsError("ProtocolError", `Cannot commit draft ${draft.draft}: chunk ${handle} ${why}`);
    };
    const slot = draft.chunks.has(handle) ? slotOf(table, handle) : -1;
    if (slot < 0) return refuse("does not belong to it");
    if (seen.has(handle)) return refuse("is named twice");
    seen.add(handle);
    const allocated = table.versions.get(slot);
    if (version !== allocated) return refuse(`has version ${allocated}, not ${version}`);
    if (length > draft.chunkBytes) return refuse(`has ${length} bytes, more than the ${draft.chunkBytes} of a chunk`);
    const known = membersAt(table, slot);
    const members: number[] = [];
    let left = 0;
    for (const id of chunk.volumes) {
      const volume = findVolume(volumes, id);
      if (volume === undefined || !known.includes(volume.index)) return refuse(`was not allocated on volume ${id}`);
      if (members.includes(volume.index)) continue;
      members.push(volume.index);
      if (!isGone(volume)) left++;
    }
    if (left < needed) throw chunkLost(draft, handle, { left, needed });
    return { handle, version, length, crc, members };
  });
}

function chunkRecords(draft: DraftId, placed: PlacedChunk): LogRecord[] {
  const { handle, version } = placed.placement;
  return [
    ...reserveRecords(placed),
    { kind: "draft-chunk-added", draft, handle, version, members: [...placed.members] },
  ];
}
