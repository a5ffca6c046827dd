/**
 * How quick each server was to this client lately (DESIGN §4.4): how long a reader waited for its first byte, and for each MiB after that. Nothing
 * is known of a server for ever: one that was slow is tried again once its figures are old.
 */

/** Of each sample; the rest is what was known before. */
const sampleWeight = 0.25;
/** A figure that no sample confirmed for so long is forgotten. */
const forgetMs = 30_000;
/** Much slower: by this factor, and by so much. Less is noise, and the master's order (nearest first) stands. */
const slowFactor = 3;
const slowByMs = 10;
/** What a server of which nothing is known is taken to need, at most. */
const unknownMs = 50;
/** A second try is worth it after as long as it would probably take itself, so many times. */
const hedgeFactor = 4;
const serversMax = 4_096;
const mebibyte = 1_048_576;

interface Speed {
  firstMs: number;
  msPerMebibyte: number;
  atMs: number;
}

export interface HedgeBounds {
  readonly minMs: number;
  readonly maxMs: number;
}

export class ServerSpeeds {
  readonly #speeds = new Map<string, Speed>();

  /** It took so long from the request to the first byte; of one that gave none: at least so long. */
  noteFirst(server: string, waitedMs: number, nowMs: number): void {
    const speed = this.#known(server, nowMs);
    if (speed === undefined) this.#add(server, { firstMs: waitedMs, msPerMebibyte: 0, atMs: nowMs });
    else speed.firstMs += (waitedMs - speed.firstMs) * sampleWeight;
    if (speed !== undefined) speed.atMs = nowMs;
  }

  /** A reader waited so long in all for `bytes`, after the first. Too few bytes tell nothing. */
  noteStream(
    server: string,
    { waitedMs, bytes }: { readonly waitedMs: number; readonly bytes: number },
    nowMs: number,
  ) {
    const speed = this.#known(server, nowMs);
    if (speed === undefined || bytes < mebibyte) return;
    speed.msPerMebibyte += ((waitedMs * mebibyte) / bytes - speed.msPerMebibyte) * sampleWeight;
    speed.atMs = nowMs;
  }

  /** How long `bytes` will probably take; undefined where nothing is known. */
  expectedMs(server: string, bytes: number, nowMs: number): number | undefined {
    const speed = this.#known(server, nowMs);
    return speed === undefined ? undefined : speed.firstMs + (speed.msPerMebibyte * bytes) / mebibyte;
  }

  /** As given, those that are much slower than the quickest last. A server of which nothing is known may be as quick as any. */
  order<T>(
    all: readonly T[],
    of: (one: T) => string,
    { bytes, nowMs }: { bytes: number; nowMs: number },
  ): readonly T[] {
    const expected = all.map((one) => this.expectedMs(of(one), bytes, nowMs));
    const quickest = Math.min(...expected.map((ms) => ms ?? unknownMs));
    const slow = (i: number): boolean => isMuchSlower(expected[i] ?? 0, quickest);
    return [...all.filter((_, i) => !slow(i)), ...all.filter((_, i) => slow(i))];
  }

  /** How long to wait for one server before `rival` is asked as well. */
  hedgeAfterMs(rival: string, { minMs, maxMs }: HedgeBounds, nowMs: number): number {
    const expectedMs = this.expectedMs(rival, mebibyte, nowMs) ?? 0;
    return Math.max(1, Math.min(maxMs, Math.max(minMs, hedgeFactor * expectedMs)));
  }

  #known(server: string, nowMs: number): Speed | undefined {
    const speed = this.#speeds.get(server);
    return speed === undefined || nowMs - speed.atMs > forgetMs ? undefined : speed;
  }

  #add(server: string, speed: Speed): void {
    this.#speeds.delete(server);
    const [oldest] = this.#speeds.keys();
    if (this.#speeds.size >= serversMax && oldest !== undefined) this.#speeds.delete(oldest);
    this.#speeds.set(server, speed);
  }
}

function isMuchSlower(ms: number, quickestMs: number): boolean {
  return ms >= slowFactor * quickestMs && ms >= quickestMs + slowByMs;
}
