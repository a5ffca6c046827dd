/**
 * How a chunkserver stays known to its master (DESIGN §4.5): it registers, sends heartbeats on a control connection of their own, and registers again whenever
 * the master does not know it or was started anew. Nothing here gives up: a master may be away for as long as it likes.
 *
 * A server whose drive hangs sends none: it can neither vote nor answer a fence, and what waits for it must go on elsewhere, as after its death.
 */
import { AssertionError } from "../base/assert.ts";
import { asGfsError, type GfsError, hasCode } from "../base/errors.ts";
import { backoffMs } from "../net/backoff.ts";
import { ControlClient } from "../net/control-client.ts";
import { sleep } from "../net/deadline.ts";
import { heartbeat, register, type VolumeSpace } from "../wire/control/chunkservers.ts";
import type { Location } from "../wire/control/common.ts";
import type { Epoch } from "../wire/ids.ts";
import type { Context } from "./context.ts";
import { FullReports } from "./full-reports.ts";
import type { Roles } from "./roles.ts";
import type { Scrubber } from "./scrubber.ts";

export interface HeartbeatOptions {
  readonly master: string;
  readonly secret: Uint8Array | undefined;
  readonly label: string;
  readonly location: Location | undefined;
  readonly rack: string | undefined;
  readonly version: string;
  /** As others dial them. */
  readonly controlAddress: string;
  readonly dataAddress: string;
  readonly roles: Roles;
  /** Load, for placement. */
  readonly transfers: () => number;
  readonly scrubber: Scrubber;
}

/** What the master said at registration. */
interface Terms {
  readonly epoch: Epoch;
  readonly heartbeatMs: number;
  readonly leaseMs: number;
}

/** Refusals that time does not heal: another cluster's volume, a wrong secret, a directory that runs twice. */
const lasting = ["WrongCluster", "Denied", "VersionUnsupported"] as const;
/** The master was reached, and said no. */
const refusals = [...lasting, "MutationsStopped", "EpochStale"] as const;

export class Heartbeats {
  /** Resolves at the first registration; rejects when the master refuses this volume for good before one. */
  readonly registered: Promise<void>;
  readonly #context: Context;
  readonly #options: HeartbeatOptions;
  readonly #client: ControlClient;
  readonly #reports: FullReports;
  readonly #incarnation: string;
  #resolveRegistered: () => void = () => undefined;
  #rejectRegistered: (error: GfsError) => void = () => undefined;
  #wake: (() => void) | undefined;
  #nudged = false;
  /** Of the last heartbeat that was answered; undefined while unregistered. */
  #answeredMs: number | undefined;
  #stalled = false;
  /** The last refusal that was told, until the master takes this volume. */
  #refusal: string | undefined;

  constructor(context: Context, options: HeartbeatOptions) {
    this.#context = context;
    this.#options = options;
    const { world, store } = context;
    const identity = {
      role: "chunkserver" as const,
      clusterId: () => store.clusterId,
      ...(options.secret === undefined ? {} : { secret: options.secret }),
    };
    this.#client = new ControlClient(world, identity);
    this.#incarnation = world.random.bytes(16).toHex();
    this.#reports = new FullReports(context, {
      master: options.master,
      incarnation: this.#incarnation,
      client: new ControlClient(world, identity),
    });
    this.registered = new Promise((resolve, reject) => {
      this.#resolveRegistered = resolve;
      this.#rejectRegistered = reject;
    });
    // Whoever does not look at it must not be ended by its rejection.
    this.registered.catch(() => undefined);
  }

  /** Milliseconds since a heartbeat that the master answered was sent; undefined while it never was. */
  silentMs(): number | undefined {
    return this.#answeredMs === undefined ? undefined : this.#context.world.clock.monotonicMs() - this.#answeredMs;
  }

  /** The next heartbeat goes out at once: there is news that somebody waits for. */
  nudge(): void {
    this.#nudged = true;
    this.#wake?.();
  }

  /** Runs until the chunkserver stops. @throws AssertionError alone */
  async run(): Promise<void> {
    const { world, stopping } = this.#context;
    let attempt = 0;
    while (!stopping.aborted) {
      try {
        const terms = await this.#register();
        attempt = 0;
        await this.#beat(terms);
      } catch (thrown) {
        if (stopping.aborted) return;
        if (thrown instanceof AssertionError) throw thrown;
        this.#tellFailure(thrown);
        if (hasCode(thrown, ...lasting)) this.#rejectRegistered(thrown);
        await this.#pause(backoffMs(++attempt, world.random));
      }
    }
  }

  /** A refusal once, not every few seconds: the same answer is no news. */
  #tellFailure(thrown: unknown): void {
    const { events } = this.#context.world;
    const { master } = this.#options;
    const { message: reason } = asGfsError(thrown);
    if (!hasCode(thrown, ...refusals)) events.emit("warn", "master.unreachable", { master, reason });
    else if (reason !== this.#refusal) {
      this.#refusal = reason;
      events.emit("error", "master.refused", { master, reason });
    }
  }

  close(): void {
    this.#client.close();
    this.#reports.close();
    this.#wake?.();
  }

  async #register(): Promise<Terms> {
    const { store, limits, world, stopping } = this.#context;
    const { master, label, location, rack, version, controlAddress, dataAddress } = this.#options;
    const request = {
      volume: store.volume,
      incarnation: this.#incarnation,
      label,
      control: controlAddress,
      data: dataAddress,
      space: await this.#space(),
      highestHandle: store.highestHandle,
      version,
      ...(store.clusterId === undefined ? {} : { clusterId: store.clusterId }),
      ...(store.epoch === undefined ? {} : { epoch: store.epoch }),
      ...(location === undefined ? {} : { location }),
      ...(rack === undefined ? {} : { rack }),
      ...(store.metadata.summary === undefined ? {} : { metadata: store.metadata.summary }),
    };
    const call = { timeoutMs: limits.controlMs, signal: stopping };
    const reply = await this.#client.call(master, register, request, call);
    await store.adopt(reply.clusterId);
    await store.seeEpoch(reply.epoch);
    world.events.emit("info", "master.registered", { master, epoch: reply.epoch.number, volume: store.volume });
    this.#answeredMs = world.clock.monotonicMs();
    this.#refusal = undefined;
    this.#resolveRegistered();
    this.#reports.noteFactMark(reply.factMark);
    this.#reports.every(reply.reportIntervalMs);
    this.#reports.send();
    return reply;
  }

  /** Heartbeats until the master forgot this volume or was started anew; then it must be registered again. */
  async #beat(terms: Terms): Promise<void> {
    const { world, limits, stopping } = this.#context;
    let attempt = 0;
    while (!stopping.aborted) {
      await this.#pause(terms.heartbeatMs);
      if (stopping.aborted) return;
      if (this.#driveHangs(terms)) continue;
      try {
        if (!(await this.#beatOnce(terms))) return;
        attempt = 0;
      } catch (thrown) {
        if (thrown instanceof AssertionError || hasCode(thrown, ...lasting, "EpochStale")) throw thrown;
        this.#tellFailure(thrown);
        // Sooner than the next interval, so that a lost message does not make this server suspect.
        await this.#pause(Math.min(backoffMs(++attempt, world.random), terms.heartbeatMs, limits.controlMs));
        this.#nudged = true;
      }
    }
  }

  /** For longer than a heartbeat may be missing. */
  #driveHangs({ heartbeatMs }: Terms): boolean {
    const { store, limits, world } = this.#context;
    const { stalledMs } = store;
    const stalled = stalledMs >= heartbeatMs * limits.suspectHeartbeats && store.retired === undefined;
    if (stalled && !this.#stalled)
      world.events.emit("error", "volume.stalled", { reason: `no sync has ended for ${Math.round(stalledMs)} ms` });
    if (!stalled && this.#stalled) world.events.emit("info", "volume.goes-on");
    this.#stalled = stalled;
    return stalled;
  }

  /** False: register again. */
  async #beatOnce(terms: Terms): Promise<boolean> {
    const { world, store, limits, stopping } = this.#context;
    const { roles, master, transfers, scrubber } = this.#options;
    roles.rest(world.clock.monotonicMs());
    const space = await this.#space();
    // After all that is waited for: what is replaced meanwhile is not told of any more.
    const bad = store.bad().slice(0, 16_384);
    const times = this.#context.times.report();
    const request = {
      volume: store.volume,
      incarnation: this.#incarnation,
      space,
      streams: transfers(),
      open: roles.report(store),
      bad: [...bad],
      scrub: scrubber.report(),
      ...(store.retired === undefined ? {} : { retired: store.retired.slice(0, 1_024) }),
      ...(times === undefined ? {} : { times }),
    };
    const sentMs = world.clock.monotonicMs();
    const call = { timeoutMs: limits.controlMs, signal: stopping };
    const reply = await this.#client.call(master, heartbeat, request, call);
    const sameEpoch = reply.epoch.number === terms.epoch.number && reply.epoch.startId === terms.epoch.startId;
    if (!reply.known || !sameEpoch) return false;
    this.#answeredMs = sentMs;
    this.#reports.noteFactMark(reply.factMark);
    store.forgetBad(bad);
    roles.extendLeases(reply.leases, sentMs + terms.leaseMs);
    if (reply.scrub !== undefined) scrubber.set(reply.scrub);
    if (reply.report) this.#reports.send();
    return true;
  }

  /** A retired volume can't tell its space any more, and has none to give. */
  async #space(): Promise<VolumeSpace> {
    const { store } = this.#context;
    if (store.retired !== undefined) return { totalBytes: 0, freeBytes: 0, usedBytes: 0 };
    return store.space();
  }

  /** Until `ms` have passed, a nudge, or the stop. */
  async #pause(ms: number): Promise<void> {
    const { world, stopping } = this.#context;
    if (stopping.aborted) return;
    if (this.#nudged) {
      this.#nudged = false;
      return;
    }
    const waiting = new AbortController();
    this.#wake = () => waiting.abort();
    try {
      await sleep(world.clock, ms, waiting.signal);
    } catch (thrown) {
      if (!waiting.signal.aborted) throw thrown;
    } finally {
      this.#wake = undefined;
      this.#nudged = false;
    }
  }
}
