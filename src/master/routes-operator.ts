/** What operators ask and change while the cluster runs (wire/control/settings.ts, wire/control/repair.ts). */
import { type Route, route } from "../net/control-server.ts";
import { repairResume, repairStatus, safeModeLeave } from "../wire/control/repair.ts";
import { scrubOrders, scrubStart, scrubStop } from "../wire/control/scrub-orders.ts";
import { changeSettings, settings } from "../wire/control/settings.ts";
import { leaveSafeMode, resumeRepair } from "./brakes.ts";
import { paceClones } from "./clones.ts";
import { inBackground, type MasterContext, requireMutations } from "./context.ts";
import { repairStatusOf } from "./repair-status.ts";
import { changeText, decideChangeSettings, listSettings, type SettingChange } from "./core/runtime-settings.ts";
import { ScrubOrders } from "./scrub-orders.ts";

export function operatorRoutes(ctx: MasterContext): Route[] {
  const { engine, state } = ctx;
  const orders = new ScrubOrders(ctx);
  return [
    route(settings, async () => engine.read(() => ({ settings: listSettings(state) }))),
    route(changeSettings, async (request) => {
      requireMutations(ctx);
      const changed: SettingChange[] = [];
      const reply = await engine.mutate(changeSettings, request, (decideNow) =>
        decideNow(() => {
          const decision = decideChangeSettings(state, request);
          changed.push(...decision.records);
          return decision;
        }),
      );
      for (const change of changed) {
        const { name, value } = change;
        ctx.world.events.emit("info", "setting.changed", { name, value, now: changeText(state, change) });
      }
      if (changed.some(({ name }) => name.startsWith("repair-")))
        inBackground(ctx, "repair by other limits", paceClones(ctx));
      return reply;
    }),
    route(repairStatus, async () => engine.release(await repairStatusOf(ctx))),
    route(repairResume, async () => {
      const held = resumeRepair(ctx);
      return engine.release(held === undefined ? {} : { held });
    }),
    route(safeModeLeave, async () => {
      const waitedFor = leaveSafeMode(ctx);
      return engine.release(waitedFor === undefined ? {} : { waitedFor });
    }),
    route(scrubStart, async (request) => engine.read(() => orders.start(request))),
    route(scrubOrders, async (request) => engine.read(() => orders.list(request))),
    route(scrubStop, async (request) =>
      engine.read(() => {
        orders.stop(request.id);
        return {};
      }),
    ),
  ];
}
