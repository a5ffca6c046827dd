import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ErrorCode } from "../../../../src/base/errors.ts";
import { decideCreateFile, decideMkdir } from "../../../../src/master/core/decide-files.ts";
import { decideMove, decideRemove } from "../../../../src/master/core/decide-namespace.ts";
import {
  decideTrashExpiry,
  decideTrashPurge,
  decideTrashRestore,
  listTrash,
} from "../../../../src/master/core/decide-trash.ts";
import { idOfSlot, rootSlot, slotOfId } from "../../../../src/master/core/inodes.ts";
import { describeInode, listChildren, lookup, nameOf, usageOf } from "../../../../src/master/core/namespace.ts";
import { nextToReap } from "../../../../src/master/core/reaping.ts";
import { inodeId } from "../../../../src/wire/ids.ts";
import { CoreDriver, mutationId, refusal } from "./core-driver.ts";

const id = mutationId();
const create = (driver: CoreDriver, path: string, mode: "new" | "replace" = "new") =>
  driver.do(decideCreateFile(driver.state, { id, path, mode }, driver.now));
const remove = (driver: CoreDriver, path: string, skipTrash = false) =>
  driver.do(decideRemove(driver.state, { id, path, recursive: true, skipTrash }, driver.now));

/** /f, /d/sub/g and the empty /e. */
function smallTree(): CoreDriver {
  const driver = new CoreDriver();
  create(driver, "/f");
  create(driver, "/d/sub/g");
  driver.do(decideMkdir(driver.state, { id, path: "/e", parents: false }, driver.now));
  return driver;
}

describe("bad input to the namespace", () => {
  const moves: [string, string, boolean, ErrorCode, string][] = [
    ["/", "/x", false, "PathInvalid", "root"],
    ["/nix", "/x", false, "NotFound", "/nix"],
    ["/d/nix/g", "/x", false, "NotFound", "directory /d/nix does not exist"],
    ["/f/x", "/x", false, "NotDirectory", "/f is a file"],
    ["/d", "/d/sub", false, "MoveIntoItself", "within itself"],
    ["/d", "/d", false, "MoveIntoItself", "within itself"],
    ["/d", "/d/sub/new", true, "MoveIntoItself", "within itself"],
    ["/f", "/d/sub/g", false, "Exists", "/d/sub/g"],
    ["/f", "/no/where", false, "NotFound", "directory /no does not exist"],
    ["/f", "/d/sub/g/x", false, "NotDirectory", "/d/sub/g is a file"],
    ["/d", "/f", true, "NotDirectory", "take the place of a file"],
    ["f", "/x", false, "PathInvalid", "must begin"],
    ["/f", `/${"n".repeat(256)}`, false, "PathInvalid", "255"],
    ["/f", "/a\0b", false, "PathInvalid", "NUL"],
    ["/f", "/\ud800", false, "PathInvalid", "Unicode"],
  ];
  test.each(moves)("moving %j to %j with overwrite %p is %s", (from, to, ...[overwrite, code, text]) => {
    const driver = smallTree();
    expect(refusal(code, () => decideMove(driver.state, { id, from, to, overwrite }, driver.now))).toContain(text);
  });

  test("a directory or file of the name in the directory moved to is in the way", () => {
    const driver = smallTree();
    create(driver, "/e/d/x");
    create(driver, "/e/f/x");
    const move = (from: string) => decideMove(driver.state, { id, from, to: "/e", overwrite: true }, driver.now);
    refusal("Exists", () => move("/d"));
    refusal("IsDirectory", () => move("/f"));
  });

  test("moving to a path over 4 096 bytes is refused, also where the name is added to a directory", () => {
    const driver = smallTree();
    const deep = `/${Array.from({ length: 16 }, () => "n".repeat(254)).join("/")}`;
    driver.do(decideMkdir(driver.state, { id, path: deep, parents: true }, driver.now));
    create(driver, `/${"m".repeat(30)}`);
    refusal("PathInvalid", () =>
      decideMove(driver.state, { id, from: `/${"m".repeat(30)}`, to: deep, overwrite: false }, driver.now),
    );
  });

  const removals: [string, boolean, ErrorCode][] = [
    ["/", true, "PathInvalid"],
    ["/nix", true, "NotFound"],
    ["/d", false, "DirectoryNotEmpty"],
    ["/f/x", false, "NotDirectory"],
  ];
  test.each(removals)("removing %s, recursive %p, is %s", (path, recursive, code) => {
    const driver = smallTree();
    refusal(code, () => decideRemove(driver.state, { id, path, recursive, skipTrash: false }, driver.now));
  });

  const directories: [string, boolean, ErrorCode][] = [
    ["/d", false, "Exists"],
    ["/f", true, "Exists"],
    ["/f/x", true, "NotDirectory"],
    ["/n/m", false, "NotFound"],
    ["/", false, "Exists"],
  ];
  test.each(directories)("making directory %s with parents %p is %s", (path, parents, code) => {
    const driver = smallTree();
    refusal(code, () => decideMkdir(driver.state, { id, path, parents }, driver.now));
  });

  test("restoring and purging what the trash has not is NotFound, restoring onto something Exists", () => {
    const driver = smallTree();
    const f = idOfSlot(driver.state.inodes, lookup(driver.state.inodes, "/f", "find"));
    for (const entry of ["/f", f, inodeId(2), inodeId(3), inodeId(999)]) {
      refusal("NotFound", () => decideTrashRestore(driver.state, { id, entry }, driver.now));
      const purge = () =>
        decideTrashPurge({ state: driver.state, request: { entry } }, { max: 9, removedUpToMs: driver.clusterMs });
      if (typeof entry === "number") refusal("NotFound", purge);
      else expect(purge().reply).toEqual({ entries: 0 });
    }
    create(driver, "/f", "replace");
    refusal("Exists", () => decideTrashRestore(driver.state, { id, entry: "/f" }, driver.now));
    refusal("Exists", () => decideTrashRestore(driver.state, { id, entry: f, to: "/" }, driver.now));
  });

  test("the numbers of the trash, of the detached and of ended inodes lead nowhere", () => {
    const driver = smallTree();
    const f = idOfSlot(driver.state.inodes, lookup(driver.state.inodes, "/f", "find"));
    remove(driver, "/f", true);
    driver.log([{ kind: "inodes-reaped", inodes: nextToReap(driver.state.inodes, 10) }]);
    const again = create(driver, "/f").inode;
    expect(again).not.toBe(f);
    for (const inode of [2, 3, f, again + 2 ** 32, 2 ** 53 - 1])
      expect(slotOfId(driver.state.inodes, inodeId(inode))).toBe(0);
  });
});

describe("moves", () => {
  test("a file that takes the place of another gets a generation above both, and the other goes to the trash", () => {
    const driver = smallTree();
    for (let i = 0; i < 3; i++) create(driver, "/d/sub/g", "replace");
    const { path } = driver.do(
      decideMove(driver.state, { id, from: "/f", to: "/d/sub/g", overwrite: true }, driver.now),
    );
    expect(path).toBe("/d/sub/g");
    expect(driver.state.inodes.generation.get(lookup(driver.state.inodes, "/d/sub/g", "find"))).toBe(5);
    expect(listTrash(driver.state, { limit: 10 }, driver.now).entries.length).toBe(4);
  });

  test("a file moved to where it is stays as it is", () => {
    const driver = smallTree();
    for (const to of ["/f", "/f/", "/"])
      expect(decideMove(driver.state, { id, from: "/f", to, overwrite: true }, driver.now)).toEqual({
        records: [],
        reply: { path: "/f" },
      });
  });
});

describe("the trash", () => {
  test("by path the newest entry comes back, and its neighbours of the same path one after the other", () => {
    const driver = new CoreDriver();
    const inodes = [1, 2, 3].map(() => {
      const { inode } = create(driver, "/f");
      remove(driver, "/f");
      return inode;
    });
    const back = (to: string) => {
      driver.do(decideTrashRestore(driver.state, { id, entry: "/f", to }, driver.now));
      return idOfSlot(driver.state.inodes, lookup(driver.state.inodes, to, "find"));
    };
    const purged = { state: driver.state, request: { entry: inodes[1]! } };
    driver.do(decideTrashPurge(purged, { max: 1, removedUpToMs: 0 }));
    expect([back("/x/1"), back("/x/2")]).toEqual([inodes[2]!, inodes[0]!]);
    refusal("NotFound", () => back("/x/3"));
  });

  test("entries expire oldest first, when their time is over and not before", () => {
    const driver = new CoreDriver({ trashMs: 1_000 });
    create(driver, "/a");
    create(driver, "/b");
    remove(driver, "/a");
    driver.clusterMs += 500;
    remove(driver, "/b");
    driver.clusterMs += 499;
    expect(decideTrashExpiry(driver.state, driver.now, 10)).toEqual([]);
    driver.clusterMs += 1;
    expect(decideTrashExpiry(driver.state, driver.now, 10).length).toBe(1);
    driver.clusterMs += 500;
    expect(decideTrashExpiry(driver.state, driver.now, 10).length).toBe(2);
    const [first] = listTrash(driver.state, { limit: 1 }, driver.now).entries;
    expect(first).toMatchObject({ path: "/a", removedMs: 1_001_000, expiresMs: 1_002_000 });
  });

  test("emptying goes in slices, and ends however much is removed meanwhile", () => {
    const driver = new CoreDriver();
    for (let i = 0; i < 5; i++) {
      create(driver, `/${i}`);
      remove(driver, `/${i}`);
    }
    const slice = { max: 2, removedUpToMs: driver.clusterMs };
    const sizes: number[] = [];
    let cursor: string | undefined;
    do {
      const purge = decideTrashPurge({ state: driver.state, request: {} }, { ...slice, cursor });
      driver.log(purge.records);
      sizes.push(purge.reply.entries);
      ({ cursor } = purge);
      driver.clusterMs += 1;
      create(driver, `/late${sizes.length}`);
      remove(driver, `/late${sizes.length}`);
    } while (cursor !== undefined);
    expect(sizes).toEqual([2, 2, 1]);
  });

  test("what is below an entry says where it was", () => {
    const driver = smallTree();
    const slot = lookup(driver.state.inodes, "/d/sub/g", "find");
    remove(driver, "/d");
    expect(describeInode(driver.state.inodes, slot)).toBe("/d/sub/g (in the trash)");
    const all = { max: 9, removedUpToMs: driver.clusterMs };
    driver.do(decideTrashPurge({ state: driver.state, request: {} }, all));
    expect(describeInode(driver.state.inodes, slot)).toBe("/sub/g (removed)");
  });
});

describe("listing", () => {
  /** Lists /d page by page while `between` changes it. */
  function listed(driver: CoreDriver, limit: number, between: (page: number) => void): string[] {
    const names: string[] = [];
    let cursor: string | undefined;
    for (let page = 0; page === 0 || cursor !== undefined; page++) {
      const got = listChildren(driver.state.inodes, lookup(driver.state.inodes, "/d", "list"), { cursor, limit });
      names.push(...got.slots.map((slot) => nameOf(driver.state.inodes, slot)));
      ({ cursor } = got);
      between(page);
    }
    return names;
  }

  test("shows each child that stays exactly once, whatever is inserted, removed and renamed between pages", () => {
    const change = fc.record({ kind: fc.constantFrom("remove", "insert", "rename"), which: fc.nat() });
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 30, size: "max" }), (changes) => {
        const driver = new CoreDriver();
        driver.do(decideMkdir(driver.state, { id, path: "/d", parents: false }, driver.now));
        const staying = new Set(Array.from({ length: 20 }, (_, i) => `s${i}`));
        for (const name of staying) create(driver, `/d/${name}`);
        const seen = listed(driver, 2, (page) => {
          for (const [i, { kind, which }] of (changes[page] ?? []).entries()) {
            const name = `s${which % 20}`;
            if (kind === "insert") create(driver, `/d/new${page}-${i}`);
            else if (staying.delete(name) && kind === "remove") remove(driver, `/d/${name}`, which % 2 === 0);
            else if (kind === "rename" && !staying.has(name) && which % 3 === 0)
              create(driver, `/d/${name}`, "replace");
          }
        });
        for (const name of staying) expect(seen.filter((each) => each === name).length).toBe(1);
      }),
      { numRuns: 60 },
    );
  });

  test("of a large directory goes on at the right child after the cursor's own was removed", () => {
    const driver = new CoreDriver();
    const total = 5_000;
    for (let i = 0; i < total; i++) create(driver, `/d/${i}`);
    const { inodes } = driver.state;
    const seen = listed(driver, 300, (page) => {
      // All that the page showed goes, landmarks among it, and a little more comes.
      for (let i = page * 300; i < Math.min((page + 1) * 300, total); i++) remove(driver, `/d/${i}`, i % 2 === 0);
      if (page < 5) create(driver, `/d/late${page}`);
    });
    expect(seen).toEqual([
      ...Array.from({ length: total }, (_, i) => String(i)),
      ...[0, 1, 2, 3, 4].map((i) => `late${i}`),
    ]);
    expect(usageOf(inodes, lookup(inodes, "/d", "du"))).toMatchObject({ files: 5 });
    for (let i = 0; i < 5; i++) remove(driver, `/d/late${i}`, true);
    expect(inodes.landmarks.has(lookup(inodes, "/d", "list"))).toBe(false);
  });

  test.each(["", "x", "1.", ".1", "1.1.1.x!", "zzzzzzzzzzzzz.1", "-1.1"])("refuses the cursor %j", (cursor) => {
    refusal("ProtocolError", () => listChildren(smallTree().state.inodes, rootSlot, { cursor, limit: 5 }));
  });
});
