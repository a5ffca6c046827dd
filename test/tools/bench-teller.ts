/** A chunkserver that only says what it holds: it registers, sends heartbeats, and reports replicas of the files of million-files.ts. */
import { protocol } from "../../src/limits.ts";
import type { ControlClient } from "../../src/net/control-client.ts";
import { heartbeat, register, report, reportEntryBytes } from "../../src/wire/control/chunkservers.ts";
import { chunkHandle, chunkVersion, type VolumeId } from "../../src/wire/ids.ts";
import { packReport } from "../../src/wire/report.ts";
import { sizesOf } from "./million-files.ts";

export interface TellerOptions {
  readonly master: string;
  readonly volume: VolumeId;
  /** Where the master finds its control plane; nobody is there where left out. */
  readonly control?: string;
  readonly rack?: string;
  readonly held: {
    readonly count: number;
    readonly at: (n: number) => { readonly handle: number; readonly file: number };
  };
}

const timeoutMs = 60_000;
const nobody = "127.0.0.1:9";
const space = { totalBytes: 1e15, freeBytes: 9e14, usedBytes: 1e14 };
const perPage = Math.floor(protocol.reportPageBytesMax / reportEntryBytes);
const version = chunkVersion(1);

export class Teller {
  readonly #control: ControlClient;
  readonly #options: TellerOptions;
  #beats: ReturnType<typeof setInterval> | undefined;
  #reports = 0;

  constructor(control: ControlClient, options: TellerOptions) {
    this.#control = control;
    this.#options = options;
  }

  async begin(): Promise<void> {
    const { master, volume, control = nobody, rack } = this.#options;
    const known = {
      volume,
      incarnation: "1",
      label: "",
      control,
      data: nobody,
      ...(rack === undefined ? {} : { rack }),
    };
    const request = { ...known, space, highestHandle: 0, version: "bench" };
    await this.#control.call(master, register, request, { timeoutMs });
    const beat = { volume, incarnation: "1", space, streams: 0, open: [], bad: [] };
    this.#beats = setInterval(() => {
      this.#control.call(master, heartbeat, beat, { timeoutMs }).catch(() => undefined);
    }, 1_000);
  }

  /** All that it holds. */
  async tell(): Promise<void> {
    const { master, volume, held } = this.#options;
    this.#reports++;
    for (let from = 0, page = 0; from < held.count; from += perPage, page++) {
      const count = Math.min(perPage, held.count - from);
      const replicas = Array.from({ length: count }, (_, n) => {
        const { handle, file } = held.at(from + n);
        const known = { handle: chunkHandle(handle), promisedVersion: version, dataVersion: version };
        return { ...known, ...sizesOf(file), state: "sealed" } as const;
      });
      const entries = new Uint8Array(packReport(replicas));
      const last = from + count === held.count;
      const body = { volume, incarnation: "1", report: this.#reports, page, last, entries };
      await this.#control.call(master, report, body, { timeoutMs });
    }
  }

  /** From here on it is silent. */
  end(): void {
    clearInterval(this.#beats);
  }
}
