/** The way to the open tail of a file (DESIGN §4.3): asked from the master, then opened at its primary. */
import { type ErrorCode, GfsError, hasCode } from "../base/errors.ts";
import { StreamError } from "../io.ts";
import { withTimeout } from "../net/deadline.ts";
import { errorOfFrame, type FrameConnection } from "../net/frame-connection.ts";
import type { AppendAnswer } from "../wire/control/common.ts";
import { appendAnswers } from "../wire/control/append-answers.ts";
import { appendTail } from "../wire/control/files.ts";
import { AppendOpen, AppendOpened, decodeHeader, encodeHeader } from "../wire/data/headers.ts";
import type { ChunkHandle, ChunkVersion, InodeId, SessionId } from "../wire/ids.ts";
import type { ClientContext } from "./context.ts";

/** The one stream on a connection to a primary. */
export const appendStreamId = 1;

/** A tail that can't be used, and why: the master seals it. */
export interface FailedTail {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly reason: string;
}

export interface OpenedTail {
  readonly frames: FrameConnection;
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  /** What the primary knows of the session already. */
  readonly answers: readonly AppendAnswer[];
}

/** A tail that a line of records goes to. */
export interface SendingTail extends Omit<OpenedTail, "answers"> {
  readonly openedMs: number;
  /** How many of the queue, from its head, were sent on this stream. */
  sent: number;
  /** What the primary refused: it takes no more records here, but may still answer earlier ones. */
  refusal: GfsError | undefined;
}

/** `failed`: the tail that is to blame, if one is. */
export class TailFailure extends Error {
  override readonly name = "TailFailure";
  readonly error: GfsError;
  readonly failed: FailedTail | undefined;

  constructor(error: GfsError, failed: FailedTail | undefined) {
    super(error.message);
    this.error = error;
    this.failed = failed;
  }
}

const noFaultOfTheTail: readonly ErrorCode[] = ["Busy", "Denied", "WrongCluster", "Interrupted"];

export interface TailRequest {
  readonly inode: InodeId;
  readonly session: SessionId;
  readonly recordBytes: number;
  readonly failed: FailedTail | undefined;
  readonly signal: AbortSignal;
}

/** @throws GfsError as the master refuses; TailFailure where the primary can't be used */
export async function openTail(ctx: ClientContext, request: TailRequest): Promise<OpenedTail> {
  const { control, master, limits, whereabouts, pool, world } = ctx;
  const { inode, session, recordBytes, failed, signal } = request;
  const ask = {
    inode,
    session,
    recordBytes,
    ...(failed === undefined ? {} : { failed }),
    ...whereabouts,
  };
  const tail = await control.call(master, appendTail, ask, { timeoutMs: limits.controlMs, signal });
  const { handle, version } = tail;
  const [primary] = tail.chain;
  if (primary === undefined) throw new GfsError("Unavailable", `Cannot append to chunk ${handle}: it has no members`);
  const what = `append to chunk ${handle} at ${primary.data}`;
  let frames: FrameConnection | undefined;
  try {
    const taken = await pool.take(primary.data, limits.connectMs, signal);
    frames = taken;
    const header = { volume: primary.volume, handle, version, inode, session };
    taken.send("appendOpen", appendStreamId, encodeHeader(AppendOpen, header));
    const frame = await withTimeout(world.clock, limits.prepareMs, what, () => taken.read(), signal);
    if (frame === null) throw new StreamError("closed", `Cannot ${what}: it closed the connection`);
    if (frame.type === "error") throw errorOfFrame(frame, primary.data);
    if (frame.type !== "appendOpened") throw new GfsError("ProtocolError", `Cannot ${what}: it sent ${frame.type}`);
    const { answers } = decodeHeader(AppendOpened, frame.header);
    return { frames: taken, handle, version, answers };
  } catch (thrown) {
    frames?.close();
    // A connection that had waited in the pool may have ended with an earlier start of its server.
    const stale = frames !== undefined && pool.wasIdle(frames) && thrown instanceof StreamError;
    pool.forget(primary.data);
    const error = appendError(thrown);
    const blameless = stale || noFaultOfTheTail.includes(error.code);
    throw new TailFailure(error, blameless ? undefined : { handle, version, reason: error.code });
  }
}

/** What the file's sealed tails took of a session's records, where there is no other tail; undefined where the master can't tell. */
export async function askTaken(
  ctx: ClientContext,
  { inode, session, signal }: Pick<TailRequest, "inode" | "session" | "signal">,
): Promise<readonly AppendAnswer[] | undefined> {
  const { control, master, limits } = ctx;
  try {
    const { answers } = await control.call(
      master,
      appendAnswers,
      { inode, session },
      { timeoutMs: limits.controlMs, signal },
    );
    return answers;
  } catch (thrown) {
    appendError(thrown);
    return undefined;
  }
}

/** What was thrown on the way, as an operating error. Bugs go through. */
export function appendError(thrown: unknown): GfsError {
  if (thrown instanceof GfsError) return thrown;
  if (thrown instanceof TailFailure) return thrown.error;
  if (thrown instanceof StreamError)
    return new GfsError(thrown.kind === "timeout" ? "Timeout" : "Unavailable", thrown.message, { cause: thrown });
  throw thrown;
}

const final: readonly ErrorCode[] = [
  "NotFound",
  "IsDirectory",
  "InodeChanged",
  "SessionExpired",
  "IdReused",
  "RangeInvalid",
  "Denied",
  "WrongCluster",
  "VersionUnsupported",
  "Interrupted",
  "MutationsStopped",
  "Bug",
];
/** Final for what was never sent. What was sent is worth waiting for longer: only an answer can tell what became of it. */
const finalUnsent: readonly ErrorCode[] = ["TooFewServers", "NoSpace"];

/** True where another try can't help, or may not be made. */
export function isFinal(error: GfsError, sentAny: boolean): boolean {
  return final.includes(error.code) || (!sentAny && finalUnsent.includes(error.code));
}

/**
 * True where the master itself says that there is no other tail, so that it can tell what the sealed ones took. A stream of records waits for servers to come back; what was asked for under
 * an id does not: it can be repeated. A primary's word is about its own disk alone.
 */
export function isNoTail(thrown: unknown, { id }: { readonly id?: string | undefined }): boolean {
  return hasCode(thrown, "NoSpace") || (id !== undefined && hasCode(thrown, "TooFewServers"));
}
