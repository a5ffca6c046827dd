import { appendRecordBytesMax } from "../limits.ts";
import type { Appender, AppendOptions, AppendResult } from "./api.ts";
import { appendOnce } from "./append.ts";
import type { HeldLine } from "./append-lines.ts";
import type { Appending } from "./one-append.ts";

/** Many appends to one file, in order, without waiting for each. Ends with its line: after an outcome that stays unknown another appender is needed. */
export class FileAppender implements Appender {
  readonly #appending: Appending;
  readonly #held: HeldLine;
  readonly #path: string;
  readonly #options: AppendOptions;
  /** Fulfilled when the next record may go: what is larger than a record of the line is written aside, and later ones must not overtake it. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #unsettled = new Set<Promise<unknown>>();

  constructor(appending: Appending, held: HeldLine, to: { readonly path: string; readonly options: AppendOptions }) {
    this.#appending = appending;
    this.#held = held;
    this.#path = to.path;
    this.#options = to.options;
  }

  /** The bytes must not be changed before it settles. A record too large for the tail becomes chunks of its own, after all records before it. */
  append(record: Uint8Array): Promise<AppendResult> {
    const large = this.#isLarge(record);
    const appended = this.#append(record, large ? this.#settled() : this.#turn);
    const settle = (): void => {
      this.#unsettled.delete(appended);
    };
    const settled = appended.then(settle, settle);
    this.#unsettled.add(appended);
    if (large) this.#turn = settled;
    return appended;
  }

  async ready(): Promise<void> {
    await this.#turn;
    await this.#held.line.ready();
  }

  /** When all is answered. Its line may end then. */
  async close(): Promise<void> {
    await this.#settled();
    this.#held[Symbol.dispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #settled(): Promise<void> {
    await Promise.allSettled(this.#unsettled);
  }

  #isLarge(record: Uint8Array): boolean {
    return record.length === 0 || record.length > appendRecordBytesMax(this.#appending.chunkBytes);
  }

  async #append(record: Uint8Array, turn: Promise<unknown>): Promise<AppendResult> {
    await turn;
    if (this.#isLarge(record))
      return appendOnce(this.#appending, { path: this.#path, source: { kind: "bytes", bytes: record } }, this.#options);
    const { fileOffset, bytes } = await this.#held.line.append(record, this.#options.signal);
    return { path: this.#path, offset: fileOffset, bytes };
  }
}
