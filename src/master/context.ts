/** What all parts of the running master share, and its soft state: never logged, gone with the process (DESIGN §4.1). */
import { AssertionError } from "../base/assert.ts";
import { asGfsError, GfsError } from "../base/errors.ts";
import type { EventFields, World } from "../io.ts";
import type { Limits } from "../limits.ts";
import { abortError, sleep } from "../net/deadline.ts";
import type { Location } from "../wire/control/common.ts";
import type { ChunkHandle, ChunkVersion, InodeId } from "../wire/ids.ts";
import type { FoundBad, FreshCopies } from "./bad-replica.ts";
import type { Commands } from "./commands.ts";
import { type ChunkScan, type ChunkView, createChunkScan } from "./core/chunk-scan.ts";
import type { VolumeIndex } from "./core/chunk-table.ts";
import { type Balance, createBalance } from "./core/balance.ts";
import { type Behind, noteProof, type Proof, whyBehind } from "./core/behind.ts";
import { createDrains, type Drains } from "./core/drain.ts";
import { createGarbage, type Garbage } from "./core/garbage.ts";
import { createLeaseTable, type LeaseTable } from "./core/leases.ts";
import { createMassFailure, type MassFailure } from "./core/mass-failure.ts";
import { createRepair, type Repair } from "./core/repair.ts";
import { createRepairRate, type RepairRate } from "./core/repair-estimate.ts";
import { type AbsenceScan, createAbsenceScan } from "./core/reports.ts";
import { createSafeMode, type SafeMode } from "./core/safe-mode.ts";
import type { MasterState } from "./core/state.ts";
import type { Engine } from "./engine.ts";
import type { Sealing } from "./sealer.ts";
import type { ThinTails } from "./thin-tails.ts";

export interface ClientSeen {
  readonly client: string;
  readonly label: string;
  readonly location: Location | undefined;
  readonly rack: string | undefined;
  /** Monotonic. */
  readonly heardMs: number;
}

/** Of the loop that carries out repair (clones.ts). */
export interface Repairing {
  planning: boolean;
  /** Something changed since the plan was begun. */
  again: boolean;
  /** Chunks whose replicas are being verified. */
  readonly verifying: Set<ChunkHandle>;
}

export interface SoftState {
  readonly startedMs: number;
  readonly leases: LeaseTable;
  readonly safeMode: SafeMode;
  readonly scan: ChunkScan;
  readonly repair: Repair;
  readonly repairRate: RepairRate;
  readonly thinTails: ThinTails;
  readonly repairing: Repairing;
  readonly massFailure: MassFailure;
  readonly garbage: Garbage;
  readonly drains: Drains;
  readonly balance: Balance;
  readonly absences: AbsenceScan;
  /** Bad replicas, by volume, of chunks that are still being written. */
  readonly badEarly: Map<VolumeIndex, Map<ChunkHandle, FoundBad>>;
  readonly copies: FreshCopies;
  readonly clients: Map<string, ClientSeen>;
  readonly seals: Map<ChunkHandle, Sealing>;
  /** Tails being opened: concurrent appenders share one. */
  readonly openings: Map<InodeId, Promise<void>>;
  /** What proves that our log is an old copy, and no operator has accepted. */
  readonly behind: Behind;
  /** Why no mutation is taken until `gfs master confirm`: all of `behind`, for people; undefined: they are. */
  mutationsStopped: string | undefined;
  /** No mutation is taken before a volume that the log knows has registered, or all of them count as dead (monotonic): what they know may prove that our log is an old copy. */
  volumesAwaitedUntilMs: number | undefined;
  /** What volumes proved that an old copy of our log does not know: raised above by a confirmation. */
  highestHandle: number;
  highestEpoch: number;
  /** The last entry of the log that a copy on a volume has, beyond ours; and the one that an operator has accepted as lost. */
  highestEntry: number;
  acceptedEntry: number;
  /** What each volume keeps of our metadata, as it told at its registration and we have changed since. */
  readonly heldMetadata: Map<VolumeIndex, { readonly checkpoint: number; readonly last: number }>;
  /** Of chunks that our log knows: what volumes hold or promised for a log that is lost. Accepted once a confirmation lets mutations go on. */
  readonly higherVersions: Map<ChunkHandle, ChunkVersion>;
  /** Since mutations were stopped sessions are opened from here on: far above all that the lost end of the log can have opened. */
  sessionFloor: number;
  /** Replicas that each volume holds, as of the last round over the chunk table. */
  replicaTally: ReadonlyMap<VolumeIndex, number>;
  /** By what they are about. */
  readonly warnings: Map<string, string>;
}

export interface MasterContext {
  readonly world: World;
  readonly limits: Limits;
  readonly engine: Engine;
  readonly state: MasterState;
  readonly commands: Commands;
  readonly soft: SoftState;
  /** Aborted when the master stops. */
  readonly stopping: AbortSignal;
}

export function newSoftState(nowMs: number): SoftState {
  return {
    startedMs: nowMs,
    leases: createLeaseTable(),
    safeMode: createSafeMode(nowMs),
    scan: createChunkScan(),
    repair: createRepair(),
    repairRate: createRepairRate(),
    thinTails: new Map(),
    repairing: { planning: false, again: false, verifying: new Set() },
    massFailure: createMassFailure(),
    garbage: createGarbage(),
    drains: createDrains(),
    balance: createBalance(),
    absences: createAbsenceScan(),
    badEarly: new Map(),
    copies: { sinceMs: new Map(), verifying: 0 },
    clients: new Map(),
    seals: new Map(),
    openings: new Map(),
    behind: new Map(),
    mutationsStopped: undefined,
    volumesAwaitedUntilMs: undefined,
    highestHandle: 0,
    highestEpoch: 0,
    highestEntry: 0,
    acceptedEntry: 0,
    heldMetadata: new Map(),
    higherVersions: new Map(),
    sessionFloor: 0,
    replicaTally: new Map(),
    warnings: new Map(),
  };
}

export function nowMs(ctx: MasterContext): number {
  return ctx.world.clock.monotonicMs();
}

export function chunkView(ctx: MasterContext): ChunkView {
  const { chunks, volumes } = ctx.state;
  return { chunks, volumes, safeMode: ctx.soft.safeMode.active };
}

/** A data mutation, as the simulator's checkers and people at debug level see it. */
export function traceMutation(
  ctx: MasterContext,
  name: "START" | "PREPARE" | "COMMIT" | "ROLLBACK" | "FENCE" | "SEAL",
  fields: EventFields,
): void {
  if (ctx.world.events.enabled("debug")) ctx.world.events.emit("debug", `mutation.${name}`, fields);
}

/** Far more sessions than a lost end of the log can have opened: nobody tells what they were, and volumes and clients may still know some. */
const sessionGap = 1_000_000_000;

/** Something proves that our log is an old copy: no mutation and no deletion until an operator confirms (DESIGN §4.1). What proves more is told as well. */
export function stopMutations(ctx: MasterContext, proof: Proof): void {
  const { soft } = ctx;
  if (!noteProof(soft.behind, proof)) return;
  const before = soft.mutationsStopped;
  soft.mutationsStopped = whyBehind(soft.behind);
  if (soft.garbage.stopped === before) soft.garbage.stopped = soft.mutationsStopped;
  if (before === undefined) soft.sessionFloor = ctx.state.sessions.next + sessionGap;
  ctx.world.events.emit("error", "master.behind", { reason: proof.why });
}

/** An operator accepted that the chunk is at this version on a volume: it proves nothing any more. */
export function isAccepted({ soft }: MasterContext, handle: ChunkHandle, version: ChunkVersion): boolean {
  return soft.mutationsStopped === undefined && version <= (soft.higherVersions.get(handle) ?? 0);
}

/** @throws GfsError("MutationsStopped"), GfsError("Unavailable") where no volume has told yet what it knows of the log */
export function requireMutations(ctx: MasterContext): void {
  requireNotStopped(ctx);
  if (!awaitsVolumes(ctx)) return;
  throw new GfsError(
    "Unavailable",
    "Cannot change anything yet: no chunkserver has registered since the master's start",
    {
      retryAfterMs: ctx.limits.heartbeatMs / 10,
    },
  );
}

/** No volume has told yet what it knows of the log. */
export function awaitsVolumes(ctx: MasterContext): boolean {
  const untilMs = ctx.soft.volumesAwaitedUntilMs;
  return untilMs !== undefined && nowMs(ctx) < untilMs;
}

/** @throws GfsError("MutationsStopped"), saying `what` can't be done */
export function requireNotStopped(ctx: MasterContext, what = "Cannot change anything"): void {
  const why = ctx.soft.mutationsStopped;
  if (why === undefined) return;
  throw new GfsError(
    "MutationsStopped",
    `${what}: ${why}; if this copy of the master's data is the right one, run: gfs master confirm`,
  );
}

/** Runs something nobody waits for. A broken invariant stops the master; anything else is told, and what it was for is tried again by its loop. */
export function inBackground(ctx: MasterContext, what: string, task: Promise<unknown>): void {
  task.catch((error: unknown) => {
    if (ctx.stopping.aborted || ctx.engine.failure !== undefined) return;
    failOnBrokenInvariant(ctx, error);
    const { code, message } = asGfsError(error);
    ctx.world.events.emit(code === "Bug" ? "error" : "warn", "master.task-failed", { what, code, reason: message });
  });
}

/** A state that can't be must not spread; a request or message that can't be handled harms nobody else. */
export function failOnBrokenInvariant(ctx: MasterContext, error: unknown): void {
  if (error instanceof AssertionError) ctx.engine.fail(asGfsError(error));
}

/** Lets everything else have its turn. */
export function nextTurn(ctx: MasterContext): Promise<void> {
  return new Promise((resolve) => {
    ctx.world.clock.after(0, resolve);
  });
}

/**
 * Runs `slice` again and again, each time for at most about `sliceMs`, letting others have their turn between, until it says that nothing is left.
 *
 * @throws GfsError when the master stops
 */
export async function inSlices(ctx: MasterContext, slice: () => "more" | "done"): Promise<void> {
  for (;;) {
    const endMs = nowMs(ctx) + ctx.limits.sliceMs;
    for (;;) {
      if (slice() === "done") return;
      if (nowMs(ctx) >= endMs) break;
    }
    await nextTurn(ctx);
    if (ctx.stopping.aborted) throw abortError("go on", ctx.stopping);
  }
}

/** Repeats `work`, `everyMs` after it ended, until the master stops. */
export function repeat(ctx: MasterContext, everyMs: number, what: string, work: () => Promise<void> | void): void {
  const loop = async (): Promise<void> => {
    for (;;) {
      await sleep(ctx.world.clock, everyMs, ctx.stopping);
      const round = Promise.resolve().then(work);
      inBackground(ctx, what, round);
      await round.catch(() => undefined);
    }
  };
  inBackground(ctx, what, loop());
}
