import { describe, expect, test } from "bun:test";
import { servableLength } from "../../src/chunkserver/core/member.ts";
import { hasCode } from "../../src/base/errors.ts";
import { decideCreateFile, decideMkdir } from "../../src/master/core/decide-files.ts";
import { decideMove } from "../../src/master/core/decide-namespace.ts";
import { lookup } from "../../src/master/core/namespace.ts";
import { generation } from "../../src/wire/ids.ts";
import { CoreDriver, mutationId } from "../unit/master/core/core-driver.ts";
import { answersOf, AppendChain } from "./append-chain.ts";

describe("paper §2.7 consistency model", () => {
  test("a mutation of the namespace is atomic: all of its records are one batch of the log, or it changes nothing", () => {
    const driver = new CoreDriver();
    driver.do(decideCreateFile(driver.state, { id: mutationId(), path: "/a/b/c/f", mode: "new" }, driver.now));
    expect(driver.batches.at(-1)!.records.map(({ kind }) => kind)).toEqual([
      "inode-created",
      "inode-created",
      "inode-created",
      "inode-created",
    ]);
    driver.do(decideCreateFile(driver.state, { id: mutationId(), path: "/g", mode: "new" }, driver.now));
    // A replacing move takes the old file away in the batch that brings the new one.
    driver.do(decideMove(driver.state, { id: mutationId(), from: "/g", to: "/a/b/c/f", overwrite: true }, driver.now));
    expect(driver.batches.at(-1)!.records.map(({ kind }) => kind)).toEqual(["inode-trashed", "inode-moved"]);

    const before = driver.batches.length;
    expect(() =>
      decideMkdir(driver.state, { id: mutationId(), path: "/a/b/c/f/d", parents: true }, driver.now),
    ).toThrow("is a file");
    expect(driver.batches).toHaveLength(before);
    expect(lookup(driver.state.inodes, "/a/b/c/f", "look up")).toBeGreaterThan(0);
  });

  test("a replaced file has a higher generation, so that a reader and a writer can tell", () => {
    const driver = new CoreDriver();
    const create = (mode: "new" | "replace") =>
      driver.do(decideCreateFile(driver.state, { id: mutationId(), path: "/f", mode }, driver.now));
    expect(create("new").generation).toBe(generation(1));
    expect(create("replace").generation).toBe(generation(2));
  });

  test("the offset returned to the client marks the beginning of a region that contains the record", () => {
    const chain = new AppendChain({ fileOffset: 5_000 });
    for (const [i, text] of ["first", "second one", "3"].entries()) chain.append(text, { number: i + 1 });
    chain.syncAll();
    const whole = chain.logs[0]!.join("");
    for (const [number, fileOffset] of answersOf(chain.effects)) {
      const text = chain.logs[0]![number - 1]!;
      expect(whole.slice(fileOffset - 5_000, fileOffset - 5_000 + text.length)).toBe(text);
    }
  });

  test("after a series of successful mutations all replicas are the same, byte by byte: nothing is padded or doubled", () => {
    const chain = new AppendChain();
    const texts = Array.from({ length: 20 }, (_, i) => `record ${i} `);
    for (const [i, text] of texts.entries()) {
      chain.append(text, { number: i + 1 });
      // A retry of a record that is still unanswered.
      if (i % 3 === 0) chain.append(text, { number: i + 1 });
      if (i % 4 === 0) chain.syncAll();
    }
    chain.syncAll();
    for (const log of chain.logs) expect(log).toEqual(texts);
  });

  test("no reader is shown bytes that a failed append may take back", () => {
    expect(servableLength({ committed: 10, durable: 30 }, undefined)).toBe(10);
    // Unless the primary told the reader that more is committed; then all that is durable here up to there.
    expect(servableLength({ committed: 10, durable: 30 }, 20)).toBe(20);
    expect(servableLength({ committed: 10, durable: 30 }, 40)).toBe(30);
  });

  test("an operation that is refused says which rule refused it", () => {
    const driver = new CoreDriver();
    try {
      decideMove(driver.state, { id: mutationId(), from: "/none", to: "/x", overwrite: false }, driver.now);
      throw new Error("not refused");
    } catch (error) {
      expect(hasCode(error, "NotFound")).toBe(true);
    }
  });
});
