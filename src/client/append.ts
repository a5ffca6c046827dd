/**
 * Appending (DESIGN §4.3): small records go to the tail of the file, larger data is written as chunks of its own and spliced in by one log record; all or nothing either way. So is the
 * first append to a file that is missing: its data is written as a put's, and one log record makes the file with it.
 */
import { crc32Combine } from "../base/checksum.ts";
import { type ErrorCode, GfsError, hasCode } from "../base/errors.ts";
import { appendRecordBytesMax } from "../limits.ts";
import { draftCommit, draftCreate, type WrittenChunk } from "../wire/control/files.ts";
import { type InodeId, rootInode } from "../wire/ids.ts";
import { formatPath, parsePath } from "../wire/path.ts";
import type { AppendOptions, AppendResult, Source } from "./api.ts";
import { appendUnder, repeatAt } from "./append-keyed.ts";
import type { AppendLine } from "./append-line.ts";
import { Operation } from "./context.ts";
import {
  type Appending,
  appendRefusal,
  endNow,
  findFile,
  lengthOf,
  type OneAppend,
  openFile,
  wholeOf,
} from "./one-append.ts";
import { type Content, formatPlace, parsePlace } from "./outcome.ts";
import { beginSource } from "./put.ts";
import { backOff, isMasterRetry } from "./retry.ts";
import { abortDraft, writeDraft } from "./write-draft.ts";

/** How often the path is looked up again, where its file is replaced before anything was sent to it. */
const lookupsMax = 4;

/**
 * One atomic append.
 *
 * @throws GfsError: PathInvalid, IsDirectory, NotFound (without `create`); those of the source; IdReused where the id was used for another file or content; NoSpace, TooFewServers: not
 * appended; Unavailable, Timeout: not by this call; OutcomeUnknown with `details.id` to repeat it under; Interrupted
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
  try {
    return await appendWith({ ...appending, op, path, source, options });
  } catch (error) {
    throw appendRefusal(path, error);
  }
}

function appendWith(one: OneAppend): Promise<AppendResult> {
  const { id } = one.options;
  const place = id === undefined ? undefined : parsePlace(id);
  if (place !== undefined) return repeatAt(one, place);
  if (id !== undefined && one.source.bytes !== 0) return appendUnder(one, id);
  return appendPlain(one);
}

/** Codes that say: not appended, for the file is another one by now, or the session of an idle client. */
const lookAgain: readonly ErrorCode[] = ["NotFound", "InodeChanged", "SessionExpired", "Exists"];

/**
 * Appends to the file that the path has now; where that is gone before anything was sent to it, to the next one.
 * @throws GfsError("Busy") where it is replaced all the time
 */
async function appendPlain(one: OneAppend): Promise<AppendResult> {
  const { path, source } = one;
  const lookup = { ...one, create: one.options.create !== false };
  for (let lookups = 1; ; lookups++) {
    const inode = source.bytes === 0 ? await openFile(lookup) : await findFile(lookup);
    try {
      return await appendTo(one, inode);
    } catch (error) {
      if (!hasCode(error, ...lookAgain)) throw error;
      // A stream can't be read again.
      if (lookups === lookupsMax || source.bytes === undefined)
        throw new GfsError("Busy", `Cannot append to ${path}: its file is being replaced; try again`, { cause: error });
      source.rewind();
    }
  }
}

/** `inode` undefined: there is no file, and it is made. */
async function appendTo(one: OneAppend, inode: InodeId | undefined): Promise<AppendResult> {
  const { chunkBytes, op, path, source, options } = one;
  const { bytes } = source;
  if (inode === undefined || bytes === undefined || bytes > appendRecordBytesMax(chunkBytes))
    return appendDraft(one, inode);
  if (bytes === 0) return { path, offset: await lengthOf(one, inode), bytes };
  const record = await wholeOf(source);
  const { fileOffset } = await onLine(one, inode, (line) => line.append(record, op.signal, op.deadline.remainingMs()));
  options.onProgress?.(bytes, bytes);
  return { path, offset: fileOffset, bytes };
}

/**
 * What `use` gives with the file's line. Where that ends with the time of earlier records, before anything of this append was sent, the next line is used: this one may have more time.
 * @throws what `use` throws
 */
async function onLine<T>(
  { ctx, lines, op }: OneAppend,
  inode: InodeId,
  use: (line: AppendLine) => Promise<T>,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    using held = await lines.take(op, inode);
    const { line } = held;
    try {
      return await use(line);
    } catch (error) {
      if (!line.broken || !isMasterRetry(error)) throw error;
      await backOff(ctx, op, { failures }, error);
    }
  }
}

/**
 * Written as whole chunks. Those of a file that is there are committed when this client's earlier records to it are answered; those of a missing one make it, or are spliced to what
 * another client has made meanwhile.
 */
async function appendDraft(one: OneAppend, inode: InodeId | undefined): Promise<AppendResult> {
  const { ctx, session, op, path, source, options } = one;
  const target =
    inode === undefined ? ({ kind: "put", path, overwrite: false } as const) : ({ kind: "append", inode } as const);
  const firstChunkBytes = Math.min(source.bytes ?? one.chunkBytes, one.chunkBytes);
  const { draft, chunkBytes, placement } = await session.mutate(op, draftCreate, (id) => ({
    id,
    target,
    firstChunkBytes,
    ...(source.bytes === undefined ? {} : { sizeBytes: source.bytes }),
    ...ctx.whereabouts,
  }));
  ctx.alive.drafts.add(draft);
  let committing = false;
  try {
    const fileOffset = await endNow(one, inode);
    const write = { draft, chunkBytes, placement, source, path, inode, fileOffset, onProgress: options.onProgress };
    const { chunks, named } = await writeDraft(ctx, op, write);
    const content = contentOf(chunks);
    const commit = () => {
      committing = true;
      return session.mutate(
        op,
        draftCommit,
        (id) => ({ id, ...named, ifExists: "append" as const }),
        (place) => formatPlace({ kind: "draft", ...place, inode: inode ?? rootInode, draft, content }),
      );
    };
    const reply = await (inode === undefined ? commit() : onLine(one, inode, (line) => line.alone(commit)));
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
