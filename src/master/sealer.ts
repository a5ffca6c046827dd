/**
 * Drives the seal machines (DESIGN §4.3; core/seal.ts): logs what they ask for, sends their fences and finishes (seal-messages.ts), and feeds back what
 * became of it. Nothing is told to anyone before the record that it rests on is durable.
 */
import { unreachable } from "../base/assert.ts";
import { asGfsError, GfsError } from "../base/errors.ts";
import type { Timer } from "../io.ts";
import { sleep } from "../net/deadline.ts";
import { fetchTail } from "../wire/control/commands.ts";
import { type ChunkHandle, type SessionId, VolumeId } from "../wire/ids.ts";
import {
  chunkView,
  inBackground,
  isAccepted,
  type MasterContext,
  nowMs,
  stopMutations,
  traceMutation,
} from "./context.ts";
import { markBad } from "./bad-replica.ts";
import { failureOf } from "./commands.ts";
import { newAnswers } from "./core/append-tables.ts";
import { noteReplicaFact } from "./core/chunk-replicas.ts";
import { wantScan } from "./core/chunk-scan.ts";
import { chunkOf, findChunk, type VolumeIndex } from "./core/chunk-table.ts";
import { dropLease, type MustSeal, sealingChunks } from "./core/leases.ts";
import { candidatesOf, tryPlace, whyNoPlace } from "./core/placement.ts";
import { beginSeal, resumeSeal, stepSeal } from "./core/seal.ts";
import { nextSealTickMs } from "./core/seal-advance.ts";
import type { SealEffect, SealEvent, SealMachine, SealStep } from "./core/seal-types.ts";
import { findVolume, isGone } from "./core/volumes.ts";
import { originOf } from "./origin.ts";
import { fenceReplica, finishReplica } from "./seal-messages.ts";

/** One seal under way. */
export interface Sealing {
  machine: SealMachine;
  timer: Timer | undefined;
  /** Resolves once the record is durable, or nothing is left to seal. */
  readonly sealed: Promise<void>;
  readonly resolveSealed: () => void;
}

/** Begins to seal an open chunk; joins a seal under way. Nothing happens where it is sealed or gone. */
export function beginSealing(ctx: MasterContext, handle: ChunkHandle, reason: string): void {
  const chunk = findChunk(ctx.state.chunks, handle);
  if (ctx.soft.seals.has(handle) || chunk?.state !== "open") return;
  // A master that is behind must not fence what a newer one may have given out; what is behind is told as it is.
  if (ctx.soft.mutationsStopped !== undefined) return;
  ctx.world.events.emit("info", "seal.begin", { chunk: handle, version: chunk.version, reason });
  traceMutation(ctx, "ROLLBACK", { chunk: handle, version: chunk.version, reason });
  dropLease(ctx.soft.leases, handle);
  const subject = { handle, version: chunk.version, members: chunk.members, gone: goneMembers(ctx, chunk.members) };
  enter(ctx, beginSeal(subject, nowMs(ctx)));
}

export function sealAll(ctx: MasterContext, chunks: readonly MustSeal[]): void {
  for (const { handle, reason } of chunks) beginSealing(ctx, handle, reason);
}

/** After a start: seals that the log says were begun go on with their fences. */
export function resumeSeals(ctx: MasterContext): void {
  for (const handle of sealingChunks(ctx.state.chunks)) {
    const chunk = findChunk(ctx.state.chunks, handle);
    if (chunk === undefined || ctx.soft.seals.has(handle)) continue;
    const { version, members } = chunk;
    const subject = { handle, version, members, gone: goneMembers(ctx, members) };
    enter(ctx, resumeSeal(subject, { nowMs: nowMs(ctx), limits: ctx.limits }));
  }
}

/**
 * Waits until the chunk is sealed durably, at most `ms`.
 *
 * @throws GfsError("Busy") with what it waits for
 */
export async function awaitSealed(ctx: MasterContext, handle: ChunkHandle, ms: number): Promise<void> {
  const sealing = ctx.soft.seals.get(handle);
  if (sealing === undefined) return;
  const timeout = new AbortController();
  const late = sleep(ctx.world.clock, ms, timeout.signal).then(
    () => "late" as const,
    () => "sealed" as const,
  );
  const outcome = await Promise.race([sealing.sealed.then(() => "sealed" as const), late]);
  timeout.abort();
  if (outcome === "sealed") return;
  const { waitsFor } = ctx.soft.seals.get(handle)?.machine ?? sealing.machine;
  throw new GfsError("Busy", `Cannot go on before chunk ${handle} is sealed: it waits for ${waitsFor}`, {
    retryAfterMs: 200,
  });
}

/** Tells every machine that has this volume among its parties. */
export function tellSeals(ctx: MasterContext, event: SealEvent & { readonly volume: VolumeIndex }): void {
  for (const [handle, { machine }] of ctx.soft.seals)
    if (machine.parties.some(({ volume }) => volume === event.volume)) step(ctx, handle, event);
}

/** `gfs master confirm`. */
export function confirmSeals(ctx: MasterContext): void {
  for (const handle of ctx.soft.seals.keys()) step(ctx, handle, { kind: "confirmed" });
}

export function stopSeals(ctx: MasterContext): void {
  for (const { timer } of ctx.soft.seals.values()) timer?.cancel();
}

/** Nothing is left to seal: it is sealed, or all of its members are forgotten. */
export function abandonSeal(ctx: MasterContext, handle: ChunkHandle): void {
  const sealing = ctx.soft.seals.get(handle);
  sealing?.timer?.cancel();
  sealing?.resolveSealed();
  ctx.soft.seals.delete(handle);
  dropLease(ctx.soft.leases, handle);
  wantScan(ctx.soft.scan);
}

function goneMembers(ctx: MasterContext, members: readonly VolumeIndex[]): Set<VolumeIndex> {
  return new Set(members.filter((member) => isGone(ctx.state.volumes.byIndex[member])));
}

function enter(ctx: MasterContext, { machine, effects }: SealStep): void {
  const { promise: sealed, resolve: resolveSealed } = Promise.withResolvers<void>();
  ctx.soft.seals.set(machine.handle, { machine, timer: undefined, sealed, resolveSealed });
  act(ctx, machine.handle, effects);
}

function step(ctx: MasterContext, handle: ChunkHandle, event: SealEvent): void {
  const sealing = ctx.soft.seals.get(handle);
  if (sealing === undefined || ctx.stopping.aborted) return;
  const after = stepSeal(sealing.machine, event, { nowMs: nowMs(ctx), limits: ctx.limits });
  sealing.machine = after.machine;
  act(ctx, handle, after.effects);
}

function act(ctx: MasterContext, handle: ChunkHandle, effects: readonly SealEffect[]): void {
  for (const effect of effects) perform(ctx, effect);
  const sealing = ctx.soft.seals.get(handle);
  if (sealing === undefined) return;
  sealing.timer?.cancel();
  const now = nowMs(ctx);
  const at = nextSealTickMs(sealing.machine, { nowMs: now, limits: ctx.limits });
  sealing.timer =
    at === undefined
      ? undefined
      : ctx.world.clock.after(Math.max(1, at - now), () => step(ctx, handle, { kind: "tick" }));
}

function perform(ctx: MasterContext, effect: SealEffect): void {
  const { handle } = effect;
  switch (effect.kind) {
    case "log-seal-begun":
      inBackground(ctx, "begin a seal", logBegun(ctx, effect));
      return;
    case "log-chunk-sealed":
      inBackground(ctx, "log a seal", logSealed(ctx, effect));
      return;
    case "send-fence":
      traceMutation(ctx, "FENCE", { chunk: handle, version: effect.version, volume: effect.volume });
      inBackground(ctx, "fence a replica", sendFence(ctx, effect));
      return;
    case "send-finish":
      inBackground(ctx, "finish a replica", sendFinish(ctx, effect));
      return;
    case "send-fetch":
      inBackground(ctx, "copy a tail", sendFetch(ctx, effect));
      return;
    case "choose-spares":
      // Not within the step that asked.
      queueMicrotask(() => chooseSpares(ctx, effect));
      return;
    case "finished":
      noteReplicaFact(ctx.state.chunks, handle, { volume: effect.volume, health: "healthy" });
      return;
    case "bad":
      markBad(ctx, effect);
      return;
    case "behind":
      if (isAccepted(ctx, handle, effect.version)) queueMicrotask(() => step(ctx, handle, { kind: "confirmed" }));
      else stopMutations(ctx, { kind: "version", rank: 0, why: effect.why });
      return;
    case "done":
      abandonSeal(ctx, handle);
      return;
    default:
      unreachable(effect);
  }
}

async function logBegun(ctx: MasterContext, effect: Extract<SealEffect, { kind: "log-seal-begun" }>): Promise<void> {
  const { handle, version } = effect;
  const chunk = findChunk(ctx.state.chunks, handle);
  if (chunk === undefined || chunk.state === "sealed") {
    await Promise.resolve();
    step(ctx, handle, { kind: "released" });
    return;
  }
  await ctx.engine.commit([{ kind: "seal-begun", handle, version }]);
  step(ctx, handle, { kind: "begun-durable", version });
}

async function logSealed(ctx: MasterContext, effect: Extract<SealEffect, { kind: "log-chunk-sealed" }>): Promise<void> {
  const { handle, version, length, crc, members } = effect;
  const { wallMs } = ctx.engine.now();
  const { owner } = chunkOf(ctx.state.chunks, handle);
  const isOpen = (session: SessionId): boolean => ctx.state.sessions.byId.has(session);
  const appendTable =
    owner.kind === "inode"
      ? newAnswers(ctx.state.appendTables, owner.inode, { table: effect.appendTable, isOpen })
      : effect.appendTable;
  await ctx.engine.commit([
    { kind: "chunk-sealed", handle, version, length, crc, members: [...members], appendTable, modifiedMs: wallMs },
  ]);
  traceMutation(ctx, "SEAL", { chunk: handle, version, length, members });
  ctx.world.events.emit("info", "seal.done", { chunk: handle, version, length, members });
  ctx.soft.seals.get(handle)?.resolveSealed();
  step(ctx, handle, { kind: "sealed-durable", version });
  // Of an empty chunk nothing is kept: its replicas are garbage.
  if (findChunk(ctx.state.chunks, handle) === undefined) step(ctx, handle, { kind: "released" });
}

async function sendFence(ctx: MasterContext, effect: Extract<SealEffect, { kind: "send-fence" }>): Promise<void> {
  const { handle, version, volume } = effect;
  const outcome = await fenceReplica(ctx, effect);
  if (outcome.kind === "answered")
    step(ctx, handle, { kind: "fence-answered", volume, version, answer: outcome.answer });
  else step(ctx, handle, { kind: "fence-failed", volume, version, failure: outcome });
}

async function sendFinish(ctx: MasterContext, effect: Extract<SealEffect, { kind: "send-finish" }>): Promise<void> {
  const { handle, version, volume } = effect;
  const outcome = await finishReplica(ctx, effect);
  if (outcome.kind === "done") step(ctx, handle, { kind: "finish-done", volume, version });
  else step(ctx, handle, { kind: "finish-failed", volume, version, failure: outcome });
}

async function sendFetch(ctx: MasterContext, effect: Extract<SealEffect, { kind: "send-fetch" }>): Promise<void> {
  const { handle, version, volume, length, crc, appendTable } = effect;
  const sources = ctx.commands.addresses(effect.sources);
  const origin = originOf(ctx.state, handle);
  try {
    // How long it takes depends on the bytes; a server that dies meanwhile is noticed by its heartbeats.
    const timeoutMs = ctx.limits.fenceMs + ctx.limits.putStallMs;
    if (sources.length === 0) throw new GfsError("Unavailable", `Cannot copy chunk ${handle}: no source is known`);
    const request = { handle, version, length, crc, sources, origin, appendTable };
    await ctx.commands.send(volume, fetchTail, request, timeoutMs);
    step(ctx, handle, { kind: "fetch-done", volume, length, crc });
  } catch (error) {
    const source = sourceNamedIn(ctx, error);
    step(ctx, handle, { kind: "fetch-failed", volume, length, crc, failure: failureOf(error), source });
  }
}

/** Of a copy that failed: the source that said why of its own replica. */
function sourceNamedIn({ state }: MasterContext, error: unknown): VolumeIndex | undefined {
  const named = VolumeId.safeParse(asGfsError(error).details["source"]);
  return named.success ? findVolume(state.volumes, named.data)?.index : undefined;
}

function chooseSpares(ctx: MasterContext, effect: Extract<SealEffect, { kind: "choose-spares" }>): void {
  const { handle, count, excluded } = effect;
  const { volumes } = chunkView(ctx);
  const request = {
    replicas: count,
    minReplicas: 1,
    bytes: ctx.limits.chunkBytes,
    use: "clone" as const,
    from: {},
    excluded: new Set<VolumeIndex>(),
    holders: excluded,
    weights: ctx.limits,
    what: `a spare replica of chunk ${handle}`,
  };
  const candidates = candidatesOf(volumes);
  const placed = tryPlace(candidates, request);
  if (placed !== undefined) step(ctx, handle, { kind: "spares-chosen", volumes: placed.chosen });
  else step(ctx, handle, { kind: "spares-chosen", volumes: [], why: whyNoPlace(candidates, request).message });
}
