/** What operators ask and change while the cluster runs (wire/control/settings.ts). */
import { type Route, route } from "../net/control-server.ts";
import { changeSettings, settings } from "../wire/control/settings.ts";
import { type MasterContext, requireMutations } from "./context.ts";
import { decideChangeSettings, listSettings, type SettingChange } from "./core/runtime-settings.ts";

export function operatorRoutes(ctx: MasterContext): Route[] {
  const { engine, state } = ctx;
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
      for (const { name, value } of changed) ctx.world.events.emit("info", "setting.changed", { name, value });
      return reply;
    }),
  ];
}
