/** Where the pieces of a file can be read (DESIGN §4.4). */
import { GfsError } from "../base/errors.ts";
import { protocol } from "../limits.ts";
import type { ReplicaAddress, Whereabouts } from "../wire/control/common.ts";
import type { locate, LocatedExtent } from "../wire/control/files.ts";
import type { stat } from "../wire/control/namespace.ts";
import { chunkVersion, generation, type InodeId } from "../wire/ids.ts";
import { chunkView, type MasterContext, nowMs } from "./context.ts";
import { isLostForGood } from "./core/chunk-health.ts";
import { isHolder, type ReplicaHealth, replicasAt } from "./core/chunk-replicas.ts";
import { awaitsTelling, whyShort } from "./core/chunk-scan.ts";
import { type Chunk, chunkOf, findChunk, slotOf, type VolumeIndex } from "./core/chunk-table.ts";
import type { ReplyOf, RequestOf } from "./core/decision.ts";
import { extentAt, extentCount, fileBytes, findExtent } from "./core/extents.ts";
import { heardCommitted } from "./core/leases.ts";
import { idOfSlot, isFile, slotOfId } from "./core/inodes.ts";
import { lookup, pathOf } from "./core/namespace.ts";
import { candidateOf, distanceBetween, rankForReader } from "./core/placement.ts";
import { noteWaitedFor } from "./core/repair-queues.ts";
import { tailOf } from "./core/tails.ts";
import { addressOf, isForgotten, isGone, isUsable, unknownAddress, volumeAt } from "./core/volumes.ts";

type StatExtent = ReplyOf<typeof stat>["extents"][number];

/** @throws GfsError("NotFound"), GfsError("IsDirectory") */
export function locateFile(ctx: MasterContext, request: RequestOf<typeof locate>): ReplyOf<typeof locate> {
  const { inodes } = ctx.state;
  const slot = targetSlot(ctx, request.target);
  const inode = idOfSlot(inodes, slot);
  const sealedBytes = fileBytes(inodes, slot);
  const end = request.offset + request.length;
  const extents: LocatedExtent[] = [];
  const count = extentCount(inodes, slot);
  let index = request.length === 0 ? count : findExtent(inodes, slot, request.offset);
  for (; index < count && extents.length < protocol.locateExtentsMax; index++) {
    const extent = extentAt(inodes, slot, index);
    if (extent.fileOffset >= end) break;
    const chunk = chunkOf(ctx.state.chunks, extent.handle);
    const replicas = readableReplicas(ctx, chunk, request);
    if (replicas.length < chunk.goal) noteWaitedFor(ctx.soft.repair.queues, chunk.handle, nowMs(ctx));
    const lost = replicas.length > 0 ? undefined : lostForGood(ctx, chunk);
    const { handle, fileOffset, offset, length } = extent;
    extents.push({
      fileOffset,
      handle,
      version: chunk.version,
      offset,
      length,
      state: "sealed",
      replicas,
      ...(lost === undefined ? {} : { lost }),
    });
  }
  const full = extents.length === protocol.locateExtentsMax;
  const more = index < count && (extentAt(inodes, slot, index).fileOffset < end || full);
  // The tail may hold bytes that only its primary knows of.
  if (!more && end >= sealedBytes) {
    const tail = locateTail(ctx, inode, request);
    if (tail !== undefined && !full) extents.push(tail);
    if (tail !== undefined && full) return reply({ more: true });
  }
  return reply({ more });

  function reply({ more: others }: { more: boolean }): ReplyOf<typeof locate> {
    return {
      inode,
      generation: generation(inodes.generation.get(slot)),
      sealedBytes,
      extents,
      more: others,
      reportsPending: reportsPending(ctx),
    };
  }
}

/** What became of the replicas of a chunk that nobody needs to wait for. */
function lostForGood(ctx: MasterContext, { handle }: Chunk): string | undefined {
  const view = chunkView(ctx);
  const at = slotOf(view.chunks, handle);
  return isLostForGood(view, at) ? whyShort(view, at).slice(0, 512).toWellFormed() : undefined;
}

/** Whether a replica that nobody told of yet may still be reported. */
export function reportsPending(ctx: MasterContext): boolean {
  return awaitsTelling(chunkView(ctx));
}

function targetSlot(ctx: MasterContext, target: RequestOf<typeof locate>["target"]): number {
  const { inodes } = ctx.state;
  if (target.kind === "path") {
    const slot = lookup(inodes, target.path, "read");
    if (isFile(inodes, slot)) return slot;
    throw new GfsError("IsDirectory", `Cannot read ${target.path}: it is a directory`);
  }
  // A removed file's inode lives on for readers in progress.
  const slot = slotOfId(inodes, target.inode);
  if (slot === 0 || !isFile(inodes, slot))
    throw new GfsError("NotFound", `Cannot read inode ${target.inode}: there is no such file any more`);
  return slot;
}

/** The open or sealing tail, behind the sealed extents. */
function locateTail(ctx: MasterContext, inode: InodeId, from: Whereabouts): LocatedExtent | undefined {
  const handle = tailOf(ctx.state, inode);
  const chunk = handle === undefined ? undefined : findChunk(ctx.state.chunks, handle);
  if (chunk === undefined || (chunk.state !== "open" && chunk.state !== "sealing")) return undefined;
  const slot = slotOfId(ctx.state.inodes, inode);
  return {
    fileOffset: fileBytes(ctx.state.inodes, slot),
    handle: chunk.handle,
    version: chunk.version,
    offset: 0,
    length: chunk.state === "open" ? heardCommitted(ctx.soft.leases, chunk.handle) : 0,
    state: chunk.state,
    replicas: membersFor(ctx, chunk, from),
  };
}

/** Holders of a sealed chunk that may answer, nearest first. */
export function readableReplicas(ctx: MasterContext, chunk: Chunk, from: Whereabouts): ReplicaAddress[] {
  const { chunks, volumes } = ctx.state;
  const holders = replicasAt(chunks, slotOf(chunks, chunk.handle)).filter(
    ({ volume, health }) => isHolder(health) && isUsable(volumes.byIndex[volume]),
  );
  const candidates = holders.map(({ volume }) => candidateOf(volumeAt(volumes, volume)));
  return rankForReader(candidates, from, chunk.handle).flatMap(({ volume }) => replicaAddress(ctx, volume, from) ?? []);
}

/** Of a chunk that isn't sealed: the primary first, then as the chain goes. */
function membersFor(ctx: MasterContext, chunk: Chunk, from: Whereabouts): ReplicaAddress[] {
  return chunk.members.flatMap((volume) =>
    isUsable(ctx.state.volumes.byIndex[volume]) ? (replicaAddress(ctx, volume, from) ?? []) : [],
  );
}

function replicaAddress(ctx: MasterContext, index: VolumeIndex, from: Whereabouts): ReplicaAddress | undefined {
  const volume = ctx.state.volumes.byIndex[index];
  const address = volume === undefined ? undefined : addressOf(volume);
  if (address === undefined) return undefined;
  const distance = distanceBetween(from.location, volume?.registration?.location);
  return distance === undefined ? address : { ...address, distance };
}

/** For `stat`: up to `locateExtentsMax` extents, from the one on that holds byte `offset`, with every replica that is known, good or bad, nearest first. */
export function statExtents(
  ctx: MasterContext,
  slot: number,
  from: Whereabouts & { offset?: number | undefined },
): StatExtent[] {
  const { inodes, chunks, volumes } = ctx.state;
  const extents: StatExtent[] = [];
  const count = extentCount(inodes, slot);
  let index = from.offset === undefined ? 0 : findExtent(inodes, slot, from.offset);
  for (; index < count && extents.length < protocol.locateExtentsMax; index++) {
    const { handle, fileOffset, offset, length } = extentAt(inodes, slot, index);
    const chunk = chunkOf(chunks, handle);
    const known = replicasAt(chunks, slotOf(chunks, handle)).filter(({ volume }) => !isForgotten(volumes, volume));
    const replicas = known.map(({ volume, health }) => ({
      ...anyReplicaAddress(ctx, volume, from),
      health: healthFor(ctx, volume, health),
    }));
    replicas.sort(
      (a, b) =>
        Number(a.health === "dead") - Number(b.health === "dead") ||
        (a.distance ?? Number.MAX_VALUE) - (b.distance ?? Number.MAX_VALUE),
    );
    const { version, goal: wanted } = chunk;
    extents.push({ fileOffset, handle, version, offset, length, state: "sealed", wanted, replicas });
  }
  const tail = extents.length < protocol.locateExtentsMax ? locateTail(ctx, idOfSlot(inodes, slot), from) : undefined;
  if (tail !== undefined) {
    const replicas = tail.replicas.map((replica) => ({ ...replica, health: "healthy" as const }));
    const wanted = chunkOf(chunks, tail.handle).goal;
    extents.push({ ...tail, version: chunkVersion(tail.version), wanted, replicas });
  }
  return extents;
}

/** Of a server that has not registered since the master's start its name is known, and no address. */
function anyReplicaAddress(ctx: MasterContext, index: VolumeIndex, from: Whereabouts): ReplicaAddress {
  const { volume, label } = volumeAt(ctx.state.volumes, index);
  return replicaAddress(ctx, index, from) ?? { volume, label, control: unknownAddress, data: unknownAddress };
}

/** What is said of a replica, the same wherever one is shown. */
export function healthFor(
  ctx: MasterContext,
  index: VolumeIndex,
  health: ReplicaHealth,
): StatExtent["replicas"][number]["health"] {
  const volume = ctx.state.volumes.byIndex[index];
  if (isGone(volume)) return "dead";
  if (!isUsable(volume)) return "unreported";
  // Named by the log: it acknowledged this chunk to us, or to an earlier start of the master that may be long ago.
  if (health === "named") return ctx.soft.safeMode.active ? "unreported" : "healthy";
  return health === "unfinished" ? "unreported" : health;
}

/** Path of a chunk's file, for people. */
export function pathOfChunk(ctx: MasterContext, inode: InodeId | undefined): string {
  const slot = inode === undefined ? 0 : slotOfId(ctx.state.inodes, inode);
  if (slot === 0) return "(removed)";
  const { place, path: whole } = pathOf(ctx.state.inodes, slot);
  const path = whole.slice(0, protocol.pathBytesMax).toWellFormed();
  return place === "tree" ? path : `${path} (${place === "trash" ? "in the trash" : "removed"})`;
}
