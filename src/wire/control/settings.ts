/** Client → master: what an operator changes while the cluster runs (master/core/runtime-settings.ts has the names). */
import { z } from "zod";
import { message, MutationId, Nothing } from "./common.ts";

const SettingName = z.string().min(1).max(64);
const settingsMax = 256;

/** One setting: `zero` says what 0 means, where that is taken besides `min` to `max`; `configured` is what the master's configuration says, `value` what an operator set instead; absent: nothing. Both in `unit`. */
export const Setting = z.object({
  name: SettingName,
  about: z.string().max(512),
  unit: z.string().max(32),
  min: z.number(),
  max: z.number(),
  zero: z.string().max(64).optional(),
  configured: z.number(),
  value: z.number().optional(),
});
export type Setting = z.infer<typeof Setting>;

/** All that can be changed. */
export const settings = message("settings", Nothing, z.object({ settings: z.array(Setting).max(settingsMax) }));

/** Changes all of them, or none; each lasts through restarts of the master. `value` absent: back to the configuration. */
export const changeSettings = message(
  "change-settings",
  z.object({
    id: MutationId,
    changes: z
      .array(z.object({ name: SettingName, value: z.number().optional() }))
      .min(1)
      .max(settingsMax),
  }),
  Nothing,
);
