/** What operators ask about the past (wire/control/events.ts). */
import { type Route, route } from "../net/control-server.ts";
import { events } from "../wire/control/events.ts";
import type { MasterContext } from "./context.ts";
import type { KeptEvents } from "./kept-events.ts";

export function eventRoutes(ctx: MasterContext, kept: KeptEvents): Route[] {
  return [route(events, async (request) => ctx.engine.release(await kept.ask(request)))];
}
