/** What is ordered to be read and checked: the master has it done, and this asks it how far it is. */
import { sleep } from "../net/deadline.ts";
import { type ScrubOrder, scrubOrders, scrubStart, scrubStop, type ScrubTarget } from "../wire/control/scrub-orders.ts";
import { formatPath, parsePath } from "../wire/path.ts";
import type { CallOptions } from "./api.ts";
import { type ClientContext, Operation } from "./context.ts";
import { askMaster } from "./retry.ts";

/** Between two looks: at first often, so that a short order is told soon. */
const lookMs = { first: 50, last: 1_000 };

export async function startScrub(
  ctx: ClientContext,
  target: ScrubTarget,
  { signal }: CallOptions = {},
): Promise<string> {
  const named = target.kind === "path" ? { ...target, path: formatPath(parsePath(target.path)) } : target;
  using op = new Operation(ctx, `scrub ${named.kind === "path" ? named.path : named.server}`, signal);
  return (await askMaster(ctx, op, scrubStart, { target: named })).id;
}

export async function listScrubOrders(
  ctx: ClientContext,
  id: string | undefined,
  { signal }: CallOptions = {},
): Promise<readonly ScrubOrder[]> {
  using op = new Operation(ctx, "ask for scrub orders", signal);
  return (await askMaster(ctx, op, scrubOrders, id === undefined ? {} : { id })).orders;
}

export async function stopScrub(ctx: ClientContext, id: string, { signal }: CallOptions = {}): Promise<void> {
  using op = new Operation(ctx, `stop the scrub order ${id}`, signal);
  await askMaster(ctx, op, scrubStop, { id });
}

/** The reading ends by itself, for every server has its time; the repair of what was found is waited for as long as it gains something. */
export async function awaitScrub(
  ctx: ClientContext,
  id: string,
  { signal, onProgress }: CallOptions & { readonly onProgress?: ((order: ScrubOrder) => void) | undefined } = {},
): Promise<ScrubOrder> {
  const { clock } = ctx.world;
  using op = new Operation(ctx, `wait for the scrub order ${id}`, signal);
  let repairing = Number.POSITIVE_INFINITY;
  let gainedMs = clock.monotonicMs();
  for (let pauseMs = lookMs.first; ; pauseMs = Math.min(2 * pauseMs, lookMs.last)) {
    const [order] = (await askMaster(ctx, op, scrubOrders, { id })).orders;
    if (order !== undefined) {
      onProgress?.(order);
      const now = clock.monotonicMs();
      if (order.state === "reading" || order.repairing < repairing) gainedMs = now;
      repairing = order.repairing;
      const over = order.state === "stopped" || repairing === 0 || now - gainedMs >= ctx.limits.clientTimeoutMs;
      if (order.state !== "reading" && over) return order;
    }
    await sleep(clock, pauseMs, op.signal);
    op.progress();
  }
}
