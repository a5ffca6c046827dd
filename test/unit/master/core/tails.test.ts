import { describe, expect, test } from "bun:test";
import { appendTableOf } from "../../../../src/master/core/append-tables.ts";
import { findChunk } from "../../../../src/master/core/chunk-table.ts";
import { decideDraftCommit, decideDraftCreate } from "../../../../src/master/core/decide-drafts.ts";
import { decideCreateFile } from "../../../../src/master/core/decide-files.ts";
import { decideMove, decideRemove } from "../../../../src/master/core/decide-namespace.ts";
import { decideSessionOpen } from "../../../../src/master/core/decide-sessions.ts";
import { displacedInode } from "../../../../src/master/core/displaced.ts";
import { fileBytes } from "../../../../src/master/core/extents.ts";
import { idOfSlot, rootSlot, slotOfId } from "../../../../src/master/core/inodes.ts";
import { lookup, usageOf } from "../../../../src/master/core/namespace.ts";
import { blockTails, decideTailOpen, openTailsUnder, tailOf, unblockTails } from "../../../../src/master/core/tails.ts";
import { chunkVersion, type InodeId, sequence, sessionId } from "../../../../src/wire/ids.ts";
import { CoreDriver, mutationId, refusal } from "./core-driver.ts";

const id = mutationId();
const create = (driver: CoreDriver, path: string): InodeId =>
  driver.do(decideCreateFile(driver.state, { id, path, mode: "new" }, driver.now)).inode;
const at = (driver: CoreDriver, path: string): InodeId =>
  idOfSlot(driver.state.inodes, lookup(driver.state.inodes, path, "find"));

function openTail(driver: CoreDriver, inode: InodeId): void {
  driver.log(decideTailOpen(driver.state, inode, driver.placed()));
}

function seal(driver: CoreDriver, inode: InodeId, length: number): void {
  const handle = tailOf(driver.state, inode)!;
  const version = chunkVersion(2);
  const answers = [{ sequence: sequence(1), fileOffset: 0, bytes: length, crc: 9 }];
  const appendTable = length === 0 ? [] : [{ session: sessionId(1), answers }];
  driver.log([{ kind: "seal-begun", handle, version }]);
  driver.log([{ kind: "chunk-sealed", handle, version, length, crc: 9, members: [0, 1], appendTable, modifiedMs: 77 }]);
}

function withTails(): CoreDriver {
  const driver = new CoreDriver();
  driver.do(decideSessionOpen(driver.state, { label: "" }, driver.now));
  for (const path of ["/f", "/d/a", "/d/e/b", "/d/c"]) create(driver, path);
  for (const path of ["/f", "/d/a", "/d/e/b"]) openTail(driver, at(driver, path));
  return driver;
}

describe("tails", () => {
  test("a tail's bytes become an extent at its seal, and its append table stays with the inode", () => {
    const driver = withTails();
    const inode = at(driver, "/d/a");
    const handle = tailOf(driver.state, inode)!;
    seal(driver, inode, 500);
    expect(tailOf(driver.state, inode)).toBeUndefined();
    expect(fileBytes(driver.state.inodes, slotOfId(driver.state.inodes, inode))).toBe(500);
    expect(usageOf(driver.state.inodes, rootSlot)).toMatchObject({ bytes: 500, storedBytes: 1_500 });
    expect(appendTableOf(driver.state.appendTables, inode).map(({ session }) => session)).toEqual([sessionId(1)]);
    expect(findChunk(driver.state.chunks, handle)).toMatchObject({ state: "sealed", length: 500 });
    openTail(driver, inode);
    expect(tailOf(driver.state, inode)).not.toBe(handle);
  });

  test("a tail that held nothing leaves no extent and no chunk", () => {
    const driver = withTails();
    const inode = at(driver, "/f");
    const handle = tailOf(driver.state, inode)!;
    seal(driver, inode, 0);
    expect(fileBytes(driver.state.inodes, slotOfId(driver.state.inodes, inode))).toBe(0);
    expect(findChunk(driver.state.chunks, handle)).toBeUndefined();
  });

  test("the tails of a file are its own, of a directory those of all below it", () => {
    const driver = withTails();
    const under = (path: string) => new Set(openTailsUnder(driver.state, at(driver, path)));
    expect(under("/f")).toEqual(new Set([at(driver, "/f")]));
    expect(under("/d")).toEqual(new Set([at(driver, "/d/a"), at(driver, "/d/e/b")]));
    expect(under("/d/c").size).toBe(0);
    expect(under("/").size).toBe(3);
  });

  test("while an operation blocks a subtree no tail is opened in it, and elsewhere one is", () => {
    const driver = withTails();
    const inode = at(driver, "/d/c");
    const outer = blockTails(driver.state, at(driver, "/d"), "rm -r");
    const inner = blockTails(driver.state, inode, "put");
    expect(refusal("Busy", () => openTail(driver, inode))).toContain("is under way");
    unblockTails(driver.state, outer);
    refusal("Busy", () => openTail(driver, inode));
    unblockTails(driver.state, inner);
    openTail(driver, inode);
    refusal("Busy", () => openTail(driver, inode));
  });

  test("an inode without a file in the tree gets no tail", () => {
    const driver = withTails();
    const inode = at(driver, "/d/c");
    driver.do(decideRemove(driver.state, { id, path: "/d/c", recursive: false, skipTrash: false }, driver.now));
    refusal("NotFound", () => openTail(driver, inode));
    refusal("IsDirectory", () => openTail(driver, at(driver, "/d")));
  });

  const replace = { mode: "replace" } as const;
  const operations: [string, (driver: CoreDriver) => unknown, (driver: CoreDriver) => unknown][] = [
    [
      "replacing",
      (driver) => decideCreateFile(driver.state, { id, path: "/d/a", ...replace }, driver.now),
      (driver) => displacedInode(driver.state, { kind: "create-file", path: "/d/a", ...replace }),
    ],
    [
      "removing",
      (driver) => decideRemove(driver.state, { id, path: "/d/a", recursive: false, skipTrash: false }, driver.now),
      (driver) => displacedInode(driver.state, { kind: "remove", path: "/d/a" }),
    ],
    [
      "removing for good",
      (driver) => decideRemove(driver.state, { id, path: "/d/a", recursive: false, skipTrash: true }, driver.now),
      (driver) => displacedInode(driver.state, { kind: "remove", path: "/d/a" }),
    ],
    [
      "moving a file over",
      (driver) => decideMove(driver.state, { id, from: "/d/c", to: "/d/a", overwrite: true }, driver.now),
      (driver) => displacedInode(driver.state, { kind: "move", from: "/d/c", to: "/d/a", overwrite: true }),
    ],
    [
      "putting over",
      (driver) => commitOver(driver, { kind: "put", path: "/d/a", overwrite: true }),
      (driver) =>
        displacedInode(driver.state, { kind: "draft-commit", draft: [...driver.state.drafts.byId.keys()][0]! }),
    ],
    [
      "splicing onto",
      (driver) => commitOver(driver, { kind: "append", inode: at(driver, "/d/a") }),
      (driver) =>
        displacedInode(driver.state, { kind: "draft-commit", draft: [...driver.state.drafts.byId.keys()][0]! }),
    ],
  ];
  test.each(operations)(
    "%s a file waits for the seal of its tail, which the shell is told of",
    (_, decide, displaced) => {
      const driver = withTails();
      const inode = at(driver, "/d/a");
      expect(refusal("Busy", () => decide(driver))).toContain("not sealed");
      expect(displaced(driver)).toBe(inode);
      seal(driver, inode, 5);
      decide(driver);
    },
  );

  test("what touches no content displaces nothing", () => {
    const { state } = withTails();
    expect(displacedInode(state, { kind: "move", from: "/d/a", to: "/d/a", overwrite: true })).toBeUndefined();
    expect(displacedInode(state, { kind: "move", from: "/d/c", to: "/d/a", overwrite: false })).toBeUndefined();
    expect(displacedInode(state, { kind: "create-file", path: "/f", mode: "open" })).toBeUndefined();
    expect(displacedInode(state, { kind: "remove", path: "/nix" })).toBeUndefined();
  });

  test("a put that may not replace displaces nothing, unless it is to be spliced to what it meets", () => {
    const driver = withTails();
    const made = { kind: "put", path: "/d/new", overwrite: false } as const;
    const { draft } = driver.do(decideDraftCreate(driver.state, { id, target: made }, undefined));
    const inode = at(driver, "/d/a");
    driver.do(decideMove(driver.state, { id, from: "/d/a", to: "/d/new", overwrite: false }, driver.now));
    expect(displacedInode(driver.state, { kind: "draft-commit", draft })).toBeUndefined();
    expect(displacedInode(driver.state, { kind: "draft-commit", draft, ifExists: "append" })).toBe(inode);
  });

  test("what is at no path, and the root, displace nothing", () => {
    const { state } = withTails();
    expect(displacedInode(state, { kind: "remove", path: "/" })).toBeUndefined();
  });
});

function commitOver(driver: CoreDriver, target: Parameters<typeof decideDraftCreate>[1]["target"]): unknown {
  const [known] = driver.state.drafts.byId.keys();
  const draft = known ?? driver.do(decideDraftCreate(driver.state, { id, target }, undefined)).draft;
  return decideDraftCommit(driver.state, { id, draft, chunks: [] }, driver.now);
}
