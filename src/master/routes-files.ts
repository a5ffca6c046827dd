/** What clients ask about content: sessions, drafts, appends, locations (wire/control/files.ts; DESIGN §4.1–4.4). */
import { GfsError, hasCode } from "../base/errors.ts";
import { counted, formatSize } from "../config/units.ts";
import type { Limits } from "../limits.ts";
import { protocol } from "../limits.ts";
import { type Route, route } from "../net/control-server.ts";
import { committedLength, verify } from "../wire/control/commands.ts";
import { appendAnswers } from "../wire/control/append-answers.ts";
import {
  appendTail,
  chunkAllocate,
  clientHeartbeat,
  clusterInfo,
  createFile,
  draftAbort,
  draftCommit,
  draftWritten,
  draftCreate,
  fileLength,
  locate,
  replicaSuspect,
  sessionClose,
  sessionOpen,
} from "../wire/control/files.ts";
import { generation, type InodeId } from "../wire/ids.ts";
import {
  inBackground,
  type MasterContext,
  nowMs,
  requireMutations,
  requireNotStopped,
  traceMutation,
} from "./context.ts";
import { wantScan } from "./core/chunk-scan.ts";
import { findChunk } from "./core/chunk-table.ts";
import {
  decideChunkAllocate,
  decideDraftAbort,
  decideDraftCommit,
  decideDraftCreate,
  decideDraftWritten,
  planDraft,
  replicasNeeded,
} from "./core/decide-drafts.ts";
import { decideCreateFile } from "./core/decide-files.ts";
import { decideSessionClose, decideSessionOpen } from "./core/decide-sessions.ts";
import type { PlacedChunk, ReplyOf, RequestOf } from "./core/decision.ts";
import { displacedInode } from "./core/displaced.ts";
import { chunksOfDraft, liveDraft, touchDrafts } from "./core/drafts.ts";
import { fileBytes } from "./core/extents.ts";
import { isFile, slotOfId } from "./core/inodes.ts";
import { describeInode } from "./core/namespace.ts";
import { noteWaitedFor } from "./core/repair-queues.ts";
import { touchSessions } from "./core/sessions.ts";
import { tailOf } from "./core/tails.ts";
import { usableBytes } from "./core/space-sums.ts";
import { allVolumes, findVolume, isGone, releaseSpace, reserveMore, reserveSpace } from "./core/volumes.ts";
import { markBad } from "./bad-replica.ts";
import { locateFile } from "./locating.ts";
import { placeChunk, volumeIndexes } from "./place-chunk.ts";
import { mutateSealed } from "./sealed-mutation.ts";
import { giveTail, sealTail, takenRecords, withSealedTails } from "./tail-service.ts";

export interface FileRouteOptions {
  readonly insecure: boolean;
}

/** Remembered for status: more clients than this are not all shown. */
const clientsMax = 1_024;

export function fileRoutes(ctx: MasterContext, { insecure }: FileRouteOptions): Route[] {
  const { engine, state, limits } = ctx;
  return [
    // While mutations are stopped too: the one that lets them go on needs a session as any other.
    route(sessionOpen, async (request) =>
      engine.perform((now) => decideSessionOpen(state, request, now, ctx.soft.sessionFloor)),
    ),
    route(sessionClose, async (request) => {
      requireMutations(ctx);
      const drafts = [...state.drafts.byId.values()].filter(({ session }) => session === request.session);
      const reply = await engine.perform(() => decideSessionClose(state, request));
      for (const { draft } of drafts) if (!state.drafts.byId.has(draft)) releaseSpace(state.volumes, draft);
      return reply;
    }),
    route(clientHeartbeat, async (request) => hearClient(ctx, request)),
    route(clusterInfo, async () => {
      const { clusterId } = state.cluster;
      if (clusterId === undefined) throw new GfsError("Unavailable", "Cannot tell about the cluster: it has no id yet");
      const { chunkBytes, replicas, minReplicas, clientHeartbeatMs, draftMs } = limits;
      return engine.release({ clusterId, chunkBytes, replicas, minReplicas, clientHeartbeatMs, draftMs, insecure });
    }),
    route(createFile, async (request) =>
      mutateSealed(ctx, createFile, request, {
        why: `replace ${request.path}`,
        displacing: { kind: "create-file", ...request },
        decide: (now) => decideCreateFile(state, request, now),
      }),
    ),
    route(draftCreate, async (request) => createDraft(ctx, request)),
    route(chunkAllocate, async (request) => allocateChunk(ctx, request)),
    route(draftWritten, async (request) => {
      requireMutations(ctx);
      return engine.perform((now) => {
        liveDraft(state.drafts, request.draft, "write to").touchedMs = now.clusterMs;
        return decideDraftWritten(state, request);
      });
    }),
    route(draftCommit, async (request) => commitDraft(ctx, request)),
    route(draftAbort, async (request) => {
      requireMutations(ctx);
      traceMutation(ctx, "ROLLBACK", { draft: request.draft });
      const reply = await engine.perform(() => decideDraftAbort(state, request));
      releaseSpace(state.volumes, request.draft);
      return reply;
    }),
    route(appendTail, async (request) => giveTail(ctx, request)),
    route(appendAnswers, async (request) => takenRecords(ctx, request)),
    route(locate, async (request) => engine.read(() => locateFile(ctx, request))),
    route(fileLength, async (request) => lengthOf(ctx, request.inode)),
    route(replicaSuspect, async (request) => {
      inBackground(ctx, "check a replica", checkReplica(ctx, request));
      return engine.release({});
    }),
  ];
}

function hearClient(
  ctx: MasterContext,
  request: RequestOf<typeof clientHeartbeat>,
): Promise<ReplyOf<typeof clientHeartbeat>> {
  const { state, engine, soft } = ctx;
  const { clusterId } = state.cluster;
  if (clusterId === undefined)
    throw new GfsError("Unavailable", "Cannot answer a heartbeat: the cluster has no id yet");
  const { clusterMs } = engine.now();
  touchSessions(state.sessions, request.sessions, clusterMs);
  const endedDrafts = touchDrafts(state.drafts, request.drafts, clusterMs);
  const { client, label, location, rack } = request;
  soft.clients.delete(client);
  soft.clients.set(client, { client, label, location, rack, heardMs: nowMs(ctx) });
  const [oldest] = soft.clients.keys();
  if (soft.clients.size > clientsMax && oldest !== undefined) soft.clients.delete(oldest);
  return engine.release({ clusterId, endedDrafts });
}

/** How much of a put of known size each of `replicas` servers will get, at most. */
function wantedBytes(request: RequestOf<typeof draftCreate>, chunkBytes: number): number {
  return request.firstChunkBytes ?? Math.min(request.sizeBytes ?? 0, chunkBytes);
}

async function createDraft(
  ctx: MasterContext,
  request: RequestOf<typeof draftCreate>,
): Promise<ReplyOf<typeof draftCreate>> {
  requireMutations(ctx);
  const { state, engine } = ctx;
  return engine.mutate(draftCreate, request, (decideNow) => {
    const plan = planDraft(state, request);
    const what = plan.target.kind === "put" ? plan.target.path : `inode ${plan.target.inode}`;
    // Early: a put that can't fit is refused before a byte is sent. Every chunk may go elsewhere, so the sum is not asked of one server.
    if (request.sizeBytes !== undefined && request.sizeBytes > 0)
      requireSpace(ctx, { sizeBytes: request.sizeBytes, replicas: plan.minReplicas, what });
    let placed: PlacedChunk | undefined;
    if (request.firstChunkBytes !== undefined) {
      placed = placeChunk(ctx, {
        replicas: plan.replicas,
        minReplicas: plan.minReplicas,
        bytes: wantedBytes(request, plan.chunkBytes),
        from: request,
        excluded: new Set(),
        what: `a chunk of ${what}`,
      });
    }
    const reply = decideNow(() => decideDraftCreate(state, request, placed));
    if (placed !== undefined)
      reserveSpace(
        state.volumes,
        reply.draft,
        new Map(placed.members.map((member) => [member, wantedBytes(request, plan.chunkBytes)])),
      );
    traceMutation(ctx, "START", {
      draft: reply.draft,
      target: what,
      chunk: placed?.placement.handle,
      version: placed?.placement.version,
      session: request.id.session,
      sequence: request.id.sequence,
    });
    return reply;
  });
}

/** @throws GfsError("NoSpace") naming what is wanted and free */
function requireSpace(ctx: MasterContext, want: { sizeBytes: number; replicas: number; what: string }): void {
  const usable = usableNow(ctx, want.replicas);
  if (want.sizeBytes <= usable.bytes || usable.live < want.replicas) return;
  throw new GfsError(
    "NoSpace",
    `Cannot put ${want.what}: ${formatSize(want.sizeBytes)} wanted on ${want.replicas === 1 ? "a server" : `each of ${want.replicas} servers`}, ${formatSize(usable.bytes)} fit on ${counted(usable.live, "live server")}`,
    { details: { wantedBytes: want.sizeBytes, freeBytes: usable.bytes } },
  );
}

function usableNow(ctx: MasterContext, replicas: Limits["replicas"]): { bytes: number; live: number } {
  const live = allVolumes(ctx.state.volumes).filter(
    ({ liveness, mark }) => liveness === "live" && mark === "none",
  ).length;
  return { bytes: usableBytes(ctx.state.volumes, replicas), live };
}

async function allocateChunk(
  ctx: MasterContext,
  request: RequestOf<typeof chunkAllocate>,
): Promise<ReplyOf<typeof chunkAllocate>> {
  requireMutations(ctx);
  const { state, engine } = ctx;
  return engine.perform((now) => {
    const draft = liveDraft(state.drafts, request.draft, "write to");
    draft.touchedMs = now.clusterMs;
    const count = chunksOfDraft(draft);
    if (count >= protocol.commitChunksMax * 2)
      throw new GfsError("Busy", `Cannot give draft ${request.draft} more chunks: it has ${count} already`);
    const placed = placeChunk(ctx, {
      replicas: draft.replicas,
      minReplicas: replicasNeeded(state, draft.replicas),
      bytes: request.bytes,
      from: request,
      excluded: volumeIndexes(ctx, request.excluded),
      what: `a chunk of ${draft.target.kind === "put" ? draft.target.path : `inode ${draft.target.inode}`}`,
    });
    const decision = decideChunkAllocate(state, request, placed);
    reserveMore(state.volumes, request.draft, placed.members, request.bytes);
    const { handle, version } = placed.placement;
    traceMutation(ctx, "START", { draft: request.draft, chunk: handle, version, members: placed.members });
    return decision;
  });
}

async function commitDraft(
  ctx: MasterContext,
  request: RequestOf<typeof draftCommit>,
): Promise<ReplyOf<typeof draftCommit>> {
  requireMutations(ctx);
  const { state, engine } = ctx;
  const { draft, id } = request;
  let decided = false;
  const committed = await engine.mutate(draftCommit, request, async (decideNow) => {
    for (const { handle, version } of request.chunks) traceMutation(ctx, "PREPARE", { draft, chunk: handle, version });
    const reply = await withSealedTails(
      ctx,
      {
        why: `commit draft ${draft}`,
        displaced: () => displacedInode(state, { kind: "draft-commit", ...request }),
        decide: (now) => decideDraftCommit(state, request, now),
      },
      decideNow,
    );
    releaseSpace(state.volumes, draft);
    decided = true;
    if (reply.shortChunks > 0) wantScan(ctx.soft.scan);
    return reply;
  });
  // A retry commits nothing any more; and nothing is told before it is durable.
  if (decided)
    for (const { handle, version } of request.chunks)
      traceMutation(ctx, "COMMIT", { draft, chunk: handle, version, session: id.session, sequence: id.sequence });
  return committed;
}

/**
 * The exact length: of the sealed extents, and what the primary of the tail has committed; where it does not answer the tail is sealed.
 *
 * @throws GfsError("NotFound"), GfsError("Busy"), GfsError("MutationsStopped") where only a seal could tell, and none may begin
 */
async function lengthOf(ctx: MasterContext, inode: InodeId): Promise<ReplyOf<typeof fileLength>> {
  const { state, engine, limits } = ctx;
  let path = "";
  for (let attempt = 0; attempt < 3; attempt++) {
    const slot = slotOfId(state.inodes, inode);
    if (slot === 0 || !isFile(state.inodes, slot))
      throw new GfsError("NotFound", `Cannot tell the length of inode ${inode}: there is no such file any more`);
    path = describeInode(state.inodes, slot);
    const sealed = fileBytes(state.inodes, slot);
    const version = generation(state.inodes.generation.get(slot));
    const handle = tailOf(state, inode);
    if (handle === undefined) return engine.release({ bytes: sealed, generation: version });
    // Its members are being told that they have it: until then nobody can answer, and nothing was appended.
    const opening = ctx.soft.openings.get(inode);
    if (opening !== undefined) await opening.catch(() => undefined);
    const chunk = findChunk(state.chunks, handle);
    const primary = chunk?.members[0];
    if (chunk?.state === "open" && primary !== undefined) {
      const { version: chunkVersion } = chunk;
      try {
        const body = { handle, version: chunkVersion };
        const { committed } = await ctx.commands.send(primary, committedLength, body, limits.connectMs);
        // A seal that began meanwhile may have found more.
        if (tailOf(state, inode) === handle && findChunk(state.chunks, handle)?.version === chunkVersion)
          return await engine.release({ bytes: sealed + committed, generation: version });
        continue;
      } catch (error) {
        if (!(error instanceof GfsError) || error.code === "Bug") throw error;
        // One that refuses, or is dead, has no more to tell; another one may have yet to register.
        const mayAnswer = hasCode(error, "Unavailable", "Timeout") && !isGone(state.volumes.byIndex[primary]);
        if (!mayAnswer && tailOf(state, inode) === handle && !ctx.soft.seals.has(handle))
          requireNotStopped(ctx, `Cannot tell the length of ${path} before its tail is sealed`);
      }
    }
    await sealTail(ctx, inode, "its length is asked for and its primary does not answer", limits.controlMs * 0.6);
  }
  throw new GfsError("Busy", `Cannot tell the length of ${path}: its tail is changing`, { retryAfterMs: 100 });
}

/** The volume itself says what its replica is: a reader's word alone takes nothing away. */
async function checkReplica(ctx: MasterContext, suspect: RequestOf<typeof replicaSuspect>): Promise<void> {
  const volume = findVolume(ctx.state.volumes, suspect.volume);
  const chunk = findChunk(ctx.state.chunks, suspect.handle);
  if (volume === undefined || chunk?.state !== "sealed" || chunk.version !== suspect.version) return;
  // Its members are being told that it is sealed: until then they have none of this version.
  if (ctx.soft.seals.has(suspect.handle)) return;
  const body = { handle: suspect.handle, version: suspect.version };
  const { result } = await ctx.commands.send(volume.index, verify, body, ctx.limits.putStallMs);
  if (result === "healthy" || findChunk(ctx.state.chunks, suspect.handle)?.version !== suspect.version) return;
  noteWaitedFor(ctx.soft.repair.queues, suspect.handle, nowMs(ctx));
  markBad(ctx, {
    handle: suspect.handle,
    volume: volume.index,
    reason: result,
    why: "a reader complained, and it agrees",
  });
}
