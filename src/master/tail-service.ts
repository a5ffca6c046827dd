/**
 * Open tails of files (DESIGN §4.3): given to appenders, opened where there is none, and sealed and kept shut before whatever replaces, removes or
 * splices their file.
 */
import { asGfsError, GfsError, hasCode } from "../base/errors.ts";
import { appendRecordBytesMax } from "../limits.ts";
import { Deadline } from "../net/deadline.ts";
import { open } from "../wire/control/commands.ts";
import type { appendAnswers } from "../wire/control/append-answers.ts";
import type { appendTail } from "../wire/control/files.ts";
import { type ChunkHandle, generation, type InodeId } from "../wire/ids.ts";
import { type MasterContext, nowMs, requireMutations, traceMutation } from "./context.ts";
import { answersOf, tableForTail } from "./core/append-tables.ts";
import { type Chunk, findChunk, type VolumeIndex } from "./core/chunk-table.ts";
import type { Decision, Now, ReplyOf, RequestOf } from "./core/decision.ts";
import { replicasNeeded } from "./core/decide-drafts.ts";
import { fileBytes } from "./core/extents.ts";
import { openedChunk, openingChunk } from "./core/leases.ts";
import { describeInode } from "./core/namespace.ts";
import { appendableFile, blockTails, decideTailOpen, openTailsUnder, tailOf, unblockTails } from "./core/tails.ts";
import { originOfInode } from "./origin.ts";
import { placeChunk } from "./place-chunk.ts";
import { awaitSealed, beginSealing } from "./sealer.ts";

type TailRequest = RequestOf<typeof appendTail>;
type TailReply = ReplyOf<typeof appendTail>;

/** Servers that failed to open a tail are avoided this many times before the request is told to come back. */
const openAttemptsMax = 4;

/**
 * The open tail of a file, opened first where there is none; what the client saw fail is sealed before.
 *
 * @throws GfsError("NotFound"), ("IsDirectory"), ("RangeInvalid") for a record above the largest, ("TooFewServers"), ("NoSpace"), ("SessionExpired"), ("Busy") with a
 * time to come back
 */
export async function giveTail(ctx: MasterContext, request: TailRequest): Promise<TailReply> {
  requireMutations(ctx);
  const recordBytesMax = appendRecordBytesMax(ctx.limits.chunkBytes);
  if (request.recordBytes > recordBytesMax) {
    throw new GfsError(
      "RangeInvalid",
      `Cannot append a record of ${request.recordBytes} bytes to inode ${request.inode}: ${recordBytesMax} is the most`,
    );
  }
  const deadline = Deadline.in(ctx.world.clock, ctx.limits.controlMs * 0.8);
  const excluded = new Set<VolumeIndex>();
  for (let attempts = 0; ;) {
    requireMutations(ctx);
    appendableFile(ctx.state, request.inode);
    requireSession(ctx, request);
    const handle = tailOf(ctx.state, request.inode);
    const chunk = handle === undefined ? undefined : findChunk(ctx.state.chunks, handle);
    const opening = ctx.soft.openings.get(request.inode);
    if (opening !== undefined) {
      // Its failure is told to who began it; whoever waited looks again.
      await opening.catch(() => undefined);
    } else if (chunk === undefined) {
      if (attempts++ >= openAttemptsMax) throw comeBack(request.inode, "servers failed to open a chunk");
      await openTail(ctx, request, excluded);
    } else if (chunk.state === "open" && !isFailed(request, chunk)) {
      return ctx.engine.release(tailReply(ctx, request.inode, chunk));
    } else {
      if (chunk.state === "open") beginSealing(ctx, chunk.handle, `a client: ${request.failed?.reason ?? ""}`);
      await awaitSealed(ctx, chunk.handle, deadline.remainingMs());
    }
    if (deadline.expired) throw comeBack(request.inode, "its tail is being opened");
  }
}

/** What sealed tails took of a session's records, while there is no other tail. @throws GfsError("Busy"), ("NotFound"), ("IsDirectory"), ("SessionExpired") */
export function takenRecords(
  ctx: MasterContext,
  request: RequestOf<typeof appendAnswers>,
): Promise<ReplyOf<typeof appendAnswers>> {
  const { inode, session } = request;
  appendableFile(ctx.state, inode);
  requireSession(ctx, request);
  if (tailOf(ctx.state, inode) !== undefined || ctx.soft.openings.has(inode))
    throw comeBack(inode, "it has a tail, which alone knows what it has taken");
  return ctx.engine.release({ answers: [...answersOf(ctx.state.appendTables, inode, session)] });
}

/** Tables hold what open sessions appended: to a tail that is opened now, a retry of an ended one would look new. */
function requireSession(ctx: MasterContext, { session, inode }: Pick<TailRequest, "session" | "inode">): void {
  if (session === undefined || ctx.state.sessions.byId.has(session)) return;
  throw new GfsError(
    "SessionExpired",
    `Cannot append to inode ${inode}: session ${session} has ended, so what it appended is not known any more`,
  );
}

function comeBack(inode: InodeId, why: string): GfsError {
  return new GfsError("Busy", `Cannot append to inode ${inode} yet: ${why}`, { retryAfterMs: 100 });
}

function isFailed(request: TailRequest, chunk: Chunk): boolean {
  return request.failed?.handle === chunk.handle && request.failed.version === chunk.version;
}

function tailReply(ctx: MasterContext, inode: InodeId, chunk: Chunk): TailReply {
  const slot = appendableFile(ctx.state, inode);
  const chain = ctx.commands.addresses(chunk.members);
  if (chain.length !== chunk.members.length)
    throw new GfsError("Busy", `Cannot append to inode ${inode} yet: not all its servers have registered`, {
      retryAfterMs: 500,
    });
  return {
    inode,
    generation: generation(ctx.state.inodes.generation.get(slot)),
    handle: chunk.handle,
    version: chunk.version,
    chain,
    fileOffset: fileBytes(ctx.state.inodes, slot),
  };
}

/** Concurrent requests for one inode share one opening. */
async function openTail(ctx: MasterContext, request: TailRequest, excluded: Set<VolumeIndex>): Promise<void> {
  const opening = openChunk(ctx, request, excluded);
  ctx.soft.openings.set(request.inode, opening);
  try {
    await opening;
  } finally {
    if (ctx.soft.openings.get(request.inode) === opening) ctx.soft.openings.delete(request.inode);
  }
}

/** Logs the tail, then has all its members open it; where one fails the chunk is sealed, and that member is not chosen again. */
async function openChunk(ctx: MasterContext, request: TailRequest, excluded: Set<VolumeIndex>): Promise<void> {
  const { state, limits } = ctx;
  const slot = appendableFile(state, request.inode);
  const appendTable = tableForTail(state.appendTables, request.inode, limits.appendTableMax);
  const replicas = state.inodes.replicas.get(slot);
  const placed = placeChunk(ctx, {
    replicas,
    minReplicas: replicasNeeded(state, replicas),
    bytes: request.recordBytes,
    from: request,
    excluded,
    what: `a chunk to append to ${describeInode(state.inodes, slot)}`,
  });
  const { handle, version, chain } = placed.placement;
  const records = decideTailOpen(state, request.inode, placed);
  openingChunk(ctx.soft.leases, handle);
  await ctx.engine.commit(records);
  const chunk = {
    handle,
    version,
    chain,
    origin: originOfInode(state, request.inode),
    chunkBytes: limits.chunkBytes,
    appendTable,
    leaseMs: limits.leaseMs,
  };
  traceMutation(ctx, "START", { chunk: handle, version, inode: request.inode, members: placed.members });
  const sentMs = nowMs(ctx);
  const failures = await Promise.all(placed.members.map((member) => openOn(ctx, member, chunk)));
  const failed = failures.find((failure) => failure !== undefined);
  if (failed === undefined) {
    openedChunk(ctx.soft.leases, handle, sentMs + limits.leaseMs);
    return;
  }
  for (const [index, failure] of failures.entries()) {
    const member = placed.members[index];
    if (failure !== undefined && member !== undefined) excluded.add(member);
  }
  beginSealing(ctx, handle, `it could not be opened: ${failed}`);
}

async function openOn(
  ctx: MasterContext,
  member: VolumeIndex,
  chunk: RequestOf<typeof open>["chunks"][number],
): Promise<string | undefined> {
  try {
    const { results } = await ctx.commands.send(member, open, { chunks: [chunk] }, ctx.limits.prepareMs);
    const [result] = results;
    if (result?.kind === "ok") return undefined;
    return result === undefined ? "no answer" : result.error.message;
  } catch (error) {
    const { code, message } = asGfsError(error);
    if (code === "Bug") throw error;
    return message;
  }
}

/** Seals the tail of an inode, if it has one, and waits for it. @throws GfsError("Busy") */
export async function sealTail(ctx: MasterContext, inode: InodeId, reason: string, ms: number): Promise<void> {
  const handle = tailOf(ctx.state, inode);
  if (handle === undefined) return;
  beginSealing(ctx, handle, reason);
  await awaitSealed(ctx, handle, ms);
}

/** A mutation that takes files away or splices them. `displaced`: whose tails it waits for. `decide` is pure: asked before anything is sealed, and once more when it is done. */
export interface SealedMutation<Reply> {
  readonly why: string;
  readonly displaced: () => InodeId | undefined;
  readonly decide: (now: Now) => Decision<Reply>;
}

/**
 * Seals all tails under `displaced()`, keeps others from being opened, decides once they are sealed and it is still the same inode, and lets tails be opened again
 * when its record is durable. What will be refused is refused before anything is sealed.
 *
 * @throws GfsError("Busy") where a seal takes longer than a request may wait, and what `decide` throws
 */
export async function withSealedTails<Reply>(
  ctx: MasterContext,
  mutation: SealedMutation<Reply>,
  decideNow: (decide: (now: Now) => Decision<Reply>) => Reply,
): Promise<Reply> {
  const deadline = Deadline.in(ctx.world.clock, ctx.limits.controlMs * 0.8);
  const { why, displaced, decide } = mutation;
  for (;;) {
    const inode = displaced();
    if (inode === undefined || openTailsUnder(ctx.state, inode).length === 0) return decideNow(decide);
    requireMutations(ctx);
    requireOnlySeals(() => decide(ctx.engine.now()));
    const block = blockTails(ctx.state, inode, why);
    try {
      await sealTailsUnder(ctx, inode, why, deadline);
      if (displaced() === inode && openTailsUnder(ctx.state, inode).length === 0) {
        const reply = decideNow(decide);
        await ctx.engine.release(undefined);
        return reply;
      }
    } finally {
      unblockTails(ctx.state, block);
    }
    if (deadline.expired)
      throw new GfsError("Busy", `Cannot ${why} yet: its files are being appended to`, { retryAfterMs: 100 });
  }
}

/** @throws what is decided, unless that is only to wait until tails are sealed */
function requireOnlySeals(decide: () => unknown): void {
  try {
    decide();
  } catch (error) {
    if (!hasCode(error, "Busy")) throw error;
  }
}

async function sealTailsUnder(ctx: MasterContext, inode: InodeId, why: string, deadline: Deadline): Promise<void> {
  for (;;) {
    const inodes = openTailsUnder(ctx.state, inode);
    if (inodes.length === 0) return;
    const handles: ChunkHandle[] = [];
    for (const each of inodes) {
      const opening = ctx.soft.openings.get(each);
      if (opening !== undefined) await opening.catch(() => undefined);
      const handle = tailOf(ctx.state, each);
      if (handle === undefined) continue;
      beginSealing(ctx, handle, why);
      handles.push(handle);
    }
    await Promise.all(handles.map((handle) => awaitSealed(ctx, handle, deadline.remainingMs())));
    if (deadline.expired)
      throw new GfsError("Busy", `Cannot ${why} yet: its files are being appended to`, { retryAfterMs: 100 });
  }
}
