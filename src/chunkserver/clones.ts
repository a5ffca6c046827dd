/** Clones under way at this volume (DESIGN §4.5): each runs once, however often it is ordered meanwhile, at the pace that the master sets, until it is stopped. */
import { GfsError } from "../base/errors.ts";
import { throwIfAborted } from "../net/deadline.ts";
import type { ChunkHandle, ChunkVersion } from "../wire/ids.ts";
import type { Context } from "./context.ts";
import { Pacer } from "./pacer.ts";

/** What a copy heeds on its way. */
export interface CopyControl {
  /** Aborted: the copy ends. */
  readonly signal: AbortSignal;
  /** Bytes came; resolves when more may. @throws GfsError("Interrupted") once it is stopped */
  copied(bytes: number): Promise<void>;
}

class RunningClone implements CopyControl {
  readonly #abort = new AbortController();
  readonly #pacer: Pacer;
  #bytesPerSecond: number | undefined;
  #total = 0;
  outcome: Promise<void> | undefined;

  constructor(context: Context, bytesPerSecond: number | undefined) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#pacer = new Pacer(context.world.clock, this.#abort.signal);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get total(): number {
    return this.#total;
  }

  async copied(bytes: number): Promise<void> {
    this.#total += bytes;
    const perMs = (this.#bytesPerSecond ?? Infinity) / 1_000;
    await this.#pacer.take(bytes, perMs);
    // Also of the last run: a chunk that is one run takes its time as well.
    await this.#pacer.take(0, perMs);
  }

  pace(bytesPerSecond: number | undefined): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  stop(why: GfsError): void {
    this.#abort.abort(why);
  }
}

interface Named {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
}

export class Clones {
  readonly #context: Context;
  readonly #running = new Map<string, RunningClone>();

  constructor(context: Context) {
    this.#context = context;
    context.stopping.addEventListener("abort", () => {
      for (const clone of this.#running.values())
        clone.stop(new GfsError("Interrupted", "Cannot go on: the chunkserver stops"));
    });
  }

  /** Resolves, or throws, as the copy does that is under way already or begins now. */
  async run(
    chunk: Named & { readonly bytesPerSecond?: number | undefined },
    copy: (control: CopyControl) => Promise<void>,
  ): Promise<void> {
    throwIfAborted(`copy chunk ${chunk.handle}`, this.#context.stopping);
    const key = keyOf(chunk);
    const running = this.#running.get(key);
    if (running?.outcome !== undefined) {
      running.pace(chunk.bytesPerSecond);
      return running.outcome;
    }
    const clone = new RunningClone(this.#context, chunk.bytesPerSecond);
    this.#running.set(key, clone);
    clone.outcome = copy(clone).finally(() => this.#running.delete(key));
    return clone.outcome;
  }

  /** Bytes copied by a clone that is under way; undefined: it is not. */
  copiedOf(chunk: Named): number | undefined {
    return this.#running.get(keyOf(chunk))?.total;
  }

  pace(chunk: Named, bytesPerSecond: number | undefined): void {
    this.#running.get(keyOf(chunk))?.pace(bytesPerSecond);
  }

  /** It ends with an error, and what came of it is cleared away. */
  stop(chunk: Named): void {
    const why = `Cannot copy chunk ${chunk.handle} at version ${chunk.version}: the copy is not needed any more`;
    this.#running.get(keyOf(chunk))?.stop(new GfsError("Interrupted", why));
  }
}

function keyOf({ handle, version }: Named): string {
  return `${handle} ${version}`;
}
