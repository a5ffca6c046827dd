import { Presets, SingleBar } from "cli-progress";
import { formatDuration, formatSize } from "../../src/config/units.ts";
import { isTerminal } from "../../src/host/environment.ts";

export interface Progress {
  /** `total` is undefined while it isn't known (standard input). */
  update(doneBytes: number, totalBytes: number | undefined): void;
  stop(): void;
}

const silent: Progress = { update() {}, stop() {} };

/** A bar on standard error with rate and time left, on a terminal only. */
export function makeProgress(what: string, options: { readonly quiet: boolean }): Progress {
  if (options.quiet || !isTerminal("stderr")) return silent;
  const startedMs = performance.now();
  let bar: SingleBar | undefined;
  return {
    update(doneBytes, totalBytes) {
      const seconds = (performance.now() - startedMs) / 1_000;
      const rate = seconds > 0 ? doneBytes / seconds : 0;
      const left =
        totalBytes === undefined || rate === 0 ? "" : formatDuration(((totalBytes - doneBytes) / rate) * 1_000);
      const payload = {
        done: formatSize(doneBytes),
        size: totalBytes === undefined ? "?" : formatSize(totalBytes),
        rate: formatSize(Math.round(rate)),
        left: left === "" ? "" : `, ${left} left`,
      };
      if (bar === undefined) {
        const format = `${what} ${totalBytes === undefined ? "" : "[{bar}] {percentage}% "}{done} of {size}, {rate}/s{left}`;
        bar = new SingleBar(
          { format, stream: process.stderr, hideCursor: true, clearOnComplete: true, etaBuffer: 1, fps: 8 },
          Presets.shades_grey,
        );
        bar.start(totalBytes ?? 0, doneBytes, payload);
      } else bar.update(doneBytes, payload);
    },
    stop() {
      bar?.stop();
      bar = undefined;
    },
  };
}
