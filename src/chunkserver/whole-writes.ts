/**
 * Puts of small chunks at one server (DESIGN §4.2, adr/0012): a chunk that came in one frame is verified, passed on, and kept, the latter two at once. Acknowledged when it is synced
 * here and everywhere behind; a failure names the volume that failed.
 */
import { defined } from "../base/assert.ts";
import { GfsError } from "../base/errors.ts";
import { CallFailure } from "../net/frame-calls.ts";
import {
  encodeWholeDone,
  decodeWhole,
  decodeWholeDone,
  type WholeMember,
  type WholeWrite,
} from "../wire/data/whole.ts";
import type { Frame } from "../wire/data/frame.ts";
import type { VolumeId } from "../wire/ids.ts";
import { operatingError, traceMutation, type Context } from "./context.ts";
import type { StreamReply } from "./data-stream.ts";
import { connectionFailure, failureOf } from "./remote-error.ts";

interface Failure {
  readonly error: GfsError;
  readonly volume: VolumeId;
}

export class WholeWrites {
  readonly #context: Context;
  readonly #bytesMax: number;
  /** Of chunks that are not yet both kept and passed on. */
  #bytes = 0;

  /** `bytesMax`: of all that are under way. Others are told to come back: to let them wait might make two servers wait for each other. */
  constructor(context: Context, bytesMax: number) {
    this.#context = context;
    this.#bytesMax = bytesMax;
  }

  /** Answers by itself, once. @throws GfsError where it refuses at once: Corrupt, ProtocolError, ReplicaMissing, Busy */
  begin(frame: Frame, reply: StreamReply): undefined {
    const context = this.#context;
    const whole = decodeWhole(frame);
    const { handle, chain, run } = whole;
    const [self, next] = chain;
    const own = context.store.volume;
    if (self?.volume !== own)
      throw new GfsError("ReplicaMissing", `Cannot write chunk ${handle}: this is volume ${own}`);
    if (this.#bytes + run.bytes > this.#bytesMax) {
      const why = `${this.#bytes} bytes of others are under way`;
      throw new GfsError("Busy", `Cannot write chunk ${handle}: ${why}`, { retryAfterMs: 100 });
    }
    this.#bytes += run.bytes;
    traceMutation(context, "START", whole, { bytes: run.bytes, from: reply.remote });
    let waiting = next === undefined ? 1 : 2;
    const settled = (failure: Failure | undefined): void => {
      waiting--;
      if (waiting === 0) this.#bytes -= run.bytes;
      if (reply.ended) return;
      if (failure !== undefined) {
        const { error, volume } = failure;
        traceMutation(context, "ROLLBACK", whole, { reason: error.message, volume });
        reply.fail(error, volume);
      } else if (waiting === 0) {
        const done = { length: run.bytes, crc: whole.crc, volumes: chain.length };
        traceMutation(context, "COMMIT", whole, done);
        reply.done("wholeDone", encodeWholeDone(done));
      }
    };
    const failed = (thrown: unknown, volume: VolumeId): void =>
      settled({ error: operatingError(context, thrown), volume });
    if (next !== undefined) this.#passOn(whole, next).then(settled, (thrown: unknown) => failed(thrown, next.volume));
    this.#keep(whole).then(
      () => settled(undefined),
      (thrown: unknown) => failed(thrown, own),
    );
    return undefined;
  }

  async #keep(whole: WholeWrite): Promise<void> {
    const { handle, version, origin, run } = whole;
    await this.#context.store.writeWhole({ handle, version, origin }, run, whole.crc);
    traceMutation(this.#context, "PREPARE", whole, { length: run.bytes, crc: whole.crc });
  }

  async #passOn(whole: WholeWrite, next: WholeMember): Promise<Failure | undefined> {
    const { calls, limits } = this.#context;
    const { handle, chain, run, crc } = whole;
    const header = defined(whole.passedOn, "the header for the next member");
    let frame;
    try {
      frame = await calls.call(next.data, {
        type: "writeWhole",
        header,
        payload: run.payload,
        connectMs: limits.connectMs,
        silentMs: limits.putStallMs,
        // Of those that live, the last of the chain notices first, so that the one who is really stuck is named.
        answerMs: limits.putStallMs * (1 + (chain.length - 1) / 8),
      });
    } catch (thrown) {
      const reason = thrown instanceof CallFailure ? thrown.reason : thrown;
      return { error: connectionFailure(`pass chunk ${handle} on`, next.data, reason), volume: next.volume };
    }
    if (frame.type === "error") {
      const { error, volume = next.volume } = failureOf(frame);
      return { error, volume };
    }
    const done = decodeWholeDone(frame);
    if (done.length === run.bytes && done.crc === crc && done.volumes === chain.length - 1) return undefined;
    const why = `Cannot finish chunk ${handle}: the next server closed other bytes`;
    return { error: new GfsError("Corrupt", why), volume: next.volume };
  }
}
