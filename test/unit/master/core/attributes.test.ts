import { describe, expect, test } from "bun:test";
import { attributedMax, decideSetAttribute, inheritedAt } from "../../../../src/master/core/attributes.ts";
import { decideDraftCreate, planDraft } from "../../../../src/master/core/decide-drafts.ts";
import { decideCreateFile, decideMkdir } from "../../../../src/master/core/decide-files.ts";
import { decideMove, decideRemove } from "../../../../src/master/core/decide-namespace.ts";
import { decideTrashRestore } from "../../../../src/master/core/decide-trash.ts";
import { dumpState, loadState } from "../../../../src/master/core/dump.ts";
import { lookup } from "../../../../src/master/core/namespace.ts";
import { nextToReap } from "../../../../src/master/core/reaping.ts";
import { defaultLimits } from "../../../../src/limits.ts";
import { inodeId } from "../../../../src/wire/ids.ts";
import { CoreDriver, mutationId, refusal } from "./core-driver.ts";

const id = mutationId();

function mkdir(driver: CoreDriver, path: string): void {
  driver.do(decideMkdir(driver.state, { id, path, parents: true }, driver.now));
}

function setReplicas(driver: CoreDriver, path: string, replicas: number | undefined): void {
  const attribute = { kind: "replicas", replicas } as const;
  driver.do(decideSetAttribute(driver.state, { id, path, attribute }));
}

function setTrash(driver: CoreDriver, path: string, trashMs: number | undefined): void {
  driver.do(decideSetAttribute(driver.state, { id, path, attribute: { kind: "trash", trashMs } }));
}

function putReplicas(driver: CoreDriver, path: string, replicas?: number): number {
  const target = { kind: "put", path, overwrite: false } as const;
  return planDraft(driver.state, { id, target, ...(replicas === undefined ? {} : { replicas }) }).replicas;
}

const at = (driver: CoreDriver, path: string) =>
  inheritedAt(driver.state, lookup(driver.state.inodes, path, "look at"));

describe("the default replicas of a directory", () => {
  test("hold for files made in it and below it, and the nearest directory counts", () => {
    const driver = new CoreDriver();
    mkdir(driver, "/a/b/c");
    mkdir(driver, "/other");
    setReplicas(driver, "/a", 2);
    setReplicas(driver, "/a/b/c", 5);
    const wanted = ["/f", "/other/f", "/a/f", "/a/b/f", "/a/b/c/f", "/a/new/dir/f", "/a/b/c/new/f"];
    expect(wanted.map((path) => putReplicas(driver, path))).toEqual([3, 3, 2, 2, 5, 2, 5]);
    expect(putReplicas(driver, "/a/b/c/f", 4)).toBe(4);
    expect(driver.do(decideCreateFile(driver.state, { id, path: "/a/b/c/e", mode: "new" }, driver.now))).toMatchObject({
      replicas: 5,
    });
  });

  test("hold for a file that its first append makes", () => {
    const driver = new CoreDriver();
    mkdir(driver, "/a");
    setReplicas(driver, "/a", 2);
    const request = { id, target: { kind: "append-path", path: "/a/log", create: true } as const };
    expect(driver.do(decideDraftCreate(driver.state, request, undefined)).replicas).toBe(2);
  });

  test("of the root hold for the whole cluster, and are inherited again once they are cleared", () => {
    const driver = new CoreDriver();
    mkdir(driver, "/a");
    setReplicas(driver, "/", 1);
    setReplicas(driver, "/a", 4);
    expect(at(driver, "/a").replicas).toEqual({ value: 4, from: "/a" });
    setReplicas(driver, "/a", undefined);
    expect(at(driver, "/a").replicas).toEqual({ value: 1, from: "/" });
    setReplicas(driver, "/", undefined);
    expect(at(driver, "/a").replicas).toEqual({ value: 3 });
    expect(driver.state.inodes.attributes.size).toBe(0);
  });

  test("go with a directory that is moved, removed and restored, and end with it", () => {
    const driver = new CoreDriver();
    mkdir(driver, "/a");
    setReplicas(driver, "/a", 2);
    driver.do(decideMove(driver.state, { id, from: "/a", to: "/b", overwrite: false }, driver.now));
    expect(putReplicas(driver, "/b/f")).toBe(2);
    driver.do(decideRemove(driver.state, { id, path: "/b", recursive: true, skipTrash: false }, driver.now));
    expect(putReplicas(driver, "/b/f")).toBe(3);
    driver.do(decideTrashRestore(driver.state, { id, entry: "/b" }, driver.now));
    expect(putReplicas(driver, "/b/f")).toBe(2);
    driver.do(decideRemove(driver.state, { id, path: "/b", recursive: true, skipTrash: true }, driver.now));
    driver.log([{ kind: "inodes-reaped", inodes: nextToReap(driver.state.inodes, 10) }]);
    expect(driver.state.inodes.attributes.size).toBe(0);
    mkdir(driver, "/c");
    expect(putReplicas(driver, "/c/f")).toBe(3);
  });
});

describe("attributes", () => {
  test("are set one by one, and both stay in a checkpoint", () => {
    const driver = new CoreDriver();
    mkdir(driver, "/a");
    setReplicas(driver, "/a", 2);
    setTrash(driver, "/a", 0);
    setTrash(driver, "/", 60_000);
    setReplicas(driver, "/a", undefined);
    setReplicas(driver, "/a", 4);
    const loaded = loadState(dumpState(driver.state), defaultLimits);
    for (const { inodes } of [driver.state, loaded])
      expect([1, 4].map((slot) => inodes.attributes.get(slot))).toEqual([
        { trashMs: 60_000 },
        { replicas: 4, trashMs: 0 },
      ]);
    expect([...dumpState(loaded)]).toEqual([...dumpState(driver.state)]);
  });

  test("are logged only where they change, and are of directories only", () => {
    const driver = new CoreDriver();
    mkdir(driver, "/a");
    driver.do(decideCreateFile(driver.state, { id, path: "/f", mode: "new" }, driver.now));
    const decide = (path: string, replicas?: number) =>
      decideSetAttribute(driver.state, { id, path, attribute: { kind: "replicas", replicas } });
    expect(decide("/a").records).toEqual([]);
    driver.do(decide("/a", 2));
    expect(decide("/a", 2).records).toEqual([]);
    expect(refusal("NotDirectory", () => decide("/f", 2))).toContain("it is a file");
    refusal("NotFound", () => decide("/none", 2));
  });

  test("are of so many directories at most; those that have some can still change them", () => {
    const driver = new CoreDriver();
    mkdir(driver, "/a");
    mkdir(driver, "/b");
    setReplicas(driver, "/a", 2);
    for (let slot = 1_000_000; driver.state.inodes.attributes.size < attributedMax; slot++)
      driver.state.inodes.attributes.set(slot, { replicas: 1 });
    expect(refusal("NoSpace", () => setReplicas(driver, "/b", 2))).toContain("16384");
    setTrash(driver, "/a", 5);
    expect(driver.state.inodes.attributes.get(Number(inodeId(4)))).toEqual({ replicas: 2, trashMs: 5 });
  });
});
