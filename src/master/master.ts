/** The master's role: everything of DESIGN §4.1, started and stopped as one. */
import { defined } from "../base/assert.ts";
import { GfsError } from "../base/errors.ts";
import type { Disk, Listener, World } from "../io.ts";
import { assertLimits, type Limits } from "../limits.ts";
import type { Log } from "../log/log-types.ts";
import { diskFailed } from "../log/survey.ts";
import { ControlClient } from "../net/control-client.ts";
import { type Route, serveControl } from "../net/control-server.ts";
import { brakesTick } from "./brakes.ts";
import { Checkpointer } from "./checkpointer.ts";
import { startRepairs } from "./clones.ts";
import { ClusterClock } from "./cluster-clock.ts";
import { Commands } from "./commands.ts";
import { failOnBrokenInvariant, type MasterContext, newSoftState, nowMs, repeat, stopMutations } from "./context.ts";
import { beginServing } from "./core/chunk-apply.ts";
import { expectVolumes } from "./core/volumes.ts";
import { type DataDirectory, markStarted, markWhole, openDataDirectories } from "./data-directory.ts";
import { tickBalance } from "./balancer.ts";
import { endForgottenTails, tickDrains } from "./drains.ts";
import { Engine } from "./engine.ts";
import { KeptEvents } from "./kept-events.ts";
import { requireLoopback } from "./bind-rule.ts";
import { MetadataCopies } from "./metadata/metadata-copies.ts";
import { Backups } from "./metadata/backups.ts";
import { directoryRecords, openOperationLog, startRecords } from "./operation-log.ts";
import { expire, reap, startDeletions } from "./reaper.ts";
import { scanChunks } from "./repairer.ts";
import { resolveAbsences } from "./reports.ts";
import { attributeRoutes } from "./routes-attributes.ts";
import { chunkserverRoutes } from "./routes-chunkservers.ts";
import { eventRoutes } from "./routes-events.ts";
import { fileRoutes } from "./routes-files.ts";
import { metadataRoutes } from "./routes-metadata.ts";
import { namespaceRoutes } from "./routes-namespace.ts";
import { drainRoutes } from "./routes-drains.ts";
import { operatorRoutes } from "./routes-operator.ts";
import { resumeSeals, stopSeals } from "./sealer.ts";
import { clusterIdOf, epochOf, type StatusSources } from "./status.ts";
import { comparePaces } from "./slow-servers.ts";
import { livenessTick } from "./volume-changes.ts";

export interface MasterOptions {
  /** At least one; every record is on all of them before anybody sees it. */
  readonly dataDirs: readonly string[];
  /** "host:port" to bind; port 0: any. */
  readonly listen: string;
  /** Host that others dial, where it is not the one bound. */
  readonly advertise?: string | undefined;
  readonly limits: Limits;
  readonly secret?: Uint8Array | undefined;
  /** Bind beyond loopback without a secret. */
  readonly insecure?: boolean | undefined;
  /** Of gfs, for status. */
  readonly version: string;
  /** Data directories that the log names and that are lost for good. */
  readonly lostDataDirs?: readonly string[] | undefined;
}

export interface Master {
  /** What others dial: "host:port". */
  readonly address: string;
  /** Rejects, once it has stopped, with what made it stop by itself: a failed disk, or a bug. Never resolves. */
  readonly failed: Promise<never>;
  /** Writes a checkpoint of everything logged so far. @throws GfsError */
  checkpoint(): Promise<void>;
  /** Idempotent. Everything logged is durable, and the data directories are free, when it resolves. */
  stop(): Promise<void>;
}

/** How often each loop looks, in milliseconds; those that follow heartbeats are a share of their interval. */
const loops = { expiryMs: 1_000, scanMs: 500, repairMs: 250, deletionMs: 500, checkpointMs: 1_000, copyMs: 1_000 };
/** Rounds over the chunk table keep what status says fresh; they take at most a twentieth of the time. */
const scanPause = { minMs: 1_000, perRound: 20, maxMs: 60_000 };

/**
 * @throws GfsError("Usage") for an address that can't be bound or must not be without a secret, ("Locked"), ("WrongCluster"), ("FormatUnsupported"), ("Corrupt"),
 * ("DiskFailed"): what `openDataDirectories` and `openOperationLog` throw
 */
export async function startMaster(world: World, options: MasterOptions): Promise<Master> {
  assertLimits(options.limits);
  const insecureBind = requireLoopback(options.listen, options);
  if (options.dataDirs.length === 0) throw new GfsError("Usage", "Cannot start a master: no data directory is given");
  const directories = await openDataDirectories(world, options.dataDirs);
  const kept = new KeptEvents(
    world,
    directories.map(({ path }) => path),
    options.limits,
  );
  const running = new RunningMaster({ ...world, events: kept.events }, options, { directories, insecureBind, kept });
  try {
    await running.start();
  } catch (error) {
    await running.stop();
    throw error;
  }
  return running;
}

/** A refusal tells of the state too ("it exists"): it leaves as answers do, when all that it can rest on is durable. */
function releasingRefusals(ctx: MasterContext, served: Route): Route {
  return {
    ...served,
    answer: async (body, caller) => {
      try {
        return await served.answer(body, caller);
      } catch (error) {
        await ctx.engine.release(undefined);
        throw error;
      }
    },
  };
}

class RunningMaster implements Master {
  readonly failed: Promise<never>;
  readonly #world: World;
  readonly #options: MasterOptions;
  readonly #directories: readonly DataDirectory[];
  readonly #insecureBind: boolean;
  readonly #kept: KeptEvents;
  readonly #abort = new AbortController();
  readonly #rejectFailed: (error: GfsError) => void;
  #log: Log | undefined;
  #engine: Engine | undefined;
  #ctx: MasterContext | undefined;
  #control: ControlClient | undefined;
  #checkpointer: Checkpointer | undefined;
  #backups: Backups | undefined;
  #listener: Listener | undefined;
  #stopping: Promise<void> | undefined;
  #fatal: GfsError | undefined;

  constructor(
    world: World,
    options: MasterOptions,
    {
      directories,
      insecureBind,
      kept,
    }: {
      readonly directories: readonly DataDirectory[];
      readonly insecureBind: boolean;
      readonly kept: KeptEvents;
    },
  ) {
    this.#world = world;
    this.#options = options;
    this.#directories = directories;
    this.#insecureBind = insecureBind;
    this.#kept = kept;
    const { promise, reject } = Promise.withResolvers<never>();
    this.failed = promise;
    // Who starts a master need not wait for its end.
    promise.catch(() => undefined);
    this.#rejectFailed = reject;
  }

  get address(): string {
    const { address } = defined(this.#listener, "the master's listener");
    const { advertise } = this.#options;
    return advertise === undefined ? address : `${advertise}:${address.slice(address.lastIndexOf(":") + 1)}`;
  }

  async start(): Promise<void> {
    const { limits, secret } = this.#options;
    const world = this.#world;
    const opened = await openOperationLog(world, {
      directories: this.#directories,
      limits,
      lost: this.#options.lostDataDirs ?? [],
      onDurable: (position) => this.#engine?.durable(position),
      onDirectoryFailed: (logPath) => this.#directoryFailed(logPath),
      onFailed: (error) => this.#engine?.fail(error),
    });
    const { log, state, time } = opened;
    this.#log = log;
    for (const directory of opened.filled)
      if (this.#liveDirectories().includes(directory)) await markFilled(world.disk, directory);
    const clock = new ClusterClock(world.clock);
    clock.resume(time);
    const engine = new Engine({ state, log, clock, events: world.events, onFatal: (fatal) => this.#die(fatal) });
    this.#engine = engine;

    const control = new ControlClient(world, { role: "master", secret, clusterId: () => state.cluster.clusterId });
    this.#control = control;
    const commands = new Commands(control, engine, (why) => {
      if (this.#ctx !== undefined) stopMutations(this.#ctx, { kind: "start", rank: 0, why });
    });
    const soft = newSoftState(world.clock.monotonicMs());
    const ctx: MasterContext = { world, limits, engine, state, commands, soft, stopping: this.#abort.signal };
    this.#ctx = ctx;
    this.#kept.attach(ctx);
    beginServing(state.chunks);
    expectVolumes(state.volumes, nowMs(ctx));
    // Nobody may see this start before it is durable: a crash right after would give the same number out again.
    await engine.commit(startRecords(world, state, this.#liveDirectories())).catch((error: unknown) => {
      throw engine.failure ?? error;
    });
    await this.#startRestored(ctx);
    if (state.volumes.byId.size > 0)
      soft.volumesAwaitedUntilMs = nowMs(ctx) + limits.deadHeartbeats * limits.heartbeatMs;
    for (const { logPath } of this.#directories)
      if (!log.directories.includes(logPath)) this.#warnOfFailed(ctx, logPath);

    const checkpointer = new Checkpointer({
      world,
      log,
      limits,
      directories: () => this.#liveDirectories(),
      position: opened.checkpoint,
      pinned: () => backups.pinned,
    });
    const sources = { log, checkpoint: () => checkpointer.position, directories: () => this.#liveDirectories() };
    const backups = new Backups(world, sources);
    this.#backups = backups;
    const copies = new MetadataCopies(ctx, sources);
    this.#checkpointer = checkpointer;
    this.#listener = await this.#serve(ctx, { log, checkpointer, copies, backups });
    resumeSeals(ctx);
    this.#startLoops(ctx, checkpointer, backups);
    repeat(ctx, Math.min(loops.copyMs, limits.metadataCopyMs), "copy the metadata", () => copies.tick());
    world.events.emit("info", "master.ready", {
      address: this.address,
      epoch: epochOf(ctx).number,
      position: log.durablePosition,
      files: state.inodes.index.size,
    });
  }

  /** The log tells from here on that it was rebuilt: the identities need not. */
  async #startRestored(ctx: MasterContext): Promise<void> {
    for (const directory of this.#directories)
      if (directory.restored !== undefined)
        await markStarted(ctx.world.disk, directory).catch((error: unknown) => {
          throw diskFailed(`mark ${directory.path} as started`, error);
        });
    const { restored } = ctx.state.cluster;
    if (restored === undefined) return;
    const { source, position } = restored;
    const why = `it was rebuilt from ${source}, up to entry ${position} of the log: what came later is lost`;
    stopMutations(ctx, { kind: "rebuilt", rank: position, why });
  }

  #serve(
    ctx: MasterContext,
    {
      log,
      checkpointer,
      copies,
      backups,
    }: Pick<StatusSources, "log" | "checkpointer" | "copies"> & {
      readonly backups: Backups;
    },
  ): Promise<Listener> {
    const { secret, listen, version } = this.#options;
    const insecureBind = this.#insecureBind;
    const sources: StatusSources = {
      version,
      secure: secret !== undefined,
      insecureBind,
      log,
      checkpointer,
      copies,
      directories: this.#directories,
    };
    return serveControl(this.#world, {
      address: listen,
      role: "master",
      secret,
      identity: () => {
        const durable = log.durablePosition === log.lastPosition;
        return { clusterId: clusterIdOf(ctx), ...(durable ? { epoch: epochOf(ctx) } : {}) };
      },
      routes: [
        ...fileRoutes(ctx, { insecure: insecureBind }),
        ...namespaceRoutes(ctx, sources),
        ...attributeRoutes(ctx),
        ...operatorRoutes(ctx),
        ...drainRoutes(ctx),
        ...chunkserverRoutes(ctx),
        ...eventRoutes(ctx, this.#kept),
        ...metadataRoutes(ctx, backups),
      ].map((each) => releasingRefusals(ctx, each)),
      healthz: () => ({
        ok: ctx.engine.failure === undefined,
        role: "master",
        clusterId: clusterIdOf(ctx),
        epoch: epochOf(ctx).number,
        safeMode: ctx.soft.safeMode.active,
        mutationsStopped: ctx.soft.mutationsStopped !== undefined,
        position: log.durablePosition,
      }),
      onBug: (error) => failOnBrokenInvariant(ctx, error),
    });
  }

  #startLoops(ctx: MasterContext, checkpointer: Checkpointer, backups: Backups): void {
    let nextScanMs = 0;
    repeat(ctx, ctx.limits.heartbeatMs / 4, "watch liveness", () => {
      livenessTick(ctx);
      brakesTick(ctx);
    });
    repeat(ctx, ctx.limits.heartbeatMs, "compare servers", () => comparePaces(ctx));
    repeat(ctx, loops.scanMs, "scan chunks", async () => {
      await resolveAbsences(ctx);
      const beganMs = nowMs(ctx);
      if (beganMs >= nextScanMs) ctx.soft.scan.wanted = true;
      await scanChunks(ctx);
      const tookMs = nowMs(ctx) - beganMs;
      if (ctx.soft.scan.finished !== undefined && ctx.soft.scan.finished.atMs >= beganMs)
        nextScanMs = nowMs(ctx) + Math.min(scanPause.maxMs, Math.max(scanPause.minMs, scanPause.perRound * tookMs));
    });
    repeat(ctx, loops.scanMs, "drain", async () => {
      await endForgottenTails(ctx);
      tickDrains(ctx);
    });
    repeat(ctx, loops.repairMs, "balance", () => tickBalance(ctx));
    repeat(ctx, loops.repairMs, "repair", () => startRepairs(ctx));
    repeat(ctx, loops.expiryMs, "expire", () => expire(ctx));
    repeat(ctx, loops.deletionMs, "clear away", async () => {
      await reap(ctx);
      startDeletions(ctx);
    });
    repeat(ctx, loops.checkpointMs, "checkpoint", () => {
      backups.tick();
      checkpointer.tick();
    });
  }

  checkpoint(): Promise<void> {
    return defined(this.#checkpointer, "a started master").run();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#abort.abort(new GfsError("Interrupted", "Cannot go on: the master stops"));
    if (this.#ctx !== undefined) stopSeals(this.#ctx);
    await this.#listener?.[Symbol.asyncDispose]();
    this.#backups?.stop();
    await this.#checkpointer?.stop();
    this.#control?.close();
    await this.#log?.close();
    await this.#kept.stop();
    for (const directory of this.#directories) await directory[Symbol.asyncDispose]();
    if (this.#fatal !== undefined) this.#rejectFailed(this.#fatal);
  }

  #die(fatal: GfsError): void {
    this.#fatal = fatal;
    this.stop().catch(() => this.#rejectFailed(fatal));
  }

  /** Those that the log is still written to. */
  #liveDirectories(): readonly DataDirectory[] {
    const live = this.#log?.directories ?? [];
    return this.#directories.filter(({ logPath }) => live.includes(logPath));
  }

  /** The survivors are named in a record, so that the one that failed is not believed alone at the next start. */
  #directoryFailed(logPath: string): void {
    const ctx = this.#ctx;
    if (ctx === undefined || ctx.engine.failure !== undefined) return;
    this.#warnOfFailed(ctx, logPath);
    ctx.engine.apply(directoryRecords(ctx.state, this.#liveDirectories()));
  }

  #warnOfFailed(ctx: MasterContext, logPath: string): void {
    const path = this.#directories.find((directory) => directory.logPath === logPath)?.path ?? logPath;
    ctx.soft.warnings.set(path, `data directory ${path} failed and is not written to any more`);
  }
}

/** @throws GfsError("DiskFailed") */
async function markFilled(disk: Disk, directory: DataDirectory): Promise<void> {
  try {
    await markWhole(disk, directory);
  } catch (error) {
    throw diskFailed(`mark ${directory.path} as a whole copy`, error);
  }
}
