import { describe, expect, test } from "bun:test";
import { decideSetAttribute } from "../../../../src/master/core/attributes.ts";
import { decideCreateFile, decideMkdir } from "../../../../src/master/core/decide-files.ts";
import { decideMove, decideRemove } from "../../../../src/master/core/decide-namespace.ts";
import {
  decideTrashExpiry,
  decideTrashPurge,
  decideTrashRestore,
  listTrash,
  sumTrash,
} from "../../../../src/master/core/decide-trash.ts";
import { dumpState, loadState } from "../../../../src/master/core/dump.ts";
import { trashTotals } from "../../../../src/master/core/trash.ts";
import { defaultLimits } from "../../../../src/limits.ts";
import { utf8 } from "../../../../src/base/bytes.ts";
import { CoreDriver, mutationId } from "./core-driver.ts";

const id = mutationId();
const day = 86_400_000;

function begun(): CoreDriver {
  const driver = new CoreDriver();
  for (const path of ["/d/e", "/scratch/deep", "/kept"])
    driver.do(decideMkdir(driver.state, { id, path, parents: true }, driver.now));
  return driver;
}

function keep(driver: CoreDriver, path: string, trashMs: number | undefined): void {
  driver.do(decideSetAttribute(driver.state, { id, path, attribute: { kind: "trash", trashMs } }));
}

function make(driver: CoreDriver, path: string, mode: "new" | "replace" = "new"): void {
  driver.do(decideCreateFile(driver.state, { id, path, mode }, driver.now));
}

function remove(driver: CoreDriver, path: string): boolean {
  return driver.do(decideRemove(driver.state, { id, path, recursive: true, skipTrash: false }, driver.now)).trashed;
}

/** For how long each entry of the trash stays, by its path. */
function kept(driver: CoreDriver): Record<string, number> {
  const { entries } = listTrash(driver.state, { limit: 100 }, driver.now);
  return Object.fromEntries(entries.map((entry) => [entry.path, entry.expiresMs - entry.removedMs]));
}

describe("the trash's retention of a directory", () => {
  test("holds for what is removed in it and below, the nearest one counts, at the time of the removal", () => {
    const driver = begun();
    keep(driver, "/d", 30 * day);
    keep(driver, "/d/e", 1_000);
    for (const path of ["/f", "/d/f", "/d/e/f"]) make(driver, path);
    for (const path of ["/f", "/d/f", "/d/e/f"]) expect(remove(driver, path)).toBe(true);
    keep(driver, "/d", 1);
    expect(kept(driver)).toEqual({ "/f": 3 * day, "/d/f": 30 * day, "/d/e/f": 1_000 });
  });

  test("of 0 lets go for good what is removed, replaced, or moved over", () => {
    const driver = begun();
    keep(driver, "/scratch", 0);
    for (const path of ["/scratch/a", "/scratch/deep/b", "/scratch/deep/c", "/x"]) make(driver, path);
    expect(remove(driver, "/scratch/a")).toBe(false);
    make(driver, "/scratch/deep/b", "replace");
    driver.do(decideMove(driver.state, { id, from: "/x", to: "/scratch/deep/c", overwrite: true }, driver.now));
    expect(remove(driver, "/scratch/deep")).toBe(false);
    expect(remove(driver, "/scratch")).toBe(false);
    expect(trashTotals(driver.state.inodes).entries).toBe(0);
  });

  test("holds for the directory itself; a tree stays as long as the longest within it says", () => {
    const driver = begun();
    keep(driver, "/kept", 30 * day);
    keep(driver, "/d/e", 20 * day);
    keep(driver, "/scratch", 0);
    keep(driver, "/scratch/deep", 5 * day);
    for (const path of ["/kept", "/d", "/scratch"]) expect(remove(driver, path)).toBe(true);
    expect(kept(driver)).toEqual({ "/kept": 30 * day, "/d": 20 * day, "/scratch": 5 * day });
  });
});

describe("expiry", () => {
  test("finds what is due among what stays longer, also after a checkpoint", () => {
    const driver = begun();
    keep(driver, "/d", 30 * day);
    keep(driver, "/d/e", 1_000);
    for (const path of ["/d/long", "/d/e/short", "/d/e/other"]) make(driver, path);
    for (const path of ["/d/long", "/d/e/short"]) remove(driver, path);
    driver.clusterMs += 500;
    remove(driver, "/d/e/other");
    driver.clusterMs += 499;
    expect(decideTrashExpiry(driver.state, driver.now, 10)).toEqual([]);
    driver.clusterMs += 1;
    const loaded = loadState(dumpState(driver.state), defaultLimits);
    for (const state of [driver.state, loaded]) expect(decideTrashExpiry(state, driver.now, 10)).toHaveLength(1);
    driver.log(decideTrashExpiry(driver.state, driver.now, 10));
    expect(Object.keys(kept(driver)).sort()).toEqual(["/d/e/other", "/d/long"]);
  });
});

describe("the trash by path", () => {
  function filled(): CoreDriver {
    const driver = begun();
    for (const path of ["/d/f", "/d/e/g", "/d/f", "/df"]) {
      make(driver, path);
      remove(driver, path);
      driver.clusterMs += 1_000;
    }
    return driver;
  }
  const paths = (driver: CoreDriver, path?: string): string[] =>
    listTrash(driver.state, { limit: 100, ...(path === undefined ? {} : { path }) }, driver.now).entries.map(
      (entry) => entry.path,
    );

  test("is listed and summed up by what a directory had at or below it", () => {
    const driver = filled();
    expect(paths(driver, "/d")).toEqual(["/d/f", "/d/e/g", "/d/f"]);
    expect(paths(driver, "/d/f")).toEqual(["/d/f", "/d/f"]);
    expect(paths(driver, "/")).toEqual(["/d/f", "/d/e/g", "/d/f", "/df"]);
    const sums = sumTrash(driver.state, { path: utf8("/d"), cursor: undefined, max: 100 });
    expect(sums).toEqual({ entries: 3, bytes: 0, storedBytes: 0, cursor: undefined });
  });

  test("is purged by path, by what is below it, and by age", () => {
    const purge = (driver: CoreDriver, request: { entry?: string; below?: boolean }, removedUpToMs: number) =>
      driver.do(decideTrashPurge({ state: driver.state, request }, { max: 100, removedUpToMs })).entries;
    const all = Number.MAX_SAFE_INTEGER;
    const one = filled();
    expect([purge(one, { entry: "/d" }, all), purge(one, { entry: "/d/f" }, all)]).toEqual([0, 2]);
    expect(paths(one)).toEqual(["/d/e/g", "/df"]);
    const two = filled();
    expect(purge(two, { entry: "/d", below: true }, two.clusterMs - 3_000)).toBe(2);
    expect(paths(two)).toEqual(["/d/f", "/df"]);
    expect(purge(two, { entry: "/", below: true }, all)).toBe(2);
  });

  test("gives back the newest, says how many older ones stay, and puts it into a directory that is named", () => {
    const driver = filled();
    const back = (to?: string) =>
      driver.do(
        decideTrashRestore(driver.state, { id, entry: "/d/f", ...(to === undefined ? {} : { to }) }, driver.now),
      );
    expect(back("/kept")).toEqual({ path: "/kept/f", others: 1 });
    expect(back()).toEqual({ path: "/d/f", others: 0 });
  });
});
