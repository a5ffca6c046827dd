import { describe, expect, test } from "bun:test";
import { decideCreateFile, decideMkdir } from "../../src/master/core/decide-files.ts";
import { decideMove, decideRemove } from "../../src/master/core/decide-namespace.ts";
import { listChildren, lookup, nameOf } from "../../src/master/core/namespace.ts";
import { blockTails, decideTailOpen, unblockTails } from "../../src/master/core/tails.ts";
import { CoreDriver, mutationId, refusal } from "../unit/master/core/core-driver.ts";

function withTree(): CoreDriver {
  const driver = new CoreDriver();
  for (const path of ["/tree/user/a", "/tree/user/b", "/save/c"])
    driver.do(decideCreateFile(driver.state, { id: mutationId(), path, mode: "new" }, driver.now));
  return driver;
}

describe("paper §4.1 namespace management and locking", () => {
  test("the paper locks names; here a decision is one step: what it decided from is what its records are applied to", () => {
    const driver = withTree();
    // Two mutations of one directory, decided one after the other: each sees the other's whole result.
    const make = (path: string) =>
      driver.do(decideCreateFile(driver.state, { id: mutationId(), path, mode: "new" }, driver.now)).inode;
    expect(make("/tree/user/c")).not.toBe(make("/tree/user/d"));
    const { slots } = listChildren(driver.state.inodes, lookup(driver.state.inodes, "/tree/user", "list"), {
      limit: 10,
    });
    expect(slots.map((slot) => nameOf(driver.state.inodes, slot))).toEqual(["a", "b", "c", "d"]);
  });

  test("the paper's example: a file can't be created in a directory while it is moved away", () => {
    const driver = withTree();
    driver.do(
      decideMove(
        driver.state,
        { id: mutationId(), from: "/tree/user", to: "/save/user", overwrite: false },
        driver.now,
      ),
    );
    const request = { id: mutationId(), path: "/tree/user", parents: false };
    driver.do(decideMkdir(driver.state, request, driver.now));
    driver.do(decideCreateFile(driver.state, { id: mutationId(), path: "/tree/user/new", mode: "new" }, driver.now));
    // The new file is in the new directory, not in the one that moved.
    expect(lookup(driver.state.inodes, "/save/user/a", "look up")).toBeGreaterThan(0);
    refusal("NotFound", () => lookup(driver.state.inodes, "/save/user/new", "look up"));
    refusal("NotFound", () => lookup(driver.state.inodes, "/tree/user/a", "look up"));
  });

  test("the one thing that takes long, sealing tails below what goes, blocks appends there and nowhere else", () => {
    const driver = withTree();
    const inodeOf = (path: string) =>
      driver.do(decideCreateFile(driver.state, { id: mutationId(), path, mode: "open" }, driver.now)).inode;
    const directory = driver.do(
      decideMkdir(driver.state, { id: mutationId(), path: "/tree/user", parents: true }, driver.now),
    ).inode;
    const block = blockTails(driver.state, directory, "a removal");
    refusal("Busy", () => decideTailOpen(driver.state, inodeOf("/tree/user/a"), driver.placed()));
    expect(decideTailOpen(driver.state, inodeOf("/save/c"), driver.placed()).at(-1)?.kind).toBe("tail-opened");
    unblockTails(driver.state, block);
    expect(decideTailOpen(driver.state, inodeOf("/tree/user/a"), driver.placed()).at(-1)?.kind).toBe("tail-opened");
  });

  test("unlike in the paper a directory knows its files: it is listed a page at a time, and removed in one record", () => {
    const driver = withTree();
    const { inodes } = driver.state;
    const page = listChildren(inodes, lookup(inodes, "/tree/user", "list"), { limit: 1 });
    expect(page.slots).toHaveLength(1);
    expect(page.cursor).toBeDefined();
    const request = { id: mutationId(), path: "/tree", recursive: true, skipTrash: true };
    const removed = decideRemove(driver.state, request, driver.now);
    expect(removed.records.map(({ kind }) => kind)).toEqual(["inode-detached"]);
  });
});
