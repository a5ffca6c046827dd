/**
 * Runs what operators order to be read (core/scrub-order.ts): one walk counts, a second one fills the queues as far as they have room, and each volume is asked for a batch at a time,
 * a bounded number of volumes at once. A server that dies meanwhile, or does not answer, leaves its replicas unverified, and keeps nobody else waiting.
 */
import { asGfsError, GfsError } from "../base/errors.ts";
import { sleep } from "../net/deadline.ts";
import type { ReplyOf, RequestOf } from "../wire/control/common.ts";
import type { ScrubFinding, ScrubOrder, scrubOrders, scrubStart, ScrubTarget } from "../wire/control/scrub-orders.ts";
import { verifyReplicas } from "../wire/control/scrub-orders.ts";
import { chunkView, inBackground, inSlices, type MasterContext, nowMs } from "./context.ts";
import { findChunk, type VolumeIndex } from "./core/chunk-table.ts";
import { ChunkWalk, type WalkTarget } from "./core/chunk-walk.ts";
import { lookup } from "./core/namespace.ts";
import {
  countChunk,
  findingState,
  newOrder,
  type Order,
  queueChunk,
  takeBatch,
  takeFailure,
  takeResult,
} from "./core/scrub-order.ts";
import { findServer } from "./core/server-names.ts";
import { nameOf, volumeAt } from "./core/volumes.ts";
import { pathOfChunk } from "./locating.ts";

const runningMax = 4;
const rememberedMax = 16;
/** In the queues of one order. */
const queuedMax = 4_096;
const volumesAtOnceMax = 64;
/** Below what closes a control connection that is silent. A server reads at 50 MB/s at least where its disk does: the largest chunk too. */
const withinMs = 30_000;
const lookMs = 1_000;
const stepsPerSlice = 1_024;

export class ScrubOrders {
  readonly #ctx: MasterContext;
  readonly #orders = new Map<string, Order>();
  #count = 0;

  constructor(ctx: MasterContext) {
    this.#ctx = ctx;
  }

  /** @throws GfsError NotFound | Usage (several servers have the name) | Busy */
  start({ target }: RequestOf<typeof scrubStart>): ReplyOf<typeof scrubStart> {
    const ctx = this.#ctx;
    const [text, walk] = targetOf(ctx, target);
    const running = [...this.#orders.values()].filter(({ state }) => state === "reading");
    const same = running.find((order) => order.target === text);
    if (same !== undefined) return { id: same.id };
    if (running.length >= runningMax)
      throw new GfsError(
        "Busy",
        `Cannot scrub ${text}: ${running.map((order) => order.target).join(", ")} are being read; see: gfs scrub status`,
        { retryAfterMs: 5_000 },
      );
    // Unlike those of an earlier start of the master.
    const id = `${++this.#count}-${ctx.world.random.bytes(4).toHex()}`;
    const order = newOrder(id, text, nowMs(ctx));
    this.#orders.set(id, order);
    for (const [old, { state }] of this.#orders) {
      if (this.#orders.size <= rememberedMax) break;
      if (state !== "reading") this.#orders.delete(old);
    }
    ctx.world.events.emit("info", "scrub.ordered", { order: id, target: text });
    inBackground(ctx, `scrub ${text}`, new OrderRun(ctx, order, walk).run());
    return { id };
  }

  /** @throws GfsError NotFound */
  list({ id }: RequestOf<typeof scrubOrders>): ReplyOf<typeof scrubOrders> {
    const orders = id === undefined ? [...this.#orders.values()] : [this.#find(id)];
    return { orders: orders.map((order) => describe(this.#ctx, order)) };
  }

  /** @throws GfsError NotFound */
  stop(id: string): void {
    const order = this.#find(id);
    if (order.state === "reading") order.state = "stopped";
  }

  #find(id: string): Order {
    const order = this.#orders.get(id);
    if (order !== undefined) return order;
    throw new GfsError(
      "NotFound",
      `Cannot find the scrub order ${id}: this start of the master has none such; what was found before is repaired all the same`,
    );
  }
}

/** @throws GfsError NotFound | Usage */
function targetOf({ state }: MasterContext, target: ScrubTarget): [text: string, walk: WalkTarget] {
  if (target.kind === "path") return [target.path, { kind: "path", top: lookup(state.inodes, target.path, "scrub") }];
  const volume = findServer(state.volumes, target.server, "scrub");
  return [`server ${nameOf(volume)}`, { kind: "volume", volume: volume.index }];
}

/** Only `volume` of a volume's order: of a chunk that it shares with others. */
const onlyOf = (target: WalkTarget): VolumeIndex | undefined => (target.kind === "volume" ? target.volume : undefined);

class OrderRun {
  readonly #ctx: MasterContext;
  readonly #order: Order;
  readonly #target: WalkTarget;
  readonly #working = new Map<VolumeIndex, Promise<void>>();
  #changed: (() => void) | undefined;
  /** Of one volume's work; the whole ends with it. */
  #failure: GfsError | undefined;

  constructor(ctx: MasterContext, order: Order, target: WalkTarget) {
    this.#ctx = ctx;
    this.#order = order;
    this.#target = target;
  }

  async run(): Promise<void> {
    const { world } = this.#ctx;
    const order = this.#order;
    try {
      const only = onlyOf(this.#target);
      const files = await this.#walk((slot) => countChunk(order, chunkView(this.#ctx), { slot, only }));
      order.counts.files = files;
      await this.#walk((slot) => queueChunk(order, chunkView(this.#ctx), { slot, only }), true);
      while (this.#reading && (order.queued > 0 || this.#working.size > 0)) {
        this.#work();
        await this.#change();
      }
      await Promise.allSettled(this.#working.values());
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#reading) order.state = "done";
    } finally {
      if (order.state === "reading") order.state = "stopped";
      order.endedMs = nowMs(this.#ctx);
      const { healthy, corrupt, missing, unverified, bytes } = order.counts;
      world.events.emit(corrupt + missing > 0 ? "warn" : "info", "scrub.order-ended", {
        order: order.id,
        target: order.target,
        state: order.state,
        healthy,
        corrupt,
        missing,
        unverified,
        bytes,
      });
    }
  }

  get #reading(): boolean {
    return this.#order.state === "reading" && this.#failure === undefined && !this.#ctx.stopping.aborted;
  }

  /** Visits all chunks, in slices; with `waits` only as fast as the queues are emptied. Files met. */
  async #walk(visit: (slot: number) => void, waits = false): Promise<number> {
    const walk = new ChunkWalk(this.#ctx.state, this.#target);
    while (!walk.ended && this.#reading) {
      await inSlices(this.#ctx, () => {
        walk.step(stepsPerSlice, visit);
        return !walk.ended && this.#reading && !(waits && this.#order.queued >= queuedMax) ? "more" : "done";
      });
      if (!waits) continue;
      this.#work();
      while (this.#reading && this.#order.queued >= queuedMax) {
        await this.#change();
        // Other volumes have their turn when the first are through.
        this.#work();
      }
    }
    return walk.files;
  }

  /** Each volume with a queue is asked by one at a time. */
  #work(): void {
    for (const volume of this.#order.queues.keys()) {
      if (this.#working.size >= volumesAtOnceMax) return;
      if (this.#working.has(volume)) continue;
      const work = this.#ask(volume).finally(() => {
        this.#working.delete(volume);
        this.#changed?.();
      });
      work.catch((error: unknown) => {
        this.#failure ??= asGfsError(error);
      });
      this.#working.set(volume, work);
    }
  }

  /** Until something was answered, or a second has passed. */
  async #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#changed = resolve;
    const timer = this.#ctx.world.clock.after(lookMs, resolve);
    await promise;
    timer.cancel();
    this.#changed = undefined;
  }

  async #ask(volume: VolumeIndex): Promise<void> {
    const ctx = this.#ctx;
    const order = this.#order;
    for (let later = false; this.#reading;) {
      if (later) await sleep(ctx.world.clock, ctx.limits.heartbeatMs, ctx.stopping);
      later = false;
      const batch = takeBatch(order, chunkView(ctx), volume);
      if (batch === undefined) return;
      let failure = "it gave no answer for it";
      let results: ReplyOf<typeof verifyReplicas>["results"] = [];
      try {
        const items = batch.items.map(({ handle, version }) => ({ handle, version }));
        const timeoutMs = withinMs + ctx.limits.controlMs;
        ({ results } = await ctx.commands.send(volume, verifyReplicas, { items, withinMs }, timeoutMs));
      } catch (error) {
        const { code, message } = asGfsError(error);
        if (code === "Bug") throw error;
        failure = message;
      }
      for (const [i, item] of batch.items.entries()) {
        const result = results[i];
        const view = chunkView(ctx);
        const again =
          result === undefined
            ? takeFailure(order, view, { item, why: failure })
            : takeResult(order, view, { item, result });
        later ||= again;
        // What it does not have its next report lacks as well.
        if (result === "missing") volumeAt(ctx.state.volumes, volume).reportWanted = true;
      }
      this.#changed?.();
    }
  }
}

function describe(ctx: MasterContext, order: Order): ScrubOrder {
  const view = chunkView(ctx);
  const endMs = order.endedMs ?? nowMs(ctx);
  const findings = order.findings.map((finding): ScrubFinding => {
    const { kind, handle, volume, why } = finding;
    const { volume: id, label } = volumeAt(ctx.state.volumes, volume);
    const owner = findChunk(ctx.state.chunks, handle)?.owner;
    const path = pathOfChunk(ctx, owner?.kind === "inode" ? owner.inode : undefined);
    return { kind, handle, volume: id, label, path, state: findingState(view, finding), why };
  });
  const inState = (state: ScrubFinding["state"]): number => findings.filter((one) => one.state === state).length;
  return {
    id: order.id,
    target: order.target,
    state: order.state,
    beganMs: order.beganMs + ctx.world.clock.wallMs() - nowMs(ctx),
    tookMs: endMs - order.beganMs,
    ...order.counts,
    repairing: inState("repairing"),
    lost: inState("lost"),
    findings,
  };
}
