/**
 * Appending (DESIGN §4.3): small records go to the tail of the file, larger data is written as chunks of its own and spliced in by one log record; all or nothing either way.
 *
 * Under a key the same plan is followed by every process that has the key, with a fixed place in the key's session for each step, so that a step that was done is answered and not done
 * again. Mutations of the session: 1 makes the file where it is missing; 2k claims the append for one inode and one content, and gives a draft; 2k + 1 commits that draft, for k = 1,
 * and for the next k where the draft ended without a commit. A record that is small enough is record 1 of (session, inode) instead. Whoever comes with another file or other content
 * is refused at the claim.
 */
import { crc32Combine } from "../base/checksum.ts";
import { type ErrorCode, GfsError, hasCode } from "../base/errors.ts";
import { appendRecordBytesMax } from "../limits.ts";
import type { MutationId } from "../wire/control/common.ts";
import {
  createFile,
  draftAbort,
  draftCommit,
  draftCreate,
  fileLength,
  type WrittenChunk,
} from "../wire/control/files.ts";
import type { DraftId, InodeId, SessionId } from "../wire/ids.ts";
import { formatPath, parsePath } from "../wire/path.ts";
import { AppendLine } from "./append-line.ts";
import type { AppendLines } from "./append-lines.ts";
import type { AppendOptions, AppendResult, Source } from "./api.ts";
import { type ClientContext, Operation } from "./context.ts";
import { locateRange } from "./locations.ts";
import { type AppendPlace, type Content, formatPlace, outcomeUnknown, parsePlace } from "./outcome.ts";
import { beginSource } from "./put.ts";
import { askMaster, isMasterRetry, isUnknown } from "./retry.ts";
import { KeyedSession, type MutationSession } from "./session.ts";
import type { OpenSource } from "./sources.ts";
import { abortDraft, writeDraft } from "./write-draft.ts";

/** How often the path is looked up again, where its file is replaced before anything was sent to it. */
const lookupsMax = 4;
/** Drafts that ended before their commit, one after the other, under one key. */
const draftsMax = 16;

export interface Appending {
  readonly ctx: ClientContext;
  readonly session: MutationSession;
  readonly lines: AppendLines;
  /** What the cluster uses. */
  readonly chunkBytes: number;
}

/**
 * One atomic append.
 *
 * @throws GfsError: PathInvalid, IsDirectory, NotFound (without `create`); those of the source; IdReused where the id was used for another file or content; NoSpace, TooFewServers, Unavailable,
 * Timeout: not appended; OutcomeUnknown with `details.id` to repeat it under; Interrupted
 */
export async function appendOnce(
  appending: Appending,
  append: { readonly path: string; readonly source: Source },
  options: AppendOptions,
): Promise<AppendResult> {
  const path = formatPath(parsePath(append.path));
  const { ctx } = appending;
  using op = new Operation(ctx, `append to ${path}`, options.signal);
  await using source = await beginSource(ctx, op, append.source, options.id === undefined ? "piecewise" : "whole");
  op.progress();
  const place = options.id === undefined ? undefined : parsePlace(options.id);
  const one: OneAppend = { ...appending, op, path, source, options };
  if (place !== undefined) return await repeatAt(one, place);
  if (options.id !== undefined) return await appendUnder(one, options.id);
  return await appendPlain(one);
}

interface OneAppend extends Appending {
  readonly op: Operation;
  readonly path: string;
  readonly source: OpenSource;
  readonly options: AppendOptions;
}

/** The file at the path, made where it is missing and may be. @throws GfsError NotFound | IsDirectory */
export async function findFile(
  {
    ctx,
    session,
    op,
    path,
    create,
  }: Omit<Appending, "lines" | "chunkBytes"> & {
    readonly op: Operation;
    readonly path: string;
    readonly create: boolean;
  },
  make: (op: Operation) => Promise<{ readonly inode: InodeId }> = (making) =>
    session.mutate(making, createFile, (id) => makeFile(id, path)),
): Promise<InodeId> {
  try {
    return (await locateRange(ctx, op, { kind: "path", path }, { offset: 0, length: 0 })).inode;
  } catch (error) {
    if (!create || !hasCode(error, "NotFound")) throw error;
    return (await make(op)).inode;
  }
}

function makeFile(id: MutationId, path: string): { id: MutationId; path: string; mode: "open" } {
  return { id, path, mode: "open" };
}

// ---------------------------------------------------------------- without an id

async function appendPlain(one: OneAppend): Promise<AppendResult> {
  const { lines, op, path, source, options } = one;
  return followPath(one, async (inode) => {
    if (source.bytes === 0) return { path, offset: await lengthOf(one, inode), bytes: 0 };
    if (source.bytes !== undefined) source.rewind();
    if (!isSmall(one)) return appendLarge(one, inode);
    const record = await wholeOf(source);
    const line = await lines.take(op, inode);
    const { fileOffset, bytes } = await line.append(record, op.signal);
    options.onProgress?.(bytes, bytes);
    return { path, offset: fileOffset, bytes };
  });
}

/** Codes that say: not appended, for the file is another one by now, or the session of an idle client. */
const lookAgain: readonly ErrorCode[] = ["NotFound", "InodeChanged", "SessionExpired"];

/**
 * Appends to the file that the path has now; where that is gone before anything was sent to it, to the next one.
 * @throws GfsError("Busy") where it is replaced all the time
 */
async function followPath<T>(
  one: OneAppend,
  append: (inode: InodeId) => Promise<T>,
  make?: (op: Operation) => Promise<{ readonly inode: InodeId }>,
): Promise<T> {
  for (let lookups = 1; ; lookups++) {
    const inode = await findFile({ ...one, create: one.options.create !== false }, make);
    try {
      return await append(inode);
    } catch (error) {
      if (!(error instanceof GfsError) || !lookAgain.includes(error.code)) throw error;
      const { bytes } = one.source;
      // A stream can't be read again.
      if (lookups === lookupsMax || bytes === undefined)
        throw new GfsError("Busy", `Cannot append to ${one.path}: its file is being replaced; try again`, {
          cause: error,
        });
    }
  }
}

function isSmall({ source, chunkBytes }: OneAppend): boolean {
  return source.bytes !== undefined && source.bytes <= appendRecordBytesMax(chunkBytes);
}

async function wholeOf(source: OpenSource): Promise<Uint8Array> {
  const bytes = source.bytes ?? 0;
  const chunk = await source.nextChunk(bytes);
  if (chunk === undefined) return new Uint8Array(0);
  const record = await chunk.source.read(new Uint8Array(bytes), 0);
  await source.verify();
  return record;
}

async function lengthOf({ ctx, op }: OneAppend, inode: InodeId): Promise<number> {
  return (await askMaster(ctx, op, fileLength, { inode })).bytes;
}

/** Written as whole chunks; committed when this client's earlier records are answered. */
async function appendLarge(one: OneAppend, inode: InodeId): Promise<AppendResult> {
  const { ctx, session, lines, op, path, source, options } = one;
  const line = await lines.take(op, inode);
  const { draft, chunkBytes } = await session.mutate(op, draftCreate, (id) => ({
    id,
    target: { kind: "append" as const, inode },
    ...(source.bytes === undefined ? {} : { sizeBytes: source.bytes }),
  }));
  ctx.alive.drafts.add(draft);
  let committing = false;
  try {
    const write = { draft, chunkBytes, placement: undefined, source, path, inode, onProgress: options.onProgress };
    const chunks = await writeDraft(ctx, op, write);
    const content = contentOf(chunks);
    const reply = await line.alone(() => {
      committing = true;
      const commit = (id: MutationId) => ({ id, draft, chunks });
      return session.mutate(op, draftCommit, commit, (place) =>
        formatPlace({ kind: "draft", ...place, inode, draft, content }),
      );
    });
    return { path, offset: reply.fileOffset, bytes: reply.bytes };
  } catch (error) {
    if (!committing || !hasCode(error, "OutcomeUnknown", "Interrupted")) abortDraft(ctx, draft);
    throw error;
  } finally {
    ctx.alive.drafts.delete(draft);
  }
}

function contentOf(chunks: readonly WrittenChunk[]): Content {
  let content: Content = { bytes: 0, crc: 0 };
  for (const { length, crc } of chunks)
    content = { bytes: content.bytes + length, crc: crc32Combine(content.crc, crc, length) };
  return content;
}

// ---------------------------------------------------------------- under a key

interface Keyed {
  readonly one: OneAppend;
  readonly keyed: KeyedSession;
  readonly id: string;
  readonly inode: InodeId;
  readonly content: Content;
}

/** A draft that binds the key to a file and a content. */
interface Claimed {
  readonly draft: DraftId;
  readonly chunkBytes: number;
}

async function appendUnder(one: OneAppend, id: string): Promise<AppendResult> {
  const { ctx, op, path, source } = one;
  const content = await source.content();
  op.progress();
  const keyed = await KeyedSession.open(ctx, op, id);
  ctx.alive.sessions.add(keyed.id);
  const make = (making: Operation) => keyed.mutate(making, createFile, 1, (at) => makeFile(at, path));
  try {
    if (content.bytes === 0)
      return await followPath(one, async (inode) => ({ path, offset: await lengthOf(one, inode), bytes: 0 }), make);
    const begin = async (inode: InodeId) => {
      const append = { one, keyed, id, inode, content };
      return { append, first: await claim(append, 1) };
    };
    const { append, first } = await followPath(one, begin, make);
    return await appendClaimed(append, first);
  } finally {
    ctx.alive.sessions.delete(keyed.id);
  }
}

async function appendClaimed(append: Keyed, first: Claimed): Promise<AppendResult> {
  const { one, id, content } = append;
  let claimed = first;
  try {
    for (let k = 1; ; claimed = await claim(append, ++k)) {
      const isRecord = content.bytes <= appendRecordBytesMax(claimed.chunkBytes);
      const result = isRecord ? await keyedRecord(append, claimed) : await keyedDraft(append, k, claimed);
      if (result !== undefined) return result;
      if (k === draftsMax)
        throw new GfsError("Busy", `Cannot append to ${one.path} under id ${id}: its drafts end before they are whole`);
    }
  } catch (error) {
    // The one file that the id is for is gone. Whether some process with the id had appended to it before that can't be told any more.
    if (hasCode(error, "NotFound", "InodeChanged", "SessionExpired")) throw outcomeUnknown(one.op.what, error, id);
    throw error;
  }
}

/** Binds the key to this file and this content; the same for whoever asks again. */
async function claim({ one, keyed, id, inode, content }: Keyed, k: number): Promise<Claimed> {
  try {
    return await keyed.mutate(one.op, draftCreate, 2 * k, (at) => ({
      id: at,
      target: { kind: "append" as const, inode },
      sizeBytes: content.bytes,
      contentCrc: content.crc,
    }));
  } catch (error) {
    if (!hasCode(error, "IdReused")) throw error;
    const text = `Cannot append to ${one.path} under id ${id}: it was used for another file or other content`;
    throw new GfsError("IdReused", text, { cause: error });
  }
}

async function keyedRecord({ one, keyed, id, inode }: Keyed, { draft }: Claimed): Promise<AppendResult> {
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
async function keyedDraft(append: Keyed, k: number, { draft, chunkBytes }: Claimed): Promise<AppendResult | undefined> {
  const { one, keyed, id, inode } = append;
  const { ctx, op, path, source, options } = one;
  ctx.alive.drafts.add(draft);
  let committing = false;
  try {
    source.rewind();
    const write = { draft, chunkBytes, placement: undefined, source, path, inode, onProgress: options.onProgress };
    const chunks = await writeDraft(ctx, op, write);
    committing = true;
    const reply = await keyed.mutate(op, draftCommit, 2 * k + 1, (at) => ({ id: at, draft, chunks }));
    return { path, offset: reply.fileOffset, bytes: reply.bytes };
  } catch (error) {
    // Another process with the key may have been faster; or the one before this, which died.
    if (hasCode(error, "DraftEnded", "IdReused")) return await committedBefore(append, 2 * k + 1, draft);
    if (committing && (isUnknown(error) || isMasterRetry(error))) throw outcomeUnknown(op.what, error, id);
    throw error;
  } finally {
    ctx.alive.drafts.delete(draft);
  }
}

/**
 * The answer to the commit of a draft that has ended, whoever sent it; undefined where it ended otherwise. An ended draft is never committed again: so asking can't do it.
 */
async function committedBefore(
  { one, keyed, id, content }: Keyed,
  at: number,
  draft: DraftId,
): Promise<AppendResult | undefined> {
  const { op, path } = one;
  try {
    const reply = await keyed.mutate(op, draftCommit, at, (mutation) => ({ id: mutation, draft, chunks: [] }));
    return { path, offset: reply.fileOffset, bytes: content.bytes };
  } catch (error) {
    if (hasCode(error, "DraftEnded")) return undefined;
    if (!hasCode(error, "IdReused")) throw error;
    throw new GfsError(
      "IdReused",
      `Cannot tell where ${path} was appended to under id ${id}: it was, by an earlier call`,
    );
  }
}

// ---------------------------------------------------------------- again, what an earlier call could not tell

async function repeatAt(one: OneAppend, place: AppendPlace): Promise<AppendResult> {
  const { ctx, op, path, source } = one;
  const { session, inode, sequence } = place;
  const content = await source.content();
  const id = formatPlace(place);
  if (place.kind === "record") {
    const record = await wholeOf(source);
    const offset = await appendRecordAt(one, record, { inode, session, first: sequence, id });
    return { path, offset, bytes: record.length };
  }
  if (content.bytes !== place.content.bytes || content.crc !== place.content.crc)
    throw new GfsError("IdReused", `Cannot append to ${path} under id ${id}: it was used for other content`);
  const { draft } = place;
  // Nobody else is at it any more; ended it must be before its commit may be asked for.
  await askMaster(ctx, op, draftAbort, { draft });
  const keyed = KeyedSession.of(ctx, session);
  const before = await committedBefore({ one, keyed, id, inode, content }, sequence, draft);
  // It had no effect. The id serves as a key from here on, so that it takes effect once.
  return before ?? (await appendUnder(one, id));
}
