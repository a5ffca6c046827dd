import { describe, expect, test } from "bun:test";
import { balanceStatus } from "../../../src/wire/control/balance.ts";
import { events } from "../../../src/wire/control/events.ts";
import { changeSettings } from "../../../src/wire/control/settings.ts";
import { started } from "./cluster-with-puts.ts";
import type { MasterInSim } from "./master-in-sim.ts";

const whyOf = (cluster: MasterInSim): string => cluster.call(balanceStatus, {}).why;

function set(cluster: MasterInSim, value: number | undefined): void {
  const change = { name: "balance", ...(value === undefined ? {} : { value }) };
  cluster.call(changeSettings, { id: cluster.nextId(), changes: [change] });
}

describe("balance that is off", () => {
  test("says who has it off, and how it is started", () => {
    const cluster = started(1, 1, { limits: { balance: false } });
    expect(whyOf(cluster)).toBe("the configuration has it off (master.balance); `gfs balance start` starts it");
    set(cluster, 1);
    expect(whyOf(cluster)).not.toContain("off");
    set(cluster, 0);
    expect(whyOf(cluster)).toBe("an operator stopped it; `gfs balance start` starts it");
    set(cluster, undefined);
    const told = cluster.call(events, { kinds: ["setting.changed"], limit: 3, waitMs: 0 }).events;
    expect(told.map(({ text }) => text)).toEqual([
      "the setting balance is on",
      "the setting balance is off",
      "the setting balance is off, as configured",
    ]);
  });
});
