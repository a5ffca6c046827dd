/** Trying again: what is worth it, how often, and until when. */
import { type ErrorCode, errorCodes, GfsError, hasCode } from "../base/errors.ts";
import { type Random, StreamError } from "../io.ts";
import type { z } from "zod";
import { backoffMs } from "../net/backoff.ts";
import { sleep } from "../net/deadline.ts";
import type { MessageType } from "../wire/control/common.ts";
import type { ClientContext, Operation } from "./context.ts";

/** Of a call to the master: it, or the way to it, may be back soon. `TooFewServers` is not among them: whoever asks wants to know it at once. (Servers that have yet to register with a master that has just started are `Unavailable`.) */
const masterRetry: readonly ErrorCode[] = ["Unavailable", "Timeout", "Busy"];

/** True where nobody knows whether the request was executed. */
export function isUnknown(error: unknown): boolean {
  if (hasCode(error, "Interrupted")) return true;
  return hasCode(error, "Timeout", "ProtocolError") && error.details["outcome"] === "unknown";
}

/** Nobody has looked whether the request was executed before; or nobody understands, or waits for, what was found. */
const unread: readonly ErrorCode[] = [
  "SessionExpired",
  "MutationsStopped",
  "Denied",
  "WrongCluster",
  "VersionUnsupported",
  "ProtocolError",
  "Interrupted",
];

/** True where the error says nothing of an earlier attempt. */
export function isUnread(error: unknown): boolean {
  return hasCode(error, ...unread);
}

/** What a try needs at least. */
const tryMs = 10;

export interface Patience {
  /** In a row. */
  readonly failures: number;
  readonly leftMs: number;
  /** What the next try needs of it. */
  readonly tryMs?: number | undefined;
}

/**
 * How long to wait before the next try: at least as long as the error asks for. Nobody gives up because a long pause would leave no time: it is half of the time that is left at most.
 * Undefined where no time for a try would be left.
 */
export function pauseMs(error: unknown, patience: Patience, random: Random): number | undefined {
  const { failures, leftMs } = patience;
  const asked = error instanceof GfsError ? (error.retryAfterMs ?? 0) : 0;
  const ms = Math.max(asked, failures === 0 ? 0 : Math.min(backoffMs(failures, random), leftMs / 2));
  return leftMs - ms < (patience.tryMs ?? tryMs) ? undefined : ms;
}

/**
 * Waits before the next try.
 * @throws the error itself where the operation's time is over before; GfsError("Interrupted")
 */
export async function backOff(
  ctx: ClientContext,
  op: Operation,
  patience: Omit<Patience, "leftMs">,
  error: unknown,
): Promise<void> {
  const { clock, random } = ctx.world;
  const ms = pauseMs(error, { ...patience, leftMs: op.deadline.remainingMs() }, random);
  if (ms === undefined) throw error;
  await sleep(clock, ms, op.signal);
}

/** One call to the master that may be repeated: tried until it answers or the operation's time is over. An answer alone is no progress: it may be the same again and again. @throws what the master refused with */
export function askMaster<Request extends z.ZodType, Reply extends z.ZodType>(
  ctx: ClientContext,
  op: Operation,
  message: MessageType<Request, Reply>,
  request: z.infer<Request>,
): Promise<z.infer<Reply>> {
  return askLong(ctx, op, { message, request, waitMs: 0 });
}

/** As `askMaster`; the master may keep the answer back for `waitMs`. */
export async function askLong<Request extends z.ZodType, Reply extends z.ZodType>(
  ctx: ClientContext,
  op: Operation,
  {
    message,
    request,
    waitMs,
  }: {
    readonly message: MessageType<Request, Reply>;
    readonly request: z.infer<Request>;
    readonly waitMs: number;
  },
): Promise<z.infer<Reply>> {
  for (let failures = 1; ; failures++) {
    try {
      const timeoutMs = op.within(waitMs + ctx.limits.controlMs);
      return await ctx.control.call(ctx.master, message, request, { timeoutMs, signal: op.signal });
    } catch (error) {
      if (!isMasterRetry(error)) throw error;
      await backOff(ctx, op, { failures }, error);
    }
  }
}

export function isMasterRetry(error: unknown): boolean {
  return hasCode(error, ...masterRetry);
}

/** What a caller is told once there is no time left: that another server was to be asked next is the client's own business, and says nothing to them. */
export function gaveUp(error: GfsError): GfsError {
  if (errorCodes[error.code].next !== "relocate" || error.code === "Corrupt") return error;
  return new GfsError("Unavailable", error.message, { details: error.details, cause: error });
}

/** Anything that a data connection threw, as an operating error that names the server. */
export function connectionError(what: string, address: string, thrown: unknown): GfsError {
  if (thrown instanceof GfsError) return thrown;
  if (!(thrown instanceof StreamError)) throw thrown;
  const code = thrown.kind === "timeout" ? "Timeout" : "Unavailable";
  return new GfsError(code, `Cannot ${what}: ${address}: ${thrown.message}`, { cause: thrown });
}
