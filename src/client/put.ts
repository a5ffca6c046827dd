/** Put: a whole new file, or nothing (DESIGN §4.2). */
import { hasCode } from "../base/errors.ts";
import { createFile, draftCommit, draftCreate } from "../wire/control/files.ts";
import { generation } from "../wire/ids.ts";
import { formatPath, parsePath } from "../wire/path.ts";
import type { PutOptions, PutResult, Source } from "./api.ts";
import { type ClientContext, Operation } from "./context.ts";
import type { MutationSession } from "./session.ts";
import { type OpenSource, openSource } from "./sources.ts";
import { abortDraft, writeDraft } from "./write-draft.ts";

/**
 * `chunkBytes`: of the chunks, where the options don't say.
 *
 * @throws GfsError: PathInvalid, Exists, IsDirectory, GenerationMismatch; NotFound, LocalFile, SourceChanged for the source; NoSpace, TooFewServers, Unavailable, Timeout; ChunkLost;
 * OutcomeUnknown where the commit was not answered in time; Interrupted
 */
export async function putFile(
  ctx: ClientContext,
  session: MutationSession,
  put: { readonly source: Source; readonly path: string; readonly chunkBytes: number },
  options: PutOptions,
): Promise<PutResult> {
  const path = formatPath(parsePath(put.path));
  using op = new Operation(ctx, `put ${path}`, options.signal);
  await using source = await beginSource(ctx, op, put.source, "piecewise");
  op.progress();
  if (source.bytes === 0) return await putEmpty({ ctx, session, op, path, options });
  return await putContent({ ctx, session, op, path, options }, source, put.chunkBytes);
}

/** A stream's first bytes may be long in coming: who gives up before does not wait for them. */
export async function beginSource(
  ctx: ClientContext,
  op: Operation,
  source: Source,
  how: "piecewise" | "whole",
): Promise<OpenSource> {
  const { parallelChunks } = ctx.limits;
  const opening = openSource(ctx.world, source, { parallelChunks, whole: how === "whole" });
  try {
    return await op.unlessAborted(opening);
  } catch (error) {
    opening.then((opened) => opened[Symbol.asyncDispose]()).catch(() => {});
    throw error;
  }
}

async function putEmpty({ session, op, path, options }: Putting): Promise<PutResult> {
  const { overwrite, replicas, ifGeneration, onProgress } = options;
  const mode = overwrite === true ? ("replace" as const) : ("new" as const);
  const reply = await session.mutate(op, createFile, (id) => ({
    id,
    path,
    mode,
    ...(replicas === undefined ? {} : { replicas }),
    ...(ifGeneration === undefined ? {} : { ifGeneration: generation(ifGeneration) }),
  }));
  onProgress?.(0, 0);
  return {
    path,
    inode: reply.inode,
    generation: reply.generation,
    bytes: 0,
    chunks: 0,
    replicas: reply.replicas,
    shortChunks: 0,
  };
}

interface Putting {
  readonly ctx: ClientContext;
  readonly session: MutationSession;
  readonly op: Operation;
  readonly path: string;
  readonly options: PutOptions;
}

async function putContent(
  { ctx, session, op, path, options }: Putting,
  source: OpenSource,
  chunkBytesDefault: number,
): Promise<PutResult> {
  const { overwrite = false, replicas, ifGeneration, onProgress } = options;
  const chunkBytes = options.chunkBytes ?? chunkBytesDefault;
  const plan = await session.mutate(op, draftCreate, (id) => ({
    id,
    target: {
      kind: "put" as const,
      path,
      overwrite,
      ...(ifGeneration === undefined ? {} : { ifGeneration: generation(ifGeneration) }),
    },
    chunkBytes,
    firstChunkBytes: Math.min(source.bytes ?? chunkBytes, chunkBytes),
    ...(source.bytes === undefined ? {} : { sizeBytes: source.bytes }),
    ...(replicas === undefined ? {} : { replicas }),
    ...ctx.whereabouts,
  }));
  const { draft, placement } = plan;
  ctx.alive.drafts.add(draft);
  let mayBeCommitted = false;
  try {
    const write = { draft, chunkBytes: plan.chunkBytes, placement, source, path, fileOffset: 0, onProgress };
    const { chunks, named } = await writeDraft(ctx, op, write);
    mayBeCommitted = true;
    const reply = await session.mutate(op, draftCommit, (id) => ({ id, ...named }));
    ctx.alive.drafts.delete(draft);
    const { inode, bytes, shortChunks } = reply;
    return {
      path,
      inode,
      generation: reply.generation,
      bytes,
      chunks: chunks.length,
      replicas: reply.replicas,
      shortChunks,
    };
  } catch (error) {
    ctx.alive.drafts.delete(draft);
    // An abort of a draft that is committed changes nothing; of one whose commit is on its way it might end that first.
    if (!mayBeCommitted || !hasCode(error, "OutcomeUnknown", "Interrupted")) abortDraft(ctx, draft);
    throw error;
  }
}
