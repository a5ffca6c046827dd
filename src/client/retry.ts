/** Trying again: what is worth it, how often, and until when. */
import { type ErrorCode, GfsError, hasCode } from "../base/errors.ts";
import { StreamError } from "../io.ts";
import type { z } from "zod";
import { backoffMs } from "../net/backoff.ts";
import { sleep } from "../net/deadline.ts";
import type { MessageType } from "../wire/control/common.ts";
import type { ClientContext, Operation } from "./context.ts";

/** Of a call to the master: it, or the way to it, may be back soon. `TooFewServers` is not among them: whoever asks wants to know it at once. */
const masterRetry: readonly ErrorCode[] = ["Unavailable", "Timeout", "Busy"];

/** True where nobody knows whether the request was executed. */
export function isUnknown(error: unknown): boolean {
  return hasCode(error, "Timeout") && error.details["outcome"] === "unknown";
}

/**
 * Waits before the next try after `failures` failures in a row: at least as long as the error asks for.
 * @throws the error itself where the operation's time is over before; GfsError("Interrupted")
 */
export async function backOff(ctx: ClientContext, op: Operation, failures: number, error: unknown): Promise<void> {
  const asked = error instanceof GfsError ? (error.retryAfterMs ?? 0) : 0;
  const ms = Math.max(asked, backoffMs(failures, ctx.world.random));
  if (op.deadline.remainingMs() <= ms) throw error;
  await sleep(ctx.world.clock, ms, op.signal);
}

/** One call to the master that may be repeated: tried until it answers or the operation's time is over. An answer alone is no progress: it may be the same again and again. @throws what the master refused with */
export async function askMaster<Request extends z.ZodType, Reply extends z.ZodType>(
  ctx: ClientContext,
  op: Operation,
  message: MessageType<Request, Reply>,
  request: z.infer<Request>,
): Promise<z.infer<Reply>> {
  for (let failures = 1; ; failures++) {
    try {
      const timeoutMs = op.within(ctx.limits.controlMs);
      return await ctx.control.call(ctx.master, message, request, { timeoutMs, signal: op.signal });
    } catch (error) {
      if (!hasCode(error, ...masterRetry)) throw error;
      await backOff(ctx, op, failures, error);
    }
  }
}

export function isMasterRetry(error: unknown): boolean {
  return hasCode(error, ...masterRetry);
}

/** Anything that a data connection threw, as an operating error that names the server. */
export function connectionError(what: string, address: string, thrown: unknown): GfsError {
  if (thrown instanceof GfsError) return thrown;
  if (!(thrown instanceof StreamError)) throw thrown;
  const code = thrown.kind === "timeout" ? "Timeout" : "Unavailable";
  return new GfsError(code, `Cannot ${what}: ${address}: ${thrown.message}`, { cause: thrown });
}
