/** What happened in the cluster, as its master keeps it: page by page, and on and on for followers. */
import { protocol } from "../limits.ts";
import type { ReplyOf, RequestOf } from "../wire/control/common.ts";
import { type ClusterEvent, events } from "../wire/control/events.ts";
import type { EventsOptions } from "./api.ts";
import { type ClientContext, Operation } from "./context.ts";
import { askLong } from "./retry.ts";

/** The oldest first. Without `follow` it ends; with it never, but that the master does not answer for the client's time-out. */
export async function* listEvents(ctx: ClientContext, options: EventsOptions): AsyncGenerator<ClusterEvent> {
  const { signal, limit, sinceMs, follow } = options;
  using op = new Operation(ctx, follow === true ? "follow the cluster's events" : "get the cluster's events", signal);
  const { eventsMax, eventsWaitMsMax } = protocol;
  const asked = { kinds: [...(options.kinds ?? [])], limit: eventsMax, waitMs: 0 };
  const recent = sinceMs === undefined ? {} : { sinceMs };
  let after = 0;
  if (limit !== undefined && limit <= eventsMax) {
    const newest = await ask(ctx, op, { ...asked, ...recent, limit: Math.max(1, limit) });
    if (limit > 0) yield* newest.events;
    op.progress();
    after = newest.last;
  } else {
    let kept: ClusterEvent[] = [];
    for (;;) {
      const page = await ask(ctx, op, { ...asked, ...recent, after });
      op.progress();
      after = page.last;
      if (limit === undefined) {
        yield* page.events;
        // The consumer may take its time.
        op.progress();
      } else kept = [...kept, ...page.events].slice(-limit);
      if (page.events.length < eventsMax) break;
    }
    yield* kept;
    op.progress();
  }
  if (follow !== true) return;
  // Shorter than the time without progress that ends an operation.
  const waitMs = Math.floor(Math.min(eventsWaitMsMax, ctx.limits.clientTimeoutMs / 2));
  for (;;) {
    const page = await ask(ctx, op, { ...asked, after, waitMs });
    op.progress();
    after = page.last;
    yield* page.events;
    op.progress();
  }
}

function ask(ctx: ClientContext, op: Operation, request: RequestOf<typeof events>): Promise<ReplyOf<typeof events>> {
  return askLong(ctx, op, { message: events, request, waitMs: request.waitMs });
}
