/** A server that is being emptied: the master does it, and this asks it how far it is. */
import { GfsError } from "../base/errors.ts";
import { sleep } from "../net/deadline.ts";
import { type DrainReport, drains } from "../wire/control/drains.ts";
import type { AwaitDrainOptions } from "./api.ts";
import { type ClientContext, Operation } from "./context.ts";
import { askMaster } from "./retry.ts";

/** Between two looks: at first often, so that a short drain is told soon. */
const lookMs = { first: 50, last: 1_000 };

interface Left {
  readonly bytes: number;
  readonly open: number;
}

/** Waited for as long as it can be finished; where it can't as things are, as long as it gains something. */
export async function awaitDrain(
  ctx: ClientContext,
  volume: string,
  { signal, onProgress }: AwaitDrainOptions = {},
): Promise<DrainReport> {
  const { clock } = ctx.world;
  using op = new Operation(ctx, `wait for ${volume}`, signal);
  let least: Left = { bytes: Infinity, open: Infinity };
  let gainedMs = clock.monotonicMs();
  let looseMs = gainedMs;
  for (let pauseMs = lookMs.first; ; pauseMs = Math.min(2 * pauseMs, lookMs.last)) {
    // Of all that are being drained: asked for alone, it is reported also when it is not.
    const found = (await askMaster(ctx, op, drains, {})).drains;
    const report = found.find((one) => one.volume === volume);
    if (report === undefined)
      throw new GfsError("NotFound", `Cannot wait for ${volume}: it is not being drained any more`);
    if (report.state === "safe") return report;
    const now = clock.monotonicMs();
    const { bytesLeft: bytes = Infinity, openChunks: open = Infinity } = report;
    // Less than ever: what a flapping server takes and gives back is no gain.
    if (bytes < least.bytes || open < least.open) gainedMs = now;
    least = { bytes: Math.min(least.bytes, bytes), open: Math.min(least.open, open) };
    if (report.state !== "stuck") looseMs = now;
    onProgress?.(report, now - gainedMs);
    if (now - Math.max(gainedMs, looseMs) >= ctx.limits.clientTimeoutMs)
      throw new GfsError(
        "Timeout",
        `Cannot empty ${report.label === "" ? volume : report.label} as things are: ${report.why}`,
      );
    await sleep(clock, pauseMs, op.signal);
    op.progress();
  }
}
