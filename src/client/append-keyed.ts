/**
 * Appends under a key (DESIGN §4.1, P4): every process that has the key follows the same plan, with a fixed place in the key's session for each step, so that a step that was done is
 * answered and not done again. Mutations of the session: 2k claims the append for one path and one content, and gives a draft, bound to the file that is there; 2k + 1 commits that draft,
 * for k = 1, and for the next k where the draft ended without a commit. A record that is small enough is record 1 of (session, inode) instead, where there is a file. Whoever comes with
 * another path or other content is refused at the claim.
 */
import { GfsError, hasCode } from "../base/errors.ts";
import { appendRecordBytesMax } from "../limits.ts";
import { draftAbort, draftCommit, draftCreate } from "../wire/control/files.ts";
import type { DraftId, InodeId, SessionId } from "../wire/ids.ts";
import { AppendLine } from "./append-line.ts";
import type { AppendResult } from "./api.ts";
import { endNow, type OneAppend, wholeOf } from "./one-append.ts";
import { type AppendPlace, type Content, formatPlace, outcomeUnknown, outcomeUntold } from "./outcome.ts";
import { askMaster } from "./retry.ts";
import { draftIsOver, KeyedSession } from "./session.ts";
import { abortDraft, writeDraft } from "./write-draft.ts";

/** Drafts that ended before their commit, one after the other, under one key. */
const draftsMax = 16;

interface Keyed {
  readonly one: OneAppend;
  readonly keyed: KeyedSession;
  readonly id: string;
  readonly content: Content;
}

/** A draft that binds the key to a path and a content; and to the file that was there, if one was. */
interface Claimed {
  readonly draft: DraftId;
  readonly chunkBytes: number;
  readonly inode?: InodeId | undefined;
}

/** Of at least one byte; the source's length is known. */
export async function appendUnder(one: OneAppend, id: string): Promise<AppendResult> {
  const { ctx, op, source } = one;
  const content = await source.content();
  op.progress();
  const keyed = await KeyedSession.open(ctx, op, id);
  ctx.alive.sessions.add(keyed.id);
  try {
    const append = { one, keyed, id, content };
    return await appendClaimed(append, await claim(append, 1));
  } catch (error) {
    throw withoutSession(one, error, id);
  } finally {
    ctx.alive.sessions.delete(keyed.id);
  }
}

/** A session that ended takes with it what was done in it: by this call, or by an earlier one under its id. */
function withoutSession({ op }: OneAppend, error: unknown, id: string): unknown {
  return hasCode(error, "SessionExpired") ? outcomeUnknown(op.what, error, id) : error;
}

async function appendClaimed(append: Keyed, first: Claimed): Promise<AppendResult> {
  const { one, id, content } = append;
  let claimed = first;
  try {
    for (let k = 1; ; claimed = await claim(append, ++k)) {
      const { inode, draft, chunkBytes } = claimed;
      const isRecord = inode !== undefined && content.bytes <= appendRecordBytesMax(chunkBytes);
      const result = isRecord ? await keyedRecord(append, { inode, draft }) : await keyedDraft(append, k, claimed);
      if (result !== undefined) return result;
      if (k === draftsMax)
        throw new GfsError("Busy", `Cannot append to ${one.path} under id ${id}: its drafts end before they are whole`);
    }
  } catch (error) {
    // The one file that the id is for is gone. Whether some process with the id had appended to it before that can't be told any more.
    if (hasCode(error, "NotFound", "InodeChanged")) throw outcomeUnknown(one.op.what, error, id);
    throw error;
  }
}

/** Binds the key to this path and this content; the same for whoever asks again. */
async function claim({ one, keyed, id, content }: Keyed, k: number): Promise<Claimed> {
  const { path, options } = one;
  try {
    return await keyed.mutate(one.op, draftCreate, 2 * k, (at) => ({
      id: at,
      target: { kind: "append-path" as const, path, create: options.create !== false },
      sizeBytes: content.bytes,
      contentCrc: content.crc,
    }));
  } catch (error) {
    if (!hasCode(error, "IdReused")) throw error;
    const text = `Cannot append to ${one.path} under id ${id}: it was used for another file or other content`;
    throw new GfsError("IdReused", text, { cause: error });
  }
}

async function keyedRecord(
  { one, keyed, id }: Keyed,
  { inode, draft }: { readonly inode: InodeId; readonly draft: DraftId },
): Promise<AppendResult> {
  const { ctx, op, path, source, options } = one;
  const record = await wholeOf(source);
  const result = await appendRecordAt(one, record, { inode, session: keyed.id, first: 1, id });
  // The draft has done its work as a claim.
  abortDraft(ctx, draft);
  op.progress();
  options.onProgress?.(record.length, record.length);
  return { path, offset: result, bytes: record.length };
}

/** One record at a fixed place; the file offset. */
async function appendRecordAt(
  { ctx, op }: OneAppend,
  record: Uint8Array,
  at: { inode: InodeId; session: SessionId; first: number; id: string },
): Promise<number> {
  const line = new AppendLine(ctx, { ...at, onBroken: () => {} });
  try {
    return (await line.append(record, op.signal)).fileOffset;
  } finally {
    line.close();
  }
}

/** Undefined where the draft ended without a commit: the next one is to be tried. */
async function keyedDraft(
  append: Keyed,
  k: number,
  { draft, chunkBytes, inode }: Claimed,
): Promise<AppendResult | undefined> {
  const { one, keyed } = append;
  const { ctx, op, path, source, options } = one;
  ctx.alive.drafts.add(draft);
  try {
    source.rewind();
    const fileOffset = await endNow(one, inode);
    const { onProgress } = options;
    const write = { draft, chunkBytes, placement: undefined, source, path, inode, fileOffset, onProgress };
    const { named } = await writeDraft(ctx, op, write);
    const reply = await keyed.mutate(op, draftCommit, 2 * k + 1, (at) => ({
      id: at,
      ...named,
      ifExists: "append" as const,
    }));
    return { path, offset: reply.fileOffset, bytes: reply.bytes };
  } catch (error) {
    // Another process with the key may have been faster; or the one before this, which died. Or a file was made meanwhile, and there is none to splice this to.
    if (hasCode(error, ...draftIsOver)) return await committedBefore(append, 2 * k + 1, draft);
    throw error;
  } finally {
    ctx.alive.drafts.delete(draft);
  }
}

/**
 * The answer to the commit of a draft, whoever sent it; undefined where it ended, or is ended now, without one. An ended draft is never committed again: so asking can't do it, and what
 * comes next is not committed beside it.
 * @throws GfsError("IdReused") for other content; ("OutcomeUnknown"), or ("Interrupted"), whatever kept it from being asked: it may have been done long before
 */
async function committedBefore(
  { one, keyed, id, content }: Keyed,
  at: number,
  draft: DraftId,
): Promise<AppendResult | undefined> {
  const { ctx, op, path } = one;
  try {
    await askMaster(ctx, op, draftAbort, { draft });
    const reply = await keyed.mutate(op, draftCommit, at, (mutation) => ({ id: mutation, draft, chunks: [] }));
    return { path, offset: reply.fileOffset, bytes: content.bytes };
  } catch (error) {
    if (hasCode(error, "DraftEnded")) return undefined;
    if (!hasCode(error, "IdReused")) throw outcomeUntold(op.what, error, id);
    throw new GfsError(
      "IdReused",
      `Cannot tell where ${path} was appended to under id ${id}: it was, by an earlier call`,
    );
  }
}

/** Again, what an earlier call without a key could not tell. */
export async function repeatAt(one: OneAppend, place: AppendPlace): Promise<AppendResult> {
  const id = formatPlace(place);
  try {
    return await repeatUnder(one, id, place);
  } catch (error) {
    throw withoutSession(one, error, id);
  }
}

async function repeatUnder(one: OneAppend, id: string, place: AppendPlace): Promise<AppendResult> {
  const { ctx, path, source } = one;
  const { session, inode, sequence } = place;
  const content = await source.content();
  if (place.kind === "record") {
    const record = await wholeOf(source);
    const offset = await appendRecordAt(one, record, { inode, session, first: sequence, id });
    return { path, offset, bytes: record.length };
  }
  if (content.bytes !== place.content.bytes || content.crc !== place.content.crc)
    throw new GfsError("IdReused", `Cannot append to ${path} under id ${id}: it was used for other content`);
  const { draft } = place;
  // Nobody else is at it any more.
  const keyed = KeyedSession.of(ctx, session, id);
  const before = await committedBefore({ one, keyed, id, content }, sequence, draft);
  // It had no effect. The id serves as a key from here on, so that it takes effect once.
  return before ?? (await appendUnder(one, id));
}
