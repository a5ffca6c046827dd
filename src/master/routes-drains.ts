/** What operators ask about servers on their way out, and about how full the others are (wire/control/drains.ts, balance.ts). */
import { type Route, route } from "../net/control-server.ts";
import { balanceStatus } from "../wire/control/balance.ts";
import { decommission, decommissionCheck, drain, drains, undrain } from "../wire/control/drains.ts";
import { balanceStatusOf } from "./balancer.ts";
import { type MasterContext, requireMutations } from "./context.ts";
import { decideDrain, decideUndrain } from "./core/decide-drains.ts";
import { drainingVolumes } from "./core/drain.ts";
import { findServer } from "./core/server-names.ts";
import { findVolume } from "./core/volumes.ts";
import { checkDecommission, drainBegun, drainCancelled, drainReport, runDecommission } from "./drains.ts";

export function drainRoutes(ctx: MasterContext): Route[] {
  const { engine, state } = ctx;
  return [
    route(drain, async (request) => {
      requireMutations(ctx);
      const reply = await engine.mutate(drain, request, (decideNow) => decideNow(() => decideDrain(state, request)));
      const volume = findVolume(state.volumes, reply.volume);
      if (reply.begun && volume !== undefined) drainBegun(ctx, volume);
      return reply;
    }),
    route(undrain, async (request) => {
      requireMutations(ctx);
      const reply = await engine.mutate(undrain, request, (decideNow) =>
        decideNow(() => decideUndrain(state, request)),
      );
      const volume = findVolume(state.volumes, reply.volume);
      if (reply.undrained && volume !== undefined) drainCancelled(ctx, volume);
      return reply;
    }),
    route(drains, async ({ server }) =>
      engine.read(() => {
        const asked =
          server === undefined ? drainingVolumes(state.volumes) : [findServer(state.volumes, server, "look at")];
        return { drains: asked.map((volume) => drainReport(ctx, volume)) };
      }),
    ),
    route(decommissionCheck, async (request) => engine.release(await checkDecommission(ctx, request))),
    route(decommission, async (request) => runDecommission(ctx, request)),
    route(balanceStatus, async () => engine.read(() => balanceStatusOf(ctx))),
  ];
}
