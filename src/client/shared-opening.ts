/** Something that many operations need at once: one of them opens it for all. */
import type { Operation } from "./context.ts";

export class SharedOpening<T extends object | number> {
  #opening: Promise<T> | undefined;

  /**
   * What is open, or is being opened by another operation, or what `open` opens. A failure is told to who began it alone: it may have been interrupted, or have had less time. Whoever
   * waited for it looks again.
   * @throws what `open` throws; what ends `op`
   */
  async get(op: Operation, open: () => Promise<T>): Promise<T> {
    for (;;) {
      const others = this.#opening;
      if (others === undefined) return this.#begin(open);
      const opened = await op.unlessAborted(others.catch(() => undefined));
      if (opened !== undefined) return opened;
    }
  }

  /** The next `get` opens another. */
  forget(): void {
    this.#opening = undefined;
  }

  #begin(open: () => Promise<T>): Promise<T> {
    const opening = open();
    this.#opening = opening;
    opening.catch(() => {
      if (this.#opening === opening) this.#opening = undefined;
    });
    return opening;
  }
}
