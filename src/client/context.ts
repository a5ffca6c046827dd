/** What the parts of one client share, and how an operation of it waits. */
import type { GfsError } from "../base/errors.ts";
import type { EventFields, World } from "../io.ts";
import type { Limits } from "../limits.ts";
import type { ControlClient } from "../net/control-client.ts";
import { abortError, Deadline, throwIfAborted } from "../net/deadline.ts";
import type { FrameCalls } from "../net/frame-calls.ts";
import type { FramePool } from "../net/frame-pool.ts";
import type { Whereabouts } from "../wire/control/common.ts";
import type { DraftId, SessionId } from "../wire/ids.ts";
import type { HedgeBudget } from "./core/hedge-budget.ts";
import type { ServerSpeeds } from "./core/server-speeds.ts";

export interface ClientContext {
  readonly world: World;
  readonly limits: Limits;
  /** "host:port" */
  readonly master: string;
  readonly control: ControlClient;
  /** Connections to chunkservers. */
  readonly pool: FramePool;
  /** Small chunks on their way to them. */
  readonly calls: FrameCalls;
  /** Of chunkservers, for reads. */
  readonly speeds: ServerSpeeds;
  readonly hedges: HedgeBudget;
  readonly whereabouts: Whereabouts;
  readonly label: string;
  /** What heartbeats keep alive. */
  readonly alive: { readonly sessions: Set<SessionId>; readonly drafts: Set<DraftId> };
  /** Every operation in progress: aborted when the client closes. */
  readonly operations: Set<Operation>;
  /** Work that nobody waits for, until the client closes. */
  readonly background: Set<Promise<void>>;
}

/**
 * One call of the library: it ends when its caller's signal is aborted, when the client is closed, or when it has made no progress for `clientTimeoutMs`. To be disposed.
 */
export class Operation implements Disposable {
  /** For error texts: "put /a/b". */
  readonly what: string;
  readonly deadline: Deadline;
  readonly #abort = new AbortController();
  /** Ends of waits that the signal can't end. */
  readonly #waits = new Set<(error: GfsError) => void>();
  #parent: Operation | undefined;
  readonly #operations: Set<Operation>;
  readonly #outer: AbortSignal | undefined;
  readonly #onAbort: () => void;

  /** @throws GfsError("Interrupted") where the signal is aborted already */
  constructor(ctx: ClientContext, what: string, outer?: AbortSignal) {
    throwIfAborted(what, outer);
    this.what = what;
    this.deadline = Deadline.in(ctx.world.clock, ctx.limits.clientTimeoutMs);
    this.#operations = ctx.operations;
    this.#outer = outer;
    this.#onAbort = () => {
      if (outer !== undefined) this.stop(abortError(what, outer));
    };
    outer?.addEventListener("abort", this.#onAbort, { once: true });
    ctx.operations.add(this);
  }

  /** A part of another one: ends with it, may end before it, and its progress counts for both. */
  static under(ctx: ClientContext, parent: Operation): Operation {
    const part = new Operation(ctx, parent.what, parent.signal);
    part.#parent = parent;
    return part;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Something was achieved: the time that it may go on without progress begins anew. */
  progress(): void {
    this.deadline.extend();
    this.#parent?.progress();
  }

  /** `ms`, or what is left until the deadline, if that is less; at least 1. */
  within(ms: number): number {
    return Math.max(1, Math.min(ms, this.deadline.remainingMs()));
  }

  check(): void {
    throwIfAborted(this.what, this.signal);
  }

  stop(error: GfsError): void {
    if (this.signal.aborted) return;
    this.#abort.abort(error);
    const waits = [...this.#waits];
    this.#waits.clear();
    for (const end of waits) end(error);
  }

  /** What the promise gives, unless the operation is aborted first: for waits that can't be ended themselves. Cheaper than a listener on the signal. */
  async unlessAborted<T>(promise: Promise<T>): Promise<T> {
    this.check();
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    this.#waits.add(reject);
    try {
      return await Promise.race([promise, aborted]);
    } finally {
      this.#waits.delete(reject);
    }
  }

  [Symbol.dispose](): void {
    this.#outer?.removeEventListener("abort", this.#onAbort);
    this.#operations.delete(this);
  }
}

/** Runs what nobody waits for; a failure becomes an event. */
export function inBackground(ctx: ClientContext, what: string, work: Promise<unknown>): void {
  const run = async (): Promise<void> => {
    try {
      await work;
    } catch (error) {
      const fields: EventFields = { what, reason: error instanceof Error ? error.message : String(error) };
      ctx.world.events.emit("debug", "client.background-failed", fields);
    } finally {
      ctx.background.delete(running);
    }
  };
  const running = run();
  ctx.background.add(running);
}
