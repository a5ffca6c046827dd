/** One chunkserver: a volume, its data and control ports, and its bond with the master (DESIGN §2). */
import { AssertionError } from "../base/assert.ts";
import { asGfsError, GfsError, hasCode } from "../base/errors.ts";
import type { World } from "../io.ts";
import type { Limits } from "../limits.ts";
import { advertise, isLoopback, isWildcard, parseAddress } from "../net/addresses.ts";
import { serveControl } from "../net/control-server.ts";
import { FrameCalls } from "../net/frame-calls.ts";
import { FramePool } from "../net/frame-pool.ts";
import type { Location } from "../wire/control/common.ts";
import type { VolumeId } from "../wire/ids.ts";
import { commandRoutes } from "./commands.ts";
import type { Context } from "./context.ts";
import { TimeTally } from "./core/operation-times.ts";
import { DataServer } from "./data-server.ts";
import { Heartbeats } from "./heartbeat.ts";
import { measuredDisk } from "./measured-disk.ts";
import { Roles } from "./roles.ts";
import { scrubRoutes } from "./scrub-orders.ts";
import { Scrubber } from "./scrubber.ts";
import { openStore } from "./store/open-store.ts";
import type { Store } from "./store/store.ts";

/** Control and data addresses to bind; port 0: any. */
export interface ListenPair {
  readonly listen: string;
  readonly dataListen: string;
}

export interface ChunkserverOptions extends ListenPair {
  /** The master's control address. */
  readonly master: string;
  /** The volume's directory; made when missing. */
  readonly dataDir: string;
  /** Bound in the place of `listen` and `dataListen`, in turn, while one of the two is in use. */
  readonly otherListens?: readonly ListenPair[] | undefined;
  /** The host that others dial; needed where a wildcard is bound. */
  readonly advertise?: string | undefined;
  /** For people; never an identity. */
  readonly label: string;
  readonly location?: Location | undefined;
  readonly rack?: string | undefined;
  readonly spaceLimitBytes?: number | undefined;
  readonly limits: Limits;
  readonly secret?: Uint8Array | undefined;
  /** Binds beyond this machine without a secret all the same. */
  readonly insecure: boolean;
  /** Of this build. */
  readonly version: string;
}

export interface Chunkserver {
  readonly volume: VolumeId;
  /** As others dial them. */
  readonly controlAddress: string;
  readonly dataAddress: string;
  /** Resolves at the first registration with the master; rejects with WrongCluster, Denied or VersionUnsupported when it refuses this volume before. */
  readonly registered: Promise<void>;
  /** Rejects when the server can't go on: a bug, or the refusal that `registered` rejects with. Never resolves. */
  readonly failed: Promise<never>;
  /** Ends all streams, syncs, releases the directory. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Serves as soon as the volume is recovered, and registers in the background for as long as it takes.
 *
 * @throws GfsError Usage (an address that can't be bound, or only with a secret), AddressInUse, or what opening the volume throws: Locked, WrongCluster, FormatUnsupported, Corrupt, DiskFailed
 */
export async function startChunkserver(world: World, options: ChunkserverOptions): Promise<Chunkserver> {
  for (const { listen, dataListen } of listensOf(options))
    for (const address of [listen, dataListen]) checkBind(address, options);
  const { limits } = options;
  const times = new TimeTally();
  const disk = measuredDisk(world.disk, world.clock, (operation, ms) => times.note(operation, ms));
  const store = await openStore(
    { ...world, disk },
    {
      directory: options.dataDir,
      limits,
      spaceLimitBytes: options.spaceLimitBytes,
      reserveBytes: limits.reserveBytes,
    },
  );
  const held: (() => void | Promise<void>)[] = [() => store.close()];
  const release = async (): Promise<void> => {
    for (const free of held.splice(0).reverse()) {
      try {
        await free();
      } catch (thrown) {
        world.events.emit("warn", "chunkserver.stop", { reason: asGfsError(thrown).message });
      }
    }
  };
  try {
    return await serve(world, options, { store, times, held, release });
  } catch (thrown) {
    await release();
    throw thrown;
  }
}

interface Held {
  readonly store: Store;
  readonly times: TimeTally;
  /** What to let go of, in reverse order. */
  readonly held: (() => void | Promise<void>)[];
  readonly release: () => Promise<void>;
}

async function serve(
  world: World,
  options: ChunkserverOptions,
  { store, times, held, release }: Held,
): Promise<Chunkserver> {
  const { limits, secret } = options;
  const stopping = new AbortController();
  const identity = { role: "chunkserver" as const, secret, clusterId: () => store.clusterId };
  const pool = new FramePool(world, identity);
  held.push(() => pool.close());
  const calls = new FrameCalls(world, pool);
  held.push(() => calls.close());
  const { promise: failed, reject } = Promise.withResolvers<never>();
  // Whoever does not look at it must not be ended by its rejection.
  failed.catch(() => undefined);
  const onBug = (bug: unknown): void => {
    world.events.emit("error", "chunkserver.bug", {
      reason: bug instanceof Error ? (bug.stack ?? bug.message) : String(bug),
    });
    reject(bug);
  };
  const context: Context = { world, limits, store, times, pool, calls, stopping: stopping.signal, onBug };
  const roles = new Roles();
  held.push(() => roles.stopAll());

  const busy = (): boolean => (late.data?.transfers ?? 0) > 0;
  const scrubber = new Scrubber(context, busy);
  // The control port must be bound before heartbeats can tell its address.
  const late: { heartbeats?: Heartbeats; data?: DataServer } = {};
  const controlOptions = {
    role: "chunkserver" as const,
    secret,
    identity: () => ({ clusterId: store.clusterId, epoch: store.epoch }),
    // A request that can't be handled harms nobody else; a state that can't be must not go on.
    onBug: (thrown: unknown) => {
      if (thrown instanceof AssertionError) onBug(thrown);
    },
    routes: [
      ...commandRoutes(context, { roles, onStopped: () => late.heartbeats?.nudge() }),
      ...scrubRoutes(context, {
        busy,
        terms: () => scrubber.terms,
        onRead: (bytes, corrupt) => scrubber.count(bytes, corrupt),
        onBad: () => late.heartbeats?.nudge(),
      }),
    ],
    healthz: () =>
      Promise.resolve({
        ok: store.retired === undefined,
        role: "chunkserver",
        volume: store.volume,
        replicas: store.replicaCount,
        ...(store.retired === undefined ? {} : { retired: store.retired }),
        masterSilentMs: late.heartbeats?.silentMs() ?? null,
      }),
  };
  const { data, control } = await firstFree(listensOf(options), async ({ listen, dataListen }) => {
    const listening = await DataServer.listen(context, { address: dataListen, secret, roles });
    try {
      return { data: listening, control: await serveControl(world, { ...controlOptions, address: listen }) };
    } catch (thrown) {
      await listening[Symbol.asyncDispose]();
      throw thrown;
    }
  });
  held.push(
    async () => data[Symbol.asyncDispose](),
    async () => control[Symbol.asyncDispose](),
  );

  late.data = data;
  const controlAddress = advertise(control.address, options.advertise);
  const dataAddress = advertise(data.address, options.advertise);
  const beats = new Heartbeats(context, {
    master: options.master,
    secret,
    label: options.label,
    location: options.location,
    rack: options.rack,
    version: options.version,
    controlAddress,
    dataAddress,
    roles,
    transfers: () => data.transfers,
    scrubber,
  });
  late.heartbeats = beats;
  held.push(() => beats.close());
  const forgetRetire = store.onRetire((reason) => {
    world.events.emit("error", "volume.retired", { volume: store.volume, reason });
    beats.nudge();
  });
  held.push(forgetRetire);

  beats.registered.catch(reject);
  const running = Promise.all([beats.run().catch(onBug), scrubber.run().catch(onBug)]);
  held.push(async () => {
    stopping.abort(new GfsError("Interrupted", "Cannot go on: the chunkserver stops"));
    beats.close();
    await running;
  });
  world.events.emit("info", "chunkserver.serving", {
    volume: store.volume,
    control: controlAddress,
    data: dataAddress,
  });
  return { volume: store.volume, controlAddress, dataAddress, registered: beats.registered, failed, stop: release };
}

function listensOf({ listen, dataListen, otherListens = [] }: ChunkserverOptions): readonly ListenPair[] {
  return [{ listen, dataListen }, ...otherListens];
}

/** @throws what `bind` throws; AddressInUse only where all are */
async function firstFree<Bound>(
  pairs: readonly ListenPair[],
  bind: (pair: ListenPair) => Promise<Bound>,
): Promise<Bound> {
  let taken: unknown;
  for (const pair of pairs) {
    try {
      return await bind(pair);
    } catch (thrown) {
      if (!hasCode(thrown, "AddressInUse")) throw thrown;
      taken ??= thrown;
    }
  }
  throw taken;
}

/** Without a secret anybody who can reach a port may do anything: so only this machine may, unless the operator insists (DESIGN §4.6). */
function checkBind(address: string, { secret, insecure, advertise: advertised }: ChunkserverOptions): void {
  const { host } = parseAddress(address);
  if (isWildcard(host) && advertised === undefined)
    throw new GfsError(
      "Usage",
      `Cannot bind ${address}: others can't dial a wildcard; name the host to dial with --advertise`,
    );
  if (secret === undefined && !insecure && !isLoopback(host))
    throw new GfsError(
      "Usage",
      `Cannot bind ${address} without a cluster secret: name one with --secret-file, or insist with --insecure`,
    );
}
