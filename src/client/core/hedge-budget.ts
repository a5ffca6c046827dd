/**
 * How many reads may be sent to a second server as well (DESIGN §4.4): a share of all, so that a cluster that is slow as a whole does not get twice
 * the work. Each read adds `share` of a token, each hedge takes one.
 */

/** Tokens at the start, and at most: a process that reads one file may hedge too. */
export const hedgeBurst = 8;

export class HedgeBudget {
  readonly #share: number;
  #tokens: number;

  /** `share`: 0 to 1; with 0 no read is ever hedged. */
  constructor(share: number) {
    this.#share = share;
    this.#tokens = share === 0 ? 0 : hedgeBurst;
  }

  /** A server was asked for bytes. */
  earn(): void {
    this.#tokens = Math.min(hedgeBurst, this.#tokens + this.#share);
  }

  /** False where the share is used up. */
  spend(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
