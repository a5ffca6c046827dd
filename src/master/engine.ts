/**
 * The master's mutation path (DESIGN §4.1): decide → apply → append → group commit → release through the outbox. Nothing awaits between decide and
 * apply, so there is no lock; and no state is changed by any other way.
 */
import type { z } from "zod";
import { crc32 } from "../base/checksum.ts";
import { asGfsError, GfsError } from "../base/errors.ts";
import type { Events } from "../io.ts";
import type { LogPosition } from "../log/log-types.ts";
import { decodeCbor, encodeCbor } from "../wire/cbor.ts";
import type { MessageType, MutationId } from "../wire/control/common.ts";
import { draftCommit } from "../wire/control/files.ts";
import type { LogBatch, LogRecord } from "../wire/log-records.ts";
import type { ClusterClock } from "./cluster-clock.ts";
import { applyBatch } from "./core/apply.ts";
import type { Decision, Now } from "./core/decision.ts";
import { admitMutation } from "./core/sessions.ts";
import type { MasterState } from "./core/state.ts";
import { encodeEntry } from "./log-batches.ts";
import { Outbox } from "./outbox.ts";
import { SpentMutations } from "./spent-mutations.ts";

/** What the engine needs of the operation log. */
export interface EngineLog {
  append(entry: readonly Uint8Array[]): LogPosition;
  readonly lastPosition: LogPosition;
  readonly durablePosition: LogPosition;
  readonly entryBytesMax: number;
}

export interface EngineOptions {
  readonly state: MasterState;
  readonly log: EngineLog;
  readonly clock: ClusterClock;
  readonly events: Events;
  /** The log failed, or the state broke: the master must stop at once. Called once. */
  readonly onFatal: (error: GfsError) => void;
}

/** What a mutation does: it may wait, and then decides, once, as its last step. */
export type MutationRun<Reply> = (
  decideNow: (decide: (now: Now) => Decision<Reply>) => Reply,
) => Reply | Promise<Reply>;

type Mutation = NonNullable<LogBatch["mutation"]>;

interface InFlight {
  readonly message: string;
  readonly print: number;
  readonly outcome: Promise<unknown>;
}

export class Engine {
  readonly state: MasterState;
  readonly #log: EngineLog;
  readonly #clock: ClusterClock;
  readonly #events: Events;
  readonly #onFatal: (error: GfsError) => void;
  readonly #outbox: Outbox;
  readonly #inFlight = new Map<string, InFlight>();
  readonly #spent: SpentMutations;
  #failure: GfsError | undefined;

  constructor({ state, log, clock, events, onFatal }: EngineOptions) {
    this.state = state;
    this.#log = log;
    this.#clock = clock;
    this.#events = events;
    this.#onFatal = onFatal;
    this.#outbox = new Outbox(log.durablePosition);
    this.#spent = new SpentMutations(state.sessions);
  }

  now(): Now {
    return this.#clock.now();
  }

  /** Set once the master must stop. */
  get failure(): GfsError | undefined {
    return this.#failure;
  }

  get position(): LogPosition {
    return this.#log.lastPosition;
  }

  /** The log became durable up to here. */
  durable(position: LogPosition): void {
    this.#outbox.durable(position);
  }

  /** Stops everything: of what waits nobody knows whether the next start finds it in the log, and nothing is decided any more. */
  fail(error: GfsError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    const text = `Cannot tell whether this is done: the master stops: ${error.message}`;
    this.#outbox.fail(new GfsError("Timeout", text, { details: { outcome: "unknown" }, cause: error }));
    this.#events.emit("error", "master.failed", { code: error.code, reason: error.message });
    this.#onFatal(error);
  }

  /**
   * What was computed just now leaves when nothing that it can depend on can be undone: reads, commands and heartbeat answers go through here.
   *
   * @throws GfsError("Timeout") of unknown outcome where the log failed before
   */
  async release<Value>(value: Value): Promise<Value> {
    await this.#outbox.until(this.#log.lastPosition);
    return value;
  }

  /** Computes from the state at one moment. */
  async read<Value>(compute: (now: Now) => Value): Promise<Value> {
    this.#requireWhole();
    return this.release(compute(this.now()));
  }

  /** A change by the master itself or by a request without an id: applied when this returns, durable when the promise resolves. */
  commit(records: readonly LogRecord[]): Promise<void> {
    this.apply(records);
    return this.release(undefined);
  }

  /** Decides, applies and logs at one moment, without an id: for what may be repeated. */
  async perform<Reply>(decide: (now: Now) => Decision<Reply>): Promise<Reply> {
    this.#requireWhole();
    const { records, reply } = decide(this.now());
    if (records.length > 0) this.apply(records);
    return this.release(reply);
  }

  /** Applies and logs; what must not be seen before it is durable then goes through `release`. */
  apply(records: readonly LogRecord[], mutation?: Mutation): void {
    this.#requireWhole();
    const batch: LogBatch = {
      clusterMs: Math.max(this.now().clusterMs, this.state.cluster.clusterMs),
      ...(mutation === undefined ? {} : { mutation }),
      records: [...records],
    };
    const bytes = encodeEntry(batch);
    if (bytes.length > this.#log.entryBytesMax) {
      throw new GfsError(
        "Usage",
        `Cannot log a change of ${bytes.length} bytes: the operation log takes ${this.#log.entryBytesMax} at a time`,
      );
    }
    try {
      applyBatch(this.state, batch);
    } catch (error) {
      // Part of the batch may be in the state and none of it is in the log: nothing may leave any more.
      const broken = new GfsError("Bug", `Cannot apply a decision of its own: ${String(error)}`, { cause: error });
      this.fail(broken);
      throw broken;
    }
    this.#log.append([bytes]);
  }

  /**
   * A client's mutation, exactly once under its id: a retry gets the first answer, a concurrent duplicate waits for the first. `run` may wait before it
   * calls `decideNow`, which it does once, as its last step.
   *
   * @throws GfsError("SessionExpired" | "IdReused" | "Busy"), and whatever deciding throws: then nothing took effect
   */
  async mutate<Reply extends z.ZodType>(
    message: MessageType<z.ZodType, Reply>,
    request: { readonly id: MutationId },
    run: MutationRun<z.infer<Reply>>,
  ): Promise<z.infer<Reply>> {
    this.#requireWhole();
    const { id } = request;
    const print = printOf(message, request);
    const key = `${id.session}:${id.sequence}`;
    const running = this.#inFlight.get(key);
    if (running !== undefined) {
      if (running.message !== message.name || running.print !== print) {
        throw new GfsError(
          "IdReused",
          `Cannot do ${message.name} under sequence ${id.sequence} of session ${id.session}: another ${running.message} has this id`,
        );
      }
      return message.reply.parse(await running.outcome);
    }
    const admission = admitMutation(this.state.sessions, id, { message: message.name, print });
    if (admission.kind === "answered") {
      this.#events.emit("debug", "mutation.repeated", { session: id.session, sequence: id.sequence });
      return this.release(message.reply.parse(decodeCbor(admission.reply)));
    }

    const spent = this.#spent.find(id, { message: message.name, print });
    if (spent?.kind === "refused") throw spent.error;
    if (spent?.kind === "unchanged") return this.release(message.reply.parse(spent.reply));

    const outcome = this.#runMutation(message, { id, print }, run);
    this.#inFlight.set(key, { message: message.name, print, outcome });
    try {
      return await outcome;
    } catch (error) {
      if (error instanceof GfsError) this.#spent.note(id, { message: message.name, print }, { kind: "refused", error });
      throw error;
    } finally {
      this.#inFlight.delete(key);
    }
  }

  async #runMutation<Reply extends z.ZodType>(
    message: MessageType<z.ZodType, Reply>,
    { id, print }: { readonly id: MutationId; readonly print: number },
    run: MutationRun<z.infer<Reply>>,
  ): Promise<z.infer<Reply>> {
    const reply = await run((decide) => {
      this.#requireWhole();
      // The session may have ended while the mutation waited.
      admitMutation(this.state.sessions, id, { message: message.name, print });
      const decision = decide(this.now());
      if (decision.records.length > 0) {
        const { session, sequence, floor } = id;
        const encoded = encodeCbor(decision.reply);
        this.apply(decision.records, { session, sequence, floor, message: message.name, print, reply: encoded });
      } else this.#spent.note(id, { message: message.name, print }, { kind: "unchanged", reply: decision.reply });
      return decision.reply;
    });
    return this.release(reply);
  }

  #requireWhole(): void {
    if (this.#failure === undefined) return;
    throw new GfsError("Unavailable", `Cannot serve any more: ${asGfsError(this.#failure).message}`);
  }
}

/**
 * Of a request without its id: tells a retry from another request under the same id. A commit is its draft's: who comes to a draft that was
 * committed before, under the same key, learns the outcome without knowing the chunks.
 */
function printOf(message: MessageType, request: object): number {
  const identity = message.name === draftCommit.name && "draft" in request ? { draft: request.draft } : request;
  return crc32(encodeCbor({ ...identity, id: undefined }));
}
