/** A client's session with the master (DESIGN §4.1): every mutation carries its place in it, so that retries take effect once. */
import type { z } from "zod";
import { utf8 } from "../base/bytes.ts";
import { type ErrorCode, GfsError, hasCode } from "../base/errors.ts";
import { Waiters } from "../base/waiters.ts";
import { protocol } from "../limits.ts";
import { abortError } from "../net/deadline.ts";
import type { MessageType, MutationId } from "../wire/control/common.ts";
import { draftCreate, sessionClose, sessionOpen } from "../wire/control/files.ts";
import { sequence, type SessionId } from "../wire/ids.ts";
import { type ClientContext, inBackground, type Operation } from "./context.ts";
import { outcomeUntold } from "./outcome.ts";
import { askMaster, backOff, isMasterRetry, isUnknown, isUnread } from "./retry.ts";
import { SharedOpening } from "./shared-opening.ts";

/** What a commit is refused with whose draft has ended, or is to be ended by whoever asked: none can follow. */
export const draftIsOver: readonly ErrorCode[] = ["DraftEnded", "IdReused", "Exists"];

/** Below the window, so that a master that has heard a lower floor still takes the highest. */
const windowMax = protocol.mutationWindow - 64;

/** One session that is open at the master, and which of its sequences are under way. */
class OpenSession {
  readonly id: SessionId;
  #next = 1;
  /** Ascending: sequences are taken in order. */
  readonly #underWay = new Set<number>();
  readonly #changes = new Waiters();
  #over = false;

  constructor(id: SessionId) {
    this.id = id;
  }

  /** The client's mutations go to another one. */
  get over(): boolean {
    return this.#over;
  }

  /** A sequence, as soon as there is room; undefined where the session is over. @throws what ends `op` */
  async take(op: Operation): Promise<number | undefined> {
    while (!this.#over && this.#next - this.floor() >= windowMax) await op.unlessAborted(this.#changes.wait());
    if (this.#over) return undefined;
    const taken = this.#next++;
    this.#underWay.add(taken);
    return taken;
  }

  /** The lowest sequence whose answer is still wanted. */
  floor(): number {
    for (const first of this.#underWay) return first;
    return this.#next;
  }

  /** Its answer is known, or of no interest. */
  finish(taken: number): void {
    this.#underWay.delete(taken);
    this.#changes.wake();
  }

  leave(): void {
    this.#over = true;
    this.#changes.wake();
  }
}

type Sent<Reply> =
  | { readonly kind: "done"; readonly reply: Reply }
  | { readonly kind: "refused"; readonly error: unknown }
  | { readonly kind: "unknown"; readonly error: unknown };

/**
 * One mutation, until it is answered, or the operation's time is over. `isWord`: whether a refusal says that earlier attempts, of which nothing was heard, had no effect either, and never will.
 */
async function send<Request extends z.ZodType, Reply extends z.ZodType>(
  ctx: ClientContext,
  op: Operation,
  message: MessageType<Request, Reply>,
  { build, isWord }: { readonly build: () => z.infer<Request>; readonly isWord: (refusal: unknown) => boolean },
): Promise<Sent<z.infer<Reply>>> {
  const { control, master, limits } = ctx;
  // A draft alone shows nowhere: one that nobody knows of expires.
  const shows = message.name !== draftCreate.name;
  let doubtful = false;
  if (op.signal.aborted) return { kind: "refused", error: abortError(op.what, op.signal) };
  for (let failures = 1; ; failures++) {
    try {
      const options = { timeoutMs: op.within(limits.controlMs), signal: op.signal };
      const reply = await control.call(master, message, build(), options);
      op.progress();
      return { kind: "done", reply };
    } catch (error) {
      doubtful ||= shows && isUnknown(error);
      if (!isMasterRetry(error)) return { kind: doubtful && !isWord(error) ? "unknown" : "refused", error };
      try {
        await backOff(ctx, op, { failures }, error);
      } catch (over) {
        return { kind: doubtful ? "unknown" : "refused", error: over };
      }
    }
  }
}

/** Opened with the first mutation. After an outcome that stays unknown, and has a name to be asked for by, the next mutation opens another: so it still can be. */
export class MutationSession {
  readonly #ctx: ClientContext;
  readonly #open = new SharedOpening<OpenSession>();
  readonly #toClose = new Set<SessionId>();
  /** Of each session that heartbeats keep alive, how many use it: the mutations of this client, and its lines of records. */
  readonly #users = new Map<SessionId, number>();

  constructor(ctx: ClientContext) {
    this.#ctx = ctx;
  }

  /** A session for appends whose sequences are kept elsewhere; closed with this client, or when it has no user left: `end`. */
  async openAnother(op: Operation): Promise<SessionId> {
    const { session } = await askMaster(this.#ctx, op, sessionOpen, { label: this.#ctx.label });
    this.#toClose.add(session);
    this.#use(session);
    return session;
  }

  /** The session of the mutations, for appends too: until `end`. */
  async share(op: Operation): Promise<SessionId> {
    const { id } = await this.#current(op);
    this.#use(id);
    return id;
  }

  /** It stays open at the master until it expires: somebody may repeat what is unknown. */
  abandon(session: SessionId): void {
    this.#toClose.delete(session);
  }

  /** One of its users does nothing in it any more. After the last one it is closed, and nobody waits for that; one that was abandoned expires, a day after this client last named it. */
  end(session: SessionId): void {
    const { alive, control, master, limits } = this.#ctx;
    const users = (this.#users.get(session) ?? 1) - 1;
    if (users > 0) {
      this.#users.set(session, users);
      return;
    }
    this.#users.delete(session);
    alive.sessions.delete(session);
    if (!this.#toClose.delete(session)) return;
    const closing = control.call(master, sessionClose, { session }, { timeoutMs: limits.controlMs });
    inBackground(this.#ctx, "close a session", closing);
  }

  /**
   * One mutation, exactly once, however often it has to be sent.
   *
   * `nameOf`: under which id a user can repeat it, should its outcome stay unknown.
   * @throws what the master refuses with: it had no effect; GfsError("OutcomeUnknown") where the time was over before an answer came; GfsError("Interrupted"), with
   * `details.outcome` "unknown" where it was sent
   */
  async mutate<Request extends z.ZodType<{ readonly id: MutationId }>, Reply extends z.ZodType>(
    op: Operation,
    message: MessageType<Request, Reply>,
    build: (id: MutationId) => z.infer<Request>,
    nameOf?: (place: Pick<MutationId, "session" | "sequence">) => string,
  ): Promise<z.infer<Reply>> {
    for (let expired = 0; ; expired++) {
      const { session, taken } = await this.#take(op);
      const id = { session: session.id, sequence: sequence(taken) };
      const sent = await send(this.#ctx, op, message, {
        build: () => build({ ...id, floor: sequence(session.floor()) }),
        isWord: (refusal) => !isUnread(refusal),
      });
      if (sent.kind === "unknown") {
        const name = nameOf?.(id);
        if (name === undefined) session.finish(taken);
        else this.#leave(session);
        throw outcomeUntold(op.what, sent.error, name);
      }
      session.finish(taken);
      if (sent.kind === "done") return sent.reply;
      if (!hasCode(sent.error, "SessionExpired") || expired === 2) throw sent.error;
      // This mutation was never executed.
      this.#forget(session);
    }
  }

  /** Closes what was opened, as far as the master answers at once. */
  async close(): Promise<void> {
    const { control, master } = this.#ctx;
    const sessions = [...this.#toClose];
    this.#toClose.clear();
    await Promise.allSettled(
      sessions.map((session) => control.call(master, sessionClose, { session }, { timeoutMs: 1_000 })),
    );
  }

  #current(op: Operation): Promise<OpenSession> {
    return this.#open.get(op, async () => new OpenSession(await this.openAnother(op)));
  }

  async #take(op: Operation): Promise<{ readonly session: OpenSession; readonly taken: number }> {
    for (;;) {
      const session = await this.#current(op);
      const taken = await session.take(op);
      if (taken !== undefined) return { session, taken };
    }
  }

  #use(session: SessionId): void {
    this.#users.set(session, (this.#users.get(session) ?? 0) + 1);
    this.#ctx.alive.sessions.add(session);
  }

  /** Nobody closes it; the next mutation opens another one. Once: what else was under way in it has no say in that one. */
  #leave(session: OpenSession): void {
    if (session.over) return;
    session.leave();
    this.abandon(session.id);
    this.#open.forget();
    this.end(session.id);
  }

  /** The master knows nothing of it any more. */
  #forget(session: OpenSession): void {
    this.#leave(session);
    this.#users.delete(session.id);
    this.#ctx.alive.sessions.delete(session.id);
  }
}

/** Mutations of a session that has a key: their sequences are given by the plan of what is done under the key, not by counting. */
export class KeyedSession {
  readonly #ctx: ClientContext;
  /** What its user repeats it under. */
  readonly #key: string;
  readonly id: SessionId;

  private constructor(ctx: ClientContext, id: SessionId, key: string) {
    this.#ctx = ctx;
    this.id = id;
    this.#key = key;
  }

  /** The same key gets the same session, from whatever process. */
  static async open(ctx: ClientContext, op: Operation, key: string): Promise<KeyedSession> {
    const bytes = utf8(key).length;
    if (key === "" || bytes > protocol.keyBytesMax)
      throw new GfsError("Usage", `Cannot use an id of ${bytes} bytes: 1 to ${protocol.keyBytesMax} are allowed`);
    const { session } = await askMaster(ctx, op, sessionOpen, { key, label: ctx.label });
    return new KeyedSession(ctx, session, key);
  }

  /** For the session of an append that is repeated by its place, `id`. */
  static of(ctx: ClientContext, session: SessionId, id: string): KeyedSession {
    return new KeyedSession(ctx, session, id);
  }

  /** Step `at` of the plan. What is refused may be tried again. @throws as `MutationSession.mutate` */
  async mutate<Request extends z.ZodType<{ readonly id: MutationId }>, Reply extends z.ZodType>(
    op: Operation,
    message: MessageType<Request, Reply>,
    at: number,
    build: (id: MutationId) => z.infer<Request>,
  ): Promise<z.infer<Reply>> {
    const id = { session: this.id, sequence: sequence(at), floor: sequence(1) };
    // The master does not keep what it refused under a key: an earlier attempt that arrives after a refusal may take effect.
    const isWord = (refusal: unknown): boolean => hasCode(refusal, ...draftIsOver);
    const sent = await send(this.#ctx, op, message, { build: () => build(id), isWord });
    if (sent.kind === "done") return sent.reply;
    if (sent.kind === "refused") throw sent.error;
    throw outcomeUntold(op.what, sent.error, this.#key);
  }
}
