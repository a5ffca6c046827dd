/** Runs one piece of work at a time for each key, in the order of asking. */
export class KeyedLock {
  readonly #last = new Map<number, Promise<void>>();

  async run<T>(key: number, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    let release: () => void = () => undefined;
    const mine = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#last.set(key, mine);
    if (before !== undefined) await before;
    try {
      return await work();
    } finally {
      if (this.#last.get(key) === mine) this.#last.delete(key);
      release();
    }
  }
}
