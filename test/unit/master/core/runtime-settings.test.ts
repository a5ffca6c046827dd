import { describe, expect, test } from "bun:test";
import { defaultLimits } from "../../../../src/limits.ts";
import { loadState, dumpState } from "../../../../src/master/core/dump.ts";
import {
  changeText,
  decideChangeSettings,
  listSettings,
  runtimeSettings,
  settingOf,
} from "../../../../src/master/core/runtime-settings.ts";
import { CoreDriver, refusal } from "./core-driver.ts";

const name = "repair-streams-per-server";

describe("settings that operators change", () => {
  test("follow the configuration until one is set, and again once it is taken back", () => {
    const driver = new CoreDriver({ repairStreamsPerServer: 3 });
    expect(settingOf(driver.state, name)).toBe(3);
    driver.do(decideChangeSettings(driver.state, { changes: [{ name, value: 7 }] }));
    expect(settingOf(driver.state, name)).toBe(7);
    expect(listSettings(driver.state).find((each) => each.name === name)).toMatchObject({ configured: 3, value: 7 });
    driver.do(decideChangeSettings(driver.state, { changes: [{ name }] }));
    expect(settingOf(driver.state, name)).toBe(3);
    expect(listSettings(driver.state).find((each) => each.name === name)).not.toHaveProperty("value");
  });

  test("are in the checkpoint", () => {
    const driver = new CoreDriver();
    driver.log([{ kind: "setting-changed", name: "of another build", value: 0.5 }]);
    driver.do(decideChangeSettings(driver.state, { changes: [{ name, value: 9 }] }));
    const loaded = loadState(dumpState(driver.state), defaultLimits);
    expect(Object.fromEntries(loaded.settings)).toEqual(Object.fromEntries(driver.state.settings));
    expect(settingOf(loaded, name)).toBe(9);
  });

  test("log nothing where nothing changes", () => {
    const driver = new CoreDriver();
    expect(decideChangeSettings(driver.state, { changes: [{ name }] }).records).toEqual([]);
    driver.do(decideChangeSettings(driver.state, { changes: [{ name, value: 2 }] }));
    expect(decideChangeSettings(driver.state, { changes: [{ name, value: 2 }] }).records).toEqual([]);
  });

  test("refuse a name that is none and a value out of bounds, and then change nothing", () => {
    const driver = new CoreDriver();
    const change = (changes: { name: string; value?: number }[]) =>
      refusal("Usage", () => driver.do(decideChangeSettings(driver.state, { changes })));
    expect(change([{ name, value: 1 }, { name: "repair-stream-per-server" }])).toContain(`known: ${name}`);
    for (const value of [-1, 0.5, runtimeSettings[name].max + 1, Number.NaN])
      expect(change([{ name, value }])).toContain(`from 0 to ${runtimeSettings[name].max}`);
    expect(settingOf(driver.state, name)).toBe(defaultLimits.repairStreamsPerServer);
  });

  test("take a 0 below their least value only where it means something", () => {
    const driver = new CoreDriver();
    const set = (value: number) => decideChangeSettings(driver.state, { changes: [{ name: "repair-rate", value }] });
    expect(driver.do(set(0))).toEqual({});
    refusal("Usage", () => set(1));
    expect(driver.do(set(1_000_000))).toEqual({});
  });

  test.each([
    ["balance", 1, "balance is on"],
    ["balance", 0, "balance is off"],
    ["balance", undefined, "balance is on, as configured"],
    ["balance-rate", 20_000_000, "balance-rate is 20.0 MB/s"],
    ["balance-rate", 0, "balance-rate is no limit"],
    ["balance-threshold", 10, "balance-threshold is 10 %"],
    ["scrub-days", 0, "scrub-days is off"],
    ["scrub-days", 1, "scrub-days is 1 day"],
    ["scrub-rate", 0, "scrub-rate is no limit"],
    ["repair-streams", 0, "repair-streams is 0"],
    ["of another build", 3, "of another build is 3"],
  ])("are told as operators set them: %s %p", (changed, value, text) => {
    const { state } = new CoreDriver();
    expect(changeText(state, { name: changed, ...(value === undefined ? {} : { value }) })).toBe(text);
  });

  test("are configured within their own bounds", () => {
    for (const { configured, min, max, zero } of listSettings(new CoreDriver().state)) {
      const within = Number.isInteger(configured) && configured >= min && configured <= max;
      expect(within || (configured === 0 && zero !== undefined)).toBe(true);
    }
  });
});
