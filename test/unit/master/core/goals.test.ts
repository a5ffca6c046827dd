import { describe, expect, test } from "bun:test";
import { membersAt, slotOf } from "../../../../src/master/core/chunk-table.ts";
import { decideCreateFile, decideMkdir } from "../../../../src/master/core/decide-files.ts";
import { beginWalk, cursorOf, stepWalk } from "../../../../src/master/core/file-walk.ts";
import { countGoals, decideGoals } from "../../../../src/master/core/goals.ts";
import { extentAt, extentCount } from "../../../../src/master/core/extents.ts";
import { usageOf, lookup } from "../../../../src/master/core/namespace.ts";
import { noteReplicaFact } from "../../../../src/master/core/chunk-replicas.ts";
import { registerVolume, volumeAt } from "../../../../src/master/core/volumes.ts";
import {
  type ChunkHandle,
  chunkHandle,
  chunkVersion,
  draftId,
  type InodeId,
  sessionId,
} from "../../../../src/wire/ids.ts";
import { CoreDriver, mutationId } from "./core-driver.ts";

const id = mutationId();
const version = chunkVersion(1);

function driverWithSession(): CoreDriver {
  const driver = new CoreDriver();
  driver.log([
    { kind: "session-opened", session: sessionId(1), label: "" },
    { kind: "handles-reserved", upTo: 10_000 },
  ]);
  return driver;
}

/** A file of so many chunks of 100 bytes, of goal 3. */
function makeFile(driver: CoreDriver, path: string, chunks: number): InodeId {
  const { inode } = driver.do(decideCreateFile(driver.state, { id, path, mode: "new", replicas: 3 }, driver.now));
  if (chunks > 0) splice(driver, inode, { chunks, replicas: 3 });
  return inode;
}

let drafts = 0;
function splice(driver: CoreDriver, inode: InodeId, of: { chunks: number; replicas: number }): ChunkHandle[] {
  const draft = draftId(++drafts);
  const first = driver.state.chunks.nextHandle;
  const handles = Array.from({ length: of.chunks }, (_, i) => chunkHandle(first + i));
  driver.log([
    {
      kind: "draft-created",
      draft,
      session: sessionId(1),
      target: { kind: "append", inode },
      replicas: of.replicas,
      chunkBytes: 65_536,
    },
    ...handles.map((handle) => ({ kind: "draft-chunk-added" as const, draft, handle, version, members: [0, 1, 2] })),
  ]);
  const published = handles.map((handle) => ({ handle, version, length: 100, crc: 1, members: [0, 1, 2] }));
  driver.log([
    { kind: "file-spliced", draft, inode, chunks: published, modifiedMs: 0 },
    { kind: "draft-ended", draft, reason: "committed" },
  ]);
  return handles;
}

/** What the shell does: steps of a page, page after page. How much changed. */
function setGoal(driver: CoreDriver, path: string, replicas: number, stepsMax = Number.POSITIVE_INFINITY) {
  const { state } = driver;
  const tails: ChunkHandle[] = [];
  const sums = { files: 0, changed: 0, chunks: 0, tails };
  let cursor: string | undefined;
  let steps = 0;
  do {
    const walk = beginWalk(state.inodes, lookup(state.inodes, path, "change"), cursor);
    for (;;) {
      if (steps++ >= stepsMax) return sums;
      const { parts, page } = stepWalk(state.inodes, walk);
      const change = decideGoals(state, parts, replicas);
      driver.log(change.records);
      sums.files += parts.filter(({ last }) => last).length;
      sums.changed += change.changed;
      sums.chunks += change.chunks;
      tails.push(...change.tails);
      if (page) break;
    }
    cursor = cursorOf(state.inodes, walk);
  } while (cursor !== undefined);
  return sums;
}

function goalsOf(driver: CoreDriver, path: string): Set<number> {
  const { inodes, chunks } = driver.state;
  const slot = lookup(inodes, path, "look at");
  const goals = new Set([inodes.replicas.get(slot)]);
  for (let i = 0; i < extentCount(inodes, slot); i++)
    goals.add(chunks.goals.get(slotOf(chunks, extentAt(inodes, slot, i).handle)));
  return goals;
}

describe("another number of replicas", () => {
  test("is the file's and its chunks', and counts in the sums of all directories above", () => {
    const driver = driverWithSession();
    driver.do(decideMkdir(driver.state, { id, path: "/d/e", parents: true }, driver.now));
    makeFile(driver, "/d/e/f", 3);
    makeFile(driver, "/d/g", 2);
    makeFile(driver, "/h", 1);
    expect(setGoal(driver, "/d/e/f", 5)).toEqual({ files: 1, changed: 1, chunks: 3, tails: [] });
    expect(goalsOf(driver, "/d/e/f")).toEqual(new Set([5]));
    expect(goalsOf(driver, "/d/g")).toEqual(new Set([3]));
    const stored = (path: string) => usageOf(driver.state.inodes, lookup(driver.state.inodes, path, "sum")).storedBytes;
    expect(["/d/e", "/d", "/", "/h"].map(stored)).toEqual([1_500, 2_100, 2_400, 300]);
  });

  test("of a tree reaches every file below, empty ones too, and no other; doing it again changes nothing", () => {
    const driver = driverWithSession();
    driver.do(decideMkdir(driver.state, { id, path: "/d/e", parents: true }, driver.now));
    makeFile(driver, "/before", 1);
    makeFile(driver, "/d/a", 2);
    makeFile(driver, "/d/empty", 0);
    makeFile(driver, "/d/e/b", 1);
    makeFile(driver, "/after", 1);
    expect(setGoal(driver, "/d", 2)).toEqual({ files: 3, changed: 3, chunks: 3, tails: [] });
    for (const path of ["/d/a", "/d/empty", "/d/e/b"]) expect(goalsOf(driver, path)).toEqual(new Set([2]));
    for (const path of ["/before", "/after"]) expect(goalsOf(driver, path)).toEqual(new Set([3]));
    expect(setGoal(driver, "/d", 2)).toEqual({ files: 3, changed: 0, chunks: 0, tails: [] });
    expect(setGoal(driver, "/", 2)).toMatchObject({ files: 5, changed: 2, chunks: 2 });
  });

  test("of a long file is logged in parts; what a crash cuts off, a repetition finds", () => {
    const driver = driverWithSession();
    const inode = makeFile(driver, "/long", 3_000);
    setGoal(driver, "/long", 5, 1);
    expect(goalsOf(driver, "/long")).toEqual(new Set([5, 3]));
    // What is appended between has the new number at once.
    const [late] = splice(driver, inode, { chunks: 1, replicas: 3 });
    expect(driver.state.chunks.goals.get(slotOf(driver.state.chunks, late!))).toBe(5);
    expect(setGoal(driver, "/long", 5)).toMatchObject({ files: 1, chunks: 3_000 - 1_024 });
    expect(goalsOf(driver, "/long")).toEqual(new Set([5]));
  });

  test("that is asked for while another is on its way goes on, and the earlier one leaves that file alone", () => {
    const driver = driverWithSession();
    makeFile(driver, "/long", 3_000);
    const { inodes } = driver.state;
    const earlier = beginWalk(inodes, lookup(inodes, "/long", "change"), undefined);
    driver.log(decideGoals(driver.state, stepWalk(inodes, earlier).parts, 5).records);
    setGoal(driver, "/long", 2);
    for (let page = false; !page;) {
      const step = stepWalk(inodes, earlier);
      driver.log(decideGoals(driver.state, step.parts, 5).records);
      ({ page } = step);
    }
    expect(goalsOf(driver, "/long")).toEqual(new Set([2]));
  });

  test("leaves an open tail its chain, names it to be sealed, and is the tail's once it is", () => {
    const driver = driverWithSession();
    const inode = makeFile(driver, "/log", 1);
    const handle = chunkHandle(driver.state.chunks.nextHandle);
    driver.log([{ kind: "tail-opened", inode, handle, version, members: [0, 1, 2] }]);
    const { chunks } = driver.state;
    expect(setGoal(driver, "/log", 2).tails).toEqual([handle]);
    expect(membersAt(chunks, slotOf(chunks, handle))).toEqual([0, 1, 2]);
    expect(chunks.goals.get(slotOf(chunks, handle))).toBe(3);
    driver.log([{ kind: "seal-begun", handle, version: chunkVersion(2) }]);
    driver.log([
      {
        kind: "chunk-sealed",
        handle,
        version: chunkVersion(2),
        length: 10,
        crc: 1,
        members: [0, 1, 2],
        appendTable: [],
        modifiedMs: 0,
      },
    ]);
    expect(goalsOf(driver, "/log")).toEqual(new Set([2]));
    expect(setGoal(driver, "/log", 2)).toEqual({ files: 1, changed: 0, chunks: 0, tails: [] });
  });
});

describe("how far files are from a number of replicas", () => {
  test("counts replicas of servers that were heard of, and what is missing", () => {
    const driver = driverWithSession();
    const inode = makeFile(driver, "/f", 2);
    const { state } = driver;
    const view = { chunks: state.chunks, volumes: state.volumes, safeMode: false };
    const counted = (replicas: number) => {
      const counts = { files: 0, chunks: 0, reached: 0, otherwise: 0, missingBytes: 0 };
      const walk = beginWalk(state.inodes, lookup(state.inodes, "/f", "look at"), undefined);
      for (let page = false; !page;) {
        const step = stepWalk(state.inodes, walk);
        countGoals({ view, state }, step.parts, { replicas, counts });
        ({ page } = step);
      }
      return counts;
    };
    const none = { files: 1, chunks: 2, reached: 0, otherwise: 0, missingBytes: 600 };
    expect(counted(3)).toEqual(none);
    for (const index of [0, 1, 2, 3]) {
      const space = { totalBytes: 1_000, freeBytes: 500, usedBytes: 500 };
      const registration = { incarnation: "1", label: "", control: "h:1", data: "h:2", space, factMark: 1 };
      registerVolume(volumeAt(state.volumes, index), { ...registration, location: undefined, rack: undefined }, 0);
    }
    expect(counted(3)).toEqual({ ...none, reached: 2, missingBytes: 0 });
    setGoal(driver, "/f", 4);
    expect(counted(4)).toEqual({ ...none, missingBytes: 200 });
    expect(counted(3)).toMatchObject({ reached: 0, otherwise: 2 });
    const first = extentAt(state.inodes, lookup(state.inodes, "/f", "look at"), 0).handle;
    noteReplicaFact(state.chunks, first, { volume: 3, health: "healthy" });
    expect(counted(4)).toEqual({ ...none, reached: 1, missingBytes: 100 });
    volumeAt(state.volumes, 0).liveness = "dead";
    expect(counted(4)).toEqual({ ...none, reached: 0, missingBytes: 300 });
    const handle = chunkHandle(state.chunks.nextHandle);
    driver.log([{ kind: "tail-opened", inode, handle, version, members: [1, 2] }]);
    expect(counted(4)).toMatchObject({ chunks: 3, reached: 0 });
  });
});
