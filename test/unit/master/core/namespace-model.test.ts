import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { GfsError } from "../../../../src/base/errors.ts";
import { decideCreateFile, decideMkdir } from "../../../../src/master/core/decide-files.ts";
import { decideMove, decideRemove } from "../../../../src/master/core/decide-namespace.ts";
import { decideTrashPurge, decideTrashRestore } from "../../../../src/master/core/decide-trash.ts";
import { treeSums } from "../../../../src/master/core/children.ts";
import { idOfSlot, rootSlot } from "../../../../src/master/core/inodes.ts";
import { entryOf, listChildren, lookup, pathOf } from "../../../../src/master/core/namespace.ts";
import { nextToReap } from "../../../../src/master/core/reaping.ts";
import { trashTotals } from "../../../../src/master/core/trash.ts";
import { CoreDriver, mutationId } from "./core-driver.ts";

/** A tree as a Map from path to kind: the simplest thing that can be right. */
type Model = Map<string, "file" | "directory">;

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";
const under = (path: string, above: string): boolean =>
  path === above || path.startsWith(above === "/" ? "/" : `${above}/`);
const kindAt = (model: Model, path: string) => (path === "/" ? "directory" : model.get(path));
const ancestors = (path: string): string[] => (path === "/" ? [] : [...ancestors(parentOf(path)), parentOf(path)]);
const fileOnTheWay = (model: Model, path: string): boolean =>
  ancestors(path).some((each) => model.get(each) === "file");

function take(model: Model, path: string): Model {
  const taken: Model = new Map();
  for (const [each, kind] of model)
    if (under(each, path)) {
      taken.set(each.slice(path.length), kind);
      model.delete(each);
    }
  return taken;
}

function put(model: Model, path: string, subtree: Model): void {
  for (const each of ancestors(path)) if (each !== "/") model.set(each, "directory");
  for (const [below, kind] of subtree) model.set(path + below, kind);
}

interface World {
  readonly driver: CoreDriver;
  readonly model: Model;
  /** Oldest first. */
  readonly trash: { path: string; subtree: Model }[];
}

/** What the model says happens: undefined where it is refused. */
type Step = { run(world: World): { decide: () => void; expected: (() => void) | undefined } };

const name = fc.constantFrom("a", "b", "ü", "x y\n");
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => `/${names.join("/")}`);

const create = fc.record({ path, mode: fc.constantFrom("new", "replace", "open") }).map(({ path, mode }): Step => ({
  run({ driver, model, trash }) {
    const held = kindAt(model, path);
    const refused = held === "directory" || fileOnTheWay(model, path) || (held === "file" && mode === "new");
    const expected = () => {
      if (held === "file" && mode === "replace") trash.push({ path, subtree: take(model, path) });
      put(model, path, new Map([["", "file"]]));
    };
    const decide = () => driver.do(decideCreateFile(driver.state, { id: mutationId(), path, mode }, driver.now));
    return { decide, expected: refused ? undefined : expected };
  },
}));

const makeDirectory = fc.record({ path, parents: fc.boolean() }).map(({ path, parents }): Step => ({
  run({ driver, model }) {
    const held = kindAt(model, path);
    const missingParent = !parents && kindAt(model, parentOf(path)) === undefined;
    const refused = fileOnTheWay(model, path) || missingParent || (held !== undefined && (held === "file" || !parents));
    const decide = () => driver.do(decideMkdir(driver.state, { id: mutationId(), path, parents }, driver.now));
    return { decide, expected: refused ? undefined : () => put(model, path, new Map([["", "directory"]])) };
  },
}));

const moving = fc
  .record({ from: path, to: fc.oneof(path, fc.constant("/")), overwrite: fc.boolean() })
  .map((request): Step => ({
    run({ driver, model, trash }) {
      const { from, overwrite } = request;
      const into = kindAt(model, request.to) === "directory";
      const target = into ? `${request.to === "/" ? "" : request.to}/${from.split("/").at(-1)}` : request.to;
      const [kind, held] = [model.get(from), kindAt(model, target)];
      const same = target === from;
      const refused =
        kind === undefined ||
        fileOnTheWay(model, from) ||
        fileOnTheWay(model, target) ||
        (!same &&
          (kindAt(model, parentOf(target)) === undefined ||
            under(target, from) ||
            (held !== undefined && (held === "directory" || kind === "directory" || !overwrite))));
      const expected = () => {
        if (same) return;
        if (held !== undefined) trash.push({ path: target, subtree: take(model, target) });
        put(model, target, take(model, from));
      };
      const decide = () => driver.do(decideMove(driver.state, { id: mutationId(), ...request }, driver.now));
      return { decide, expected: refused ? undefined : expected };
    },
  }));

const removing = fc.record({ path, recursive: fc.boolean(), skipTrash: fc.boolean() }).map((request): Step => ({
  run({ driver, model, trash }) {
    const { path, recursive, skipTrash } = request;
    const full = [...model.keys()].some((each) => each !== path && under(each, path));
    const refused = !model.has(path) || (full && !recursive);
    const expected = () => {
      const subtree = take(model, path);
      if (!skipTrash) trash.push({ path, subtree });
    };
    const decide = () => driver.do(decideRemove(driver.state, { id: mutationId(), ...request }, driver.now));
    return { decide, expected: refused ? undefined : expected };
  },
}));

const restoring = fc.record({ path, to: fc.option(path, { nil: undefined }) }).map(({ path, to }): Step => ({
  run({ driver, model, trash }) {
    const at = trash.findLastIndex((entry) => entry.path === path);
    const into = to !== undefined && kindAt(model, to) === "directory";
    const target = into ? `${to === "/" ? "" : to}${path.slice(path.lastIndexOf("/"))}` : (to ?? path);
    const refused = at < 0 || kindAt(model, target) !== undefined || fileOnTheWay(model, target);
    const request = { id: mutationId(), entry: path, ...(to === undefined ? {} : { to }) };
    const decide = () => driver.do(decideTrashRestore(driver.state, request, driver.now));
    return { decide, expected: refused ? undefined : () => put(model, target, trash.splice(at, 1)[0]!.subtree) };
  },
}));

const purging = fc.record({ entry: fc.option(path, { nil: undefined }), below: fc.boolean() }).map((purge): Step => ({
  run({ driver, trash }) {
    const { entry, below } = purge;
    const goes = (path: string): boolean =>
      entry === undefined || path === entry || (below && path.startsWith(`${entry}/`));
    const gone = trash.filter(({ path }) => goes(path)).length;
    const expected = () => void trash.splice(0, trash.length, ...trash.filter(({ path }) => !goes(path)));
    const request = entry === undefined ? {} : { entry, below };
    const slice = { max: 1_000, removedUpToMs: driver.clusterMs };
    const decide = () => {
      const { entries } = driver.do(decideTrashPurge({ state: driver.state, request }, slice));
      expect(entries).toBe(gone);
    };
    return { decide, expected };
  },
}));

const reaping = fc.integer({ min: 1, max: 3 }).map((max): Step => ({
  run: ({ driver }) => ({
    decide: () => driver.log([{ kind: "inodes-reaped", inodes: nextToReap(driver.state.inodes, max) }]),
    expected: () => undefined,
  }),
}));

function treeOf({ state: { inodes } }: CoreDriver): Model {
  const tree: Model = new Map();
  const walk = (directory: number, above: string): void => {
    let cursor: string | undefined;
    do {
      const page = listChildren(inodes, directory, { cursor, limit: 2 });
      for (const slot of page.slots) {
        const { name, kind } = entryOf(inodes, slot, false);
        const path = `${above}/${name}`;
        expect(pathOf(inodes, slot)).toEqual({ place: "tree", path });
        expect(lookup(inodes, path, "find")).toBe(slot);
        tree.set(path, kind);
        if (kind === "directory") walk(slot, path);
      }
      cursor = page.cursor;
    } while (cursor !== undefined);
  };
  walk(rootSlot, "");
  return tree;
}

function countOf(model: Model, wanted: "file" | "directory"): number {
  return [...model.values()].filter((kind) => kind === wanted).length;
}

describe("the namespace", () => {
  test("does what a map of paths does, whatever the order of its operations", () => {
    const steps = fc.array(fc.oneof(create, create, makeDirectory, moving, removing, restoring, purging, reaping), {
      maxLength: 60,
      size: "max",
    });
    fc.assert(
      fc.property(steps, (steps) => {
        const world: World = { driver: new CoreDriver(), model: new Map(), trash: [] };
        const { driver, model, trash } = world;
        const ended = new Set<number>();
        for (const step of steps) {
          driver.clusterMs += 10;
          const { decide, expected } = step.run(world);
          const batches = driver.batches.length;
          if (expected === undefined) {
            expect(decide).toThrow(GfsError);
            expect(driver.batches.length).toBe(batches);
          } else {
            decide();
            expected();
          }
          for (const record of driver.batches.slice(batches).flatMap((batch) => batch.records)) {
            if (record.kind === "inode-created") expect(ended.has(record.inode)).toBe(false);
            if (record.kind === "inodes-reaped") for (const inode of record.inodes) ended.add(inode);
          }
          expect(treeOf(driver)).toEqual(model);
          const sums = treeSums(driver.state.inodes, rootSlot);
          expect([sums.files, sums.directories]).toEqual([countOf(model, "file"), countOf(model, "directory")]);
          expect(trashTotals(driver.state.inodes).entries).toBe(trash.length);
        }
        for (const { path } of trash.toReversed()) {
          const slice = { max: 1_000, removedUpToMs: driver.clusterMs };
          driver.do(decideTrashPurge({ state: driver.state, request: { entry: path } }, slice));
        }
        driver.log([{ kind: "inodes-reaped", inodes: nextToReap(driver.state.inodes, 10_000) }]);
        expect(nextToReap(driver.state.inodes, 1)).toEqual([]);
        expect(driver.state.inodes.index.size).toBe(model.size);
        expect(idOfSlot(driver.state.inodes, rootSlot)).toBe(idOfSlot(driver.state.inodes, 1));
      }),
      { numRuns: 150 },
    );
  });
});
