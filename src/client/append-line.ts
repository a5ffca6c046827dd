/**
 * The records that one session appends to one file, in order (DESIGN §4.3, client's side): streamed to the primary of the open tail, at most `appendWindow` unanswered; after any
 * failure sent again under their old sequences to whatever is the tail then, until each is answered, or the time is over.
 */
import { GfsError, hasCode } from "../base/errors.ts";
import { Waiters } from "../base/waiters.ts";
import { StreamError, type Timer } from "../io.ts";
import { protocol } from "../limits.ts";
import { sleep } from "../net/deadline.ts";
import { errorOfFrame } from "../net/frame-connection.ts";
import type { AppendAnswer } from "../wire/control/common.ts";
import { decodeAppendAnswer, encodeAppend } from "../wire/data/records.ts";
import { type InodeId, type Sequence, sequence, type SessionId } from "../wire/ids.ts";
import type { ClientContext } from "./context.ts";
import {
  appendError,
  appendStreamId,
  type FailedTail,
  isFinal,
  isNoTail,
  askTaken,
  type SendingTail,
  openTail,
  TailFailure,
} from "./open-tail.ts";
import { formatPlace, outcomeUnknown } from "./outcome.ts";
import { gaveUp, pauseMs } from "./retry.ts";
import { interruptedRecord, takeBack, waitingRecord, type WaitingRecord } from "./waiting-record.ts";

/** A line without records for so long lets its connection go. */
const idleMs = 15_000;

export interface LineOptions {
  readonly inode: InodeId;
  readonly session: SessionId;
  /** Of the first record. */
  readonly first: number;
  /** What to repeat a record under whose outcome is unknown; its place in the session where none is given. */
  readonly id?: string | undefined;
  /** The line takes no more records. Its session must stay, if somebody may repeat one of them: `unknown`. */
  readonly onBroken: (unknown: boolean) => void;
}

export class AppendLine {
  readonly #ctx: ClientContext;
  readonly #options: LineOptions;
  /** Unanswered, in order; those with a sequence first. */
  #queue: WaitingRecord[] = [];
  #queuedBytes = 0;
  #nextSequence: number;
  #tail: SendingTail | undefined;
  #failed: FailedTail | undefined;
  /** Why the last tail was left; undefined once another is looked for. */
  #left: GfsError | undefined;
  #connecting = false;
  /** How many of the queue, from its head, may be sent: those that came before a large append which waits for its turn, or has it. */
  #allowed = Number.POSITIVE_INFINITY;
  #broken: GfsError | undefined;
  /** Somebody was given the id of a record, to repeat it under: its session must stay. */
  #idGiven = false;
  #failures = 0;
  /** When a record was last answered, or all could be sent again. */
  #progressMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  /** For records to be answered, or the line to break. */
  readonly #changes = new Waiters();
  readonly #stop = new AbortController();

  constructor(ctx: ClientContext, options: LineOptions) {
    this.#ctx = ctx;
    this.#options = options;
    this.#nextSequence = options.first;
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  get broken(): boolean {
    return this.#broken !== undefined;
  }

  /** Fewer records are unanswered than may be, and not too many bytes. */
  get hasRoom(): boolean {
    return this.#queue.length < protocol.appendWindow && this.#queuedBytes < this.#ctx.limits.bytesInFlightPerClientMax;
  }

  /**
   * Settles when the record is durable on all members, or refused. The bytes must not be changed before. `leftMs`: how long it may wait without progress, where that is less than for others.
   *
   * @throws GfsError("OutcomeUnknown") with the id to repeat it under; ("Interrupted"); other codes say that it had no effect: NotFound (the file is gone), NoSpace, TooFewServers,
   * Unavailable, Timeout …
   */
  append(record: Uint8Array, signal?: AbortSignal, leftMs = this.#ctx.limits.clientTimeoutMs): Promise<AppendAnswer> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    const waiting = waitingRecord(record, this.#ctx.world.clock.monotonicMs(), leftMs);
    // Others may have sent it before: only an answer can tell.
    if (this.#options.id !== undefined) waiting.sequence = sequence(this.#nextSequence++);
    this.#queue.push(waiting);
    this.#queuedBytes += record.length;
    this.#go();
    if (signal === undefined) return waiting.answer;
    const onAbort = (): void => this.#giveUp(waiting);
    signal.addEventListener("abort", onAbort, { once: true });
    return waiting.answer.finally(() => signal.removeEventListener("abort", onAbort));
  }

  /** Resolves when there is room, or the line is broken. */
  async ready(): Promise<void> {
    while (!this.hasRoom && this.#broken === undefined) await this.#changes.wait();
  }

  /**
   * Runs `work` when all records that came before are answered, and sends none until it is over: a large append is never on its way together with records.
   * @throws what broke the line, and what `work` throws
   */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#isHeld) await this.#changes.wait();
    this.#allowed = this.#queue.length;
    try {
      while (this.#allowed > 0 && this.#broken === undefined) await this.#changes.wait();
      if (this.#broken !== undefined) throw this.#broken;
      return await work();
    } finally {
      this.#allowed = Number.POSITIVE_INFINITY;
      // What came meanwhile has only waited: its time begins.
      this.#progressMs = this.#ctx.world.clock.monotonicMs();
      this.#changes.wake();
      this.#go();
    }
  }

  get #isHeld(): boolean {
    return this.#allowed !== Number.POSITIVE_INFINITY;
  }

  /** Ends at once; what is unanswered is told that nobody knows. */
  close(why = "the client was closed"): void {
    this.#break(new GfsError("Interrupted", `Cannot append any more: ${why}`));
  }

  #go(): void {
    if (this.#queue.length === 0 || this.#allowed === 0) return;
    if (this.#tail !== undefined) this.#send(this.#tail);
    else if (!this.#connecting) {
      this.#connecting = true;
      this.#connect()
        .catch((error: unknown) => this.#break(appendError(error)))
        .finally(() => {
          this.#connecting = false;
          // Something may have come in the very moment in which it ended.
          if (this.#tail === undefined && this.#broken === undefined) this.#go();
        });
    }
    this.#arm();
  }

  // ------------------------------------------------------------ to a tail

  async #connect(): Promise<void> {
    // Tails that open, and then take nothing, are no progress: the time goes on. But the first that is left has a next one always.
    const left = this.#left;
    this.#left = undefined;
    if (left !== undefined) await this.#pause(left, this.#failures === 0 ? Number.POSITIVE_INFINITY : undefined);
    while (this.#tail === undefined && this.#queue.length > 0 && this.#broken === undefined) {
      try {
        const tail = await this.#open();
        if (this.#broken !== undefined) return tail.frames.close();
        this.#tail = tail;
        this.#send(tail);
        this.#arm();
        this.#receive(tail).catch((error: unknown) => this.#break(appendError(error)));
      } catch (thrown) {
        if (isNoTail(thrown, this.#options)) await this.#learnTaken();
        await this.#pause(appendError(thrown));
      }
    }
  }

  /** @throws GfsError | TailFailure */
  async #open(): Promise<SendingTail> {
    const { inode, session } = this.#options;
    const recordBytes = Math.max(...this.#queue.slice(0, protocol.appendWindow).map(({ record }) => record.length));
    const failed = this.#failed;
    const request = { inode, session, recordBytes, failed, signal: this.#stop.signal };
    try {
      const { answers, ...opened } = await openTail(this.#ctx, request);
      this.#failed = undefined;
      for (const answer of answers) this.#settle(answer);
      return { ...opened, openedMs: this.#ctx.world.clock.monotonicMs(), sent: 0, refusal: undefined };
    } catch (thrown) {
      // The master has dealt with the tail that failed before this one, if it named another.
      if (thrown instanceof TailFailure) this.#failed = thrown.failed;
      throw thrown;
    }
  }

  /** Before the next try. @throws GfsError where there is none */
  async #pause(error: GfsError, leftMs = this.#leftMs()): Promise<void> {
    const { world } = this.#ctx;
    if (this.#queue.length === 0) return;
    const sentAny = this.#queue.some((waiting) => waiting.sequence !== undefined);
    if (isFinal(error, sentAny)) throw error;
    // After the first one at once, unless it asks for more.
    const ms = pauseMs(error, { failures: this.#failures++, leftMs }, world.random);
    if (ms === undefined) return this.#refuseLate(gaveUp(error), sentAny);
    world.events.emit("debug", "append.retry", { inode: this.#options.inode, reason: error.message });
    if (ms > 0) await sleep(world.clock, ms, this.#stop.signal);
  }

  /** There is no other tail: what the sealed ones took is answered, and all that comes after had no effect, and never will. Where the master can't tell, nothing changes. */
  async #learnTaken(): Promise<void> {
    const answers = await askTaken(this.#ctx, { ...this.#options, signal: this.#stop.signal });
    for (const answer of answers ?? []) this.#settle(answer);
    if (answers !== undefined) this.#nextSequence = takeBack(this.#queue, answers) ?? this.#nextSequence;
  }

  /** Those whose time is over. @throws `error` where some were sent: none may go after what nobody knows of */
  #refuseLate(error: GfsError, sentAny: boolean): void {
    if (sentAny) throw error;
    const leftMs = this.#leftMs();
    for (let [first] = this.#queue; first !== undefined && this.#leftMs() <= leftMs; [first] = this.#queue) {
      this.#remove(0, first);
      first.reject(error);
    }
    this.#changes.wake();
  }

  // ------------------------------------------------------------ on a tail

  #send(tail: SendingTail): void {
    if (tail.refusal !== undefined) return;
    while (tail.sent < Math.min(this.#queue.length, this.#allowed, protocol.appendWindow)) {
      const waiting = this.#queue[tail.sent];
      if (waiting === undefined) return;
      waiting.sequence ??= sequence(this.#nextSequence++);
      tail.frames.send("append", appendStreamId, encodeAppend(waiting.sequence, waiting.crc), [waiting.record]);
      tail.sent++;
    }
  }

  async #receive(tail: SendingTail): Promise<void> {
    let error: GfsError;
    try {
      error = await this.#receiveAnswers(tail);
    } catch (thrown) {
      error = tail.refusal ?? appendError(thrown);
      // A connection that broke says nothing about the tail: it is tried again, and then shows whether it still is one.
      if (!(thrown instanceof StreamError)) this.#blame(tail, error);
    }
    if (this.#tail !== tail) return;
    this.#tail = undefined;
    tail.frames.close();
    if (this.#queue.length === 0 || this.#broken !== undefined) return;
    const sentAny = this.#queue.some((waiting) => waiting.sequence !== undefined);
    if (isFinal(error, sentAny)) return this.#break(error);
    this.#left = error;
    this.#go();
  }

  /** Until the stream is of no more use: why. */
  async #receiveAnswers(tail: SendingTail): Promise<GfsError> {
    const { frames } = tail;
    for (;;) {
      const frame = frames.take() ?? (await frames.read());
      if (frame === null) throw new StreamError("closed", `the primary of chunk ${tail.handle} closed the connection`);
      if (frame.type === "error") {
        const error = errorOfFrame(frame, frames.remote);
        this.#blame(tail, error);
        return error;
      }
      if (frame.type !== "appendAnswer" || frame.stream !== appendStreamId) continue;
      const decoded = decodeAppendAnswer(frame);
      if (decoded.kind === "done") {
        this.#settle(decoded.answer);
        this.#send(tail);
      } else {
        const { error, sequence: at } = decoded.refusal;
        // An earlier record of the session is missing there: it can't come after this one any more.
        if (error.code === "ProtocolError") {
          this.#break(error);
          return error;
        }
        tail.refusal ??= error;
        if (!hasCode(error, "Busy")) this.#blame(tail, error);
        // Those before it are answered yet, or refused as well.
        tail.sent = Math.min(tail.sent, this.#indexOf(at));
      }
      if (tail.refusal !== undefined && tail.sent <= 0) return tail.refusal;
    }
  }

  #blame(tail: SendingTail, error: GfsError): void {
    const { handle, version } = tail;
    this.#failed ??= { handle, version, reason: error.code };
  }

  #indexOf(at: Sequence): number {
    const index = this.#queue.findIndex((waiting) => waiting.sequence === at);
    return index < 0 ? 0 : index;
  }

  /** An answer from the primary's table; one that nobody waits for any more is passed over. */
  #settle(answer: AppendAnswer): void {
    const index = this.#queue.findIndex((waiting) => waiting.sequence === answer.sequence);
    const waiting = this.#queue[index];
    if (waiting === undefined) return;
    if (answer.crc !== waiting.crc || answer.bytes !== waiting.record.length) {
      const text = `Cannot append under ${this.#idOf(waiting)}: it was used for other content`;
      return this.#break(new GfsError("IdReused", text));
    }
    this.#remove(index, waiting);
    if (this.#tail !== undefined && index < this.#tail.sent) this.#tail.sent--;
    this.#failures = 0;
    this.#progressMs = this.#ctx.world.clock.monotonicMs();
    waiting.resolve(answer);
    this.#changes.wake();
  }

  #remove(index: number, waiting: WaitingRecord): void {
    this.#queue.splice(index, 1);
    this.#queuedBytes -= waiting.record.length;
    if (index < this.#allowed) this.#allowed--;
  }

  // ------------------------------------------------------------ time, and ends

  /** Of the record that has waited longest: without it none goes on. */
  #leftMs(): number {
    const dueMs = Math.max(this.#queue[0]?.dueMs ?? 0, this.#progressMs + this.#ctx.limits.clientTimeoutMs);
    return dueMs - this.#ctx.world.clock.monotonicMs();
  }

  /** For how long the primary has owed an answer, or there was nothing to answer. */
  #quietMs(tail: SendingTail): number {
    const sinceMs = Math.max(this.#progressMs, tail.openedMs, this.#queue[0]?.sinceMs ?? 0);
    return this.#ctx.world.clock.monotonicMs() - sinceMs;
  }

  /** One timer a line: for a primary that is silent, and for a line that is idle. */
  #arm(): void {
    if (this.#timer !== undefined || this.#broken !== undefined || this.#tail === undefined) return;
    const { clock } = this.#ctx.world;
    const { prepareMs, connectMs } = this.#ctx.limits;
    // The primary rolls back itself after `prepareMs`: it is given the time to say so.
    const spanMs = this.#queue.length > 0 ? prepareMs + connectMs : idleMs;
    this.#timer = clock.after(Math.max(1, spanMs - this.#quietMs(this.#tail)), () => {
      this.#timer = undefined;
      const tail = this.#tail;
      if (tail === undefined) return;
      const quietMs = this.#quietMs(tail);
      if (this.#queue.length > 0 && quietMs >= prepareMs + connectMs) {
        tail.refusal ??= new GfsError("Timeout", `Cannot append to chunk ${tail.handle}: its primary is silent`);
        this.#blame(tail, tail.refusal);
        return tail.frames.close();
      }
      if (this.#queue.length === 0 && quietMs >= idleMs) {
        this.#tail = undefined;
        return tail.frames.end();
      }
      this.#arm();
    });
  }

  /** The caller does not want to wait any longer. */
  #giveUp(waiting: WaitingRecord): void {
    const index = this.#queue.indexOf(waiting);
    if (index < 0) return;
    if (waiting.sequence === undefined) {
      this.#remove(index, waiting);
      this.#changes.wake();
    } else this.#idGiven = true;
    waiting.reject(interruptedRecord(waiting, this.#idOf(waiting)));
  }

  /** Nothing more goes through this line. */
  #break(error: GfsError): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    this.#stop.abort(error);
    this.#timer?.cancel();
    this.#tail?.frames.close();
    this.#tail = undefined;
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    const sent = queue.filter((waiting) => waiting.sequence !== undefined);
    this.#options.onBroken(sent.length > 0 || this.#idGiven);
    for (const waiting of queue) {
      const known = waiting.sequence === undefined || hasCode(error, "IdReused");
      waiting.reject(known ? error : outcomeUnknown("append", error, this.#idOf(waiting)));
    }
    this.#changes.wake();
  }

  #idOf(waiting: WaitingRecord): string {
    const { inode, session, id } = this.#options;
    return id ?? formatPlace({ kind: "record", session, inode, sequence: waiting.sequence ?? sequence(1) });
  }
}
