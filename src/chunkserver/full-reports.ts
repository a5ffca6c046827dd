/** The list of all replicas of a volume, in pages, on a control connection of its own so that no heartbeat waits behind it (DESIGN §4.6). */
import { asGfsError } from "../base/errors.ts";
import type { Timer } from "../io.ts";
import { protocol } from "../limits.ts";
import { backoffMs } from "../net/backoff.ts";
import type { ControlClient } from "../net/control-client.ts";
import { report, reportEntryBytes, type ReplicaReport } from "../wire/control/chunkservers.ts";
import { packReport } from "../wire/report.ts";
import type { Context } from "./context.ts";

const entriesPerPage = Math.floor(protocol.reportPageBytesMax / reportEntryBytes);

export interface FullReportOptions {
  readonly master: string;
  readonly incarnation: string;
  /** Nobody else's. */
  readonly client: ControlClient;
}

interface ReportPage {
  readonly report: number;
  readonly page: number;
  readonly last: boolean;
  readonly factMark?: number;
  readonly entries: Uint8Array<ArrayBuffer>;
}

export class FullReports {
  readonly #context: Context;
  readonly #options: FullReportOptions;
  #number = 0;
  #factMark: number | undefined;
  #sending = false;
  /** Asked for while one was being sent: that one was begun too early. */
  #again = false;
  #timer: Timer | undefined;
  #retry: Timer | undefined;
  /** Since the last one that was through. */
  #failures = 0;

  constructor(context: Context, options: FullReportOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** Besides those that are asked for, one each `intervalMs`. */
  every(intervalMs: number): void {
    this.#timer?.cancel();
    if (this.#context.stopping.aborted) return;
    this.#timer = this.#context.world.clock.after(intervalMs, () => {
      this.send();
      this.every(intervalMs);
    });
  }

  /** The master's mark of what it knew; goes into the reports that begin from now on, unchanged. */
  noteFactMark(mark: number | undefined): void {
    if (mark !== undefined) this.#factMark = mark;
  }

  /** Sends one in the background; after a failure another, until one is through: the master serves nothing of what it has not heard of. */
  send(): void {
    if (this.#sending) {
      this.#again = true;
      return;
    }
    this.#sending = true;
    this.#retry?.cancel();
    this.#pages()
      .catch((thrown: unknown) => {
        const { world, stopping } = this.#context;
        world.events.emit("info", "report.failed", { reason: asGfsError(thrown).message });
        if (stopping.aborted) return;
        this.#retry = world.clock.after(backoffMs(this.#failures++, world.random), () => this.send());
      })
      .finally(() => {
        this.#sending = false;
        if (!this.#again) return;
        this.#again = false;
        this.send();
      })
      .catch(() => undefined);
  }

  close(): void {
    this.#timer?.cancel();
    this.#retry?.cancel();
    this.#options.client.close();
  }

  async #pages(): Promise<void> {
    const { store, stopping } = this.#context;
    const number = ++this.#number;
    const factMark = this.#factMark;
    const replicas = store.reports();
    let page = 0;
    let last = false;
    while (!last && !stopping.aborted) {
      const entries: ReplicaReport[] = [];
      while (entries.length < entriesPerPage) {
        const next = replicas.next();
        last = next.done === true;
        if (next.done === true) break;
        entries.push(next.value);
      }
      const mark = factMark === undefined ? {} : { factMark };
      await this.#send({ report: number, page, last, entries: new Uint8Array(packReport(entries)), ...mark });
      page++;
    }
    this.#failures = 0;
  }

  async #send(page: ReportPage): Promise<void> {
    const { store, limits, stopping } = this.#context;
    const { master, incarnation, client } = this.#options;
    const request = { volume: store.volume, incarnation, ...page };
    await client.call(master, report, request, { timeoutMs: limits.controlMs, signal: stopping });
  }
}
