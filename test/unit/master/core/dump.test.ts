import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { hasCode } from "../../../../src/base/errors.ts";
import { defaultLimits } from "../../../../src/limits.ts";
import { applyBatch } from "../../../../src/master/core/apply.ts";
import { findChunk } from "../../../../src/master/core/chunk-table.ts";
import {
  decideChunkAllocate,
  decideDraftCommit,
  decideDraftCreate,
  decideDraftWritten,
} from "../../../../src/master/core/decide-drafts.ts";
import { decideCreateFile, decideMkdir } from "../../../../src/master/core/decide-files.ts";
import { decideMove, decideRemove } from "../../../../src/master/core/decide-namespace.ts";
import { decideExpiry, decideSessionClose, decideSessionOpen } from "../../../../src/master/core/decide-sessions.ts";
import { decideSetAttribute } from "../../../../src/master/core/attributes.ts";
import { beginWalk, stepWalk } from "../../../../src/master/core/file-walk.ts";
import { decideGoals } from "../../../../src/master/core/goals.ts";
import { decideTrashExpiry, decideTrashPurge, decideTrashRestore } from "../../../../src/master/core/decide-trash.ts";
import { addPiece, beginLoad, dumpState, loadState } from "../../../../src/master/core/dump.ts";
import { extentAt, extentCount } from "../../../../src/master/core/extents.ts";
import { idOfSlot, nextInodeIds } from "../../../../src/master/core/inodes.ts";
import { lookup } from "../../../../src/master/core/namespace.ts";
import { nextToReap } from "../../../../src/master/core/reaping.ts";
import { SectionReader, SectionWriter } from "../../../../src/master/core/sections.ts";
import { type MasterState, newMasterState } from "../../../../src/master/core/state.ts";
import { decideTailOpen } from "../../../../src/master/core/tails.ts";
import { chunkVersion, generation, rootInode, sequence, sessionId } from "../../../../src/wire/ids.ts";
import type { LogRecord } from "../../../../src/wire/log-records.ts";
import { encodeCbor } from "../../../../src/wire/cbor.ts";
import { CoreDriver, mutationId, volumes } from "./core-driver.ts";

type Act = (driver: CoreDriver, pick: (count: number) => number) => void;

const paths = ["/a", "/a/b", "/a/b/c", "/ü", "/x y/z"];
const id = mutationId();
const pickPath = (pick: (count: number) => number): string => paths[pick(paths.length)]!;

/** Everything that writes records, each at random targets; what is refused changes nothing. */
const acts: Act[] = [
  (d, pick) =>
    d.do(decideCreateFile(d.state, { id, path: pickPath(pick), mode: pick(2) === 0 ? "new" : "replace" }, d.now)),
  (d, pick) => d.do(decideMkdir(d.state, { id, path: pickPath(pick), parents: true }, d.now)),
  (d, pick) =>
    d.do(decideMove(d.state, { id, from: pickPath(pick), to: pickPath(pick), overwrite: pick(2) === 0 }, d.now)),
  (d, pick) =>
    d.do(decideRemove(d.state, { id, path: pickPath(pick), recursive: true, skipTrash: pick(2) === 0 }, d.now)),
  (d, pick) => d.do(decideTrashRestore(d.state, { id, entry: pickPath(pick) }, d.now)),
  (d, pick) =>
    d.do(
      decideTrashPurge(
        { state: d.state, request: { entry: pickPath(pick), below: pick(2) === 0 } },
        { max: 9, removedUpToMs: d.clusterMs },
      ),
    ),
  (d, pick) => {
    const trashMs = [undefined, 0, 3, 3_000][pick(4)];
    d.do(decideSetAttribute(d.state, { id, path: pickPath(pick), attribute: { kind: "trash", trashMs } }));
  },
  (d, pick) => {
    const replicas = [undefined, 1, 2, 5][pick(4)];
    d.do(decideSetAttribute(d.state, { id, path: pickPath(pick), attribute: { kind: "replicas", replicas } }));
  },
  (d, pick) => {
    const walk = beginWalk(d.state.inodes, lookup(d.state.inodes, pickPath(pick), "change"), undefined);
    d.log(decideGoals(d.state, stepWalk(d.state.inodes, walk).parts, 1 + pick(5)).records);
  },
  (d, pick) =>
    d.log([{ kind: "volume-marked", index: pick(volumes.length - 1), mark: pick(2) === 0 ? "none" : "draining" }]),
  (d, pick) => d.log([{ kind: "setting-changed", name: `s${pick(3)}`, ...(pick(2) === 0 ? {} : { value: pick(9) }) }]),
  (d) => d.log(decideTrashExpiry(d.state, d.now, 2)),
  (d) => d.log(decideExpiry(d.state, d.now, 2)),
  (d, pick) => d.log([{ kind: "inodes-reaped", inodes: nextToReap(d.state.inodes, 1 + pick(3)) }]),
  (d, pick) =>
    d.do(decideSessionOpen(d.state, pick(2) === 0 ? { label: "l", key: `k${pick(3)}` } : { label: "" }, d.now)),
  (d, pick) => d.do(decideSessionClose(d.state, { session: sessionId(1 + pick(4)) })),
  (d, pick) => {
    const session = [...d.state.sessions.byId.values()][pick(4)];
    if (session === undefined) return;
    const at = sequence(session.floor + pick(5));
    const answer = { session: session.session, sequence: at, floor: sequence(Math.max(1, at - pick(3))), message: "m" };
    d.log([], { ...answer, reply: encodeCbor({ at }), ...(pick(2) === 0 ? { print: pick(1_000) } : {}) });
  },
  (d, pick) => {
    const target = { kind: "put", path: pickPath(pick), overwrite: pick(2) === 0 } as const;
    d.do(decideDraftCreate(d.state, { id, target }, pick(2) === 0 ? d.placed() : undefined));
  },
  (d, pick) => {
    const inode = idOfSlot(d.state.inodes, lookup(d.state.inodes, pickPath(pick), "find"));
    d.do(decideDraftCreate(d.state, { id, target: { kind: "append", inode } }, undefined));
  },
  (d, pick) => {
    const draft = [...d.state.drafts.byId.keys()][pick(3)];
    if (draft !== undefined) d.do(decideChunkAllocate(d.state, { draft }, d.placed()));
  },
  (d, pick) => {
    const draft = [...d.state.drafts.byId.values()][pick(3)];
    const [handle] = draft?.chunks ?? [];
    if (draft === undefined || handle === undefined) return;
    const [first = handle] = pick(2) === 0 ? draft.lists.keys() : [];
    const from = draft.lists.get(first)?.length ?? 0;
    const chunk = {
      handle,
      version: chunkVersion(1),
      length: 1 + pick(99),
      crc: pick(9),
      volumes: volumes.slice(0, 3),
    };
    d.do(decideDraftWritten(d.state, { draft: draft.draft, first, from, chunks: [chunk] }));
  },
  (d, pick) => {
    const draft = [...d.state.drafts.byId.values()][pick(3)];
    if (draft === undefined) return;
    const chunks = [...draft.chunks].map((handle) => {
      return { handle, version: chunkVersion(1), length: 1 + pick(99), crc: pick(9), volumes: volumes.slice(0, 3) };
    });
    const [first] = draft.lists.keys();
    const list = first === undefined || pick(4) === 0 ? {} : { first };
    d.do(decideDraftCommit(d.state, { id, draft: draft.draft, ...list, chunks }, d.now));
  },
  (d, pick) => {
    const inode = idOfSlot(d.state.inodes, lookup(d.state.inodes, pickPath(pick), "find"));
    d.log(decideTailOpen(d.state, inode, d.placed()));
  },
  (d, pick) => {
    const [handle] = d.state.tails.values();
    if (handle === undefined) return;
    const version = chunkVersion(2);
    if (findChunk(d.state.chunks, handle)?.state === "open") d.log([{ kind: "seal-begun", handle, version }]);
    if (pick(4) === 0) return;
    const length = pick(50);
    const answers = [{ sequence: sequence(1 + pick(3)), fileOffset: pick(100), bytes: length, crc: pick(9) }];
    const appendTable = [...d.state.sessions.byId.keys()].map((session) => ({ session, answers }));
    const sealed = { handle, version, length, crc: 3, members: [0, 1], appendTable, modifiedMs: 5 };
    d.log([{ kind: "chunk-sealed", ...sealed }]);
  },
  (d) => {
    const number = (d.state.cluster.epoch?.number ?? 0) + 1;
    const epoch = { number, startId: number.toString(16).padStart(16, "0") };
    d.log([
      { kind: "epoch-begun", epoch, wallMs: 9 },
      { kind: "data-directories", directories: [`/data-${number}`] },
    ]);
  },
];

/** Runs the acts that the numbers choose; refusals are passed over. */
function run(driver: CoreDriver, steps: readonly (readonly [number, number])[]): void {
  for (const [which, seed] of steps) {
    driver.clusterMs += 7;
    let rest = seed;
    const pick = (count: number): number => {
      const chosen = rest % count;
      rest = Math.floor(rest / count);
      return chosen;
    };
    try {
      acts[which % acts.length]!(driver, pick);
    } catch (error) {
      if (!hasCode(error, ...refusals)) throw error;
    }
  }
}
const refusals = [
  "NotFound",
  "Exists",
  "IsDirectory",
  "NotDirectory",
  "MoveIntoItself",
  "Busy",
  "InodeChanged",
  "PathInvalid",
] as const;

const copied = (state: MasterState): MasterState => loadState(dumpState(state), defaultLimits);
const dumped = (state: MasterState): string[] =>
  [...dumpState(state)].map((piece) => Buffer.from(piece).toString("latin1"));
const steps = fc.array(fc.tuple(fc.nat(acts.length * 1_000), fc.nat(100_000)), { maxLength: 120, size: "max" });

describe("a checkpoint of the state", () => {
  test("loaded is the same state: dump, load, dump gives the same bytes", () => {
    fc.assert(
      fc.property(steps, (steps) => {
        const driver = new CoreDriver({ trashMs: 200, draftMs: 300, sessionIdleMs: 400 });
        run(driver, steps);
        expect(dumped(copied(driver.state))).toEqual(dumped(driver.state));
      }),
      { numRuns: 60 },
    );
  });

  test("at any position of the log, with the rest of the log replayed, gives the live state", () => {
    fc.assert(
      fc.property(steps, fc.nat(1_000), (steps, cut) => {
        const driver = new CoreDriver({ trashMs: 200, draftMs: 300, sessionIdleMs: 400 });
        run(driver, steps);
        const { batches } = driver;
        const at = cut % (batches.length + 1);
        const replayed = newMasterState();
        for (const batch of batches.slice(0, at)) applyBatch(replayed, batch);
        const state = copied(replayed);
        for (const batch of batches.slice(at)) applyBatch(state, batch);
        expect(dumped(state)).toEqual(dumped(driver.state));
      }),
      { numRuns: 60 },
    );
  });

  test("goes on where the state was: numbers of inodes, sessions and drafts are not given again", () => {
    const driver = new CoreDriver();
    const open = (state: MasterState) => decideSessionOpen(state, { label: "" }, driver.now).reply.session;
    driver.do(decideSessionOpen(driver.state, { label: "" }, driver.now));
    driver.do(decideSessionClose(driver.state, { session: sessionId(1) }));
    const { inode } = driver.do(decideCreateFile(driver.state, { id, path: "/f", mode: "new" }, driver.now));
    driver.do(decideRemove(driver.state, { id, path: "/f", recursive: false, skipTrash: true }, driver.now));
    driver.log([{ kind: "inodes-reaped", inodes: nextToReap(driver.state.inodes, 1) }]);
    const state = copied(driver.state);
    expect(open(state)).toBe(sessionId(2));
    expect(nextInodeIds(state.inodes, 3)).toEqual(nextInodeIds(driver.state.inodes, 3));
    expect(nextInodeIds(state.inodes, 1)).not.toEqual([inode]);
    // A slot that was used as often as its counter can tell stays out of use.
    const slot = inode % 2 ** 32;
    state.inodes.reuse.set(slot, 0xffff);
    const [last] = nextInodeIds(state.inodes, 1);
    const place = { parent: rootInode, name: "n", type: "file", replicas: 1, modifiedMs: 0 } as const;
    const created = { kind: "inode-created", inode: last!, generation: generation(1), ...place } as const;
    const ended: LogRecord = { kind: "inodes-reaped", inodes: [last!] };
    const records: LogRecord[] = [created, { kind: "inode-detached", inode: last! }, ended];
    applyBatch(state, { clusterMs: 5_000, records });
    expect(nextInodeIds(copied(state).inodes, 1)[0]! % 2 ** 32).not.toBe(slot);
  });

  test("of a file with thousands of extents keeps them all, and no piece is over a mebibyte", () => {
    const driver = new CoreDriver();
    driver.do(decideSessionOpen(driver.state, { label: "" }, driver.now));
    const target = { kind: "put", path: "/big", overwrite: false } as const;
    const { draft } = driver.do(decideDraftCreate(driver.state, { id, target }, undefined));
    const chunks = Array.from({ length: 2_500 }, (_, i) => {
      const { placement } = driver.do(decideChunkAllocate(driver.state, { draft }, driver.placed()));
      const { handle, version } = placement;
      return { handle, version, length: i + 1, crc: i, volumes: volumes.slice(0, 3) };
    });
    expect(dumped(copied(driver.state))).toEqual(dumped(driver.state));
    driver.do(decideDraftCommit(driver.state, { id, draft, chunks }, driver.now));
    for (const piece of dumpState(driver.state)) expect(piece.length).toBeLessThanOrEqual(1_048_576);
    const { inodes } = copied(driver.state);
    const slot = lookup(inodes, "/big", "find");
    expect(extentCount(inodes, slot)).toBe(2_500);
    expect(extentAt(inodes, slot, 2_499)).toEqual(extentAt(driver.state.inodes, slot, 2_499));
  });

  test("that lacks a piece, has one twice, or bytes of another kind is refused", () => {
    const driver = new CoreDriver();
    driver.do(decideCreateFile(driver.state, { id, path: "/f", mode: "new" }, driver.now));
    const pieces = [...dumpState(driver.state)];
    expect(pieces.length).toBeGreaterThan(3);
    for (let i = 0; i < pieces.length; i++) {
      expect(() => loadState(pieces.toSpliced(i, 1), defaultLimits)).toThrow();
      expect(() => loadState(pieces.toSpliced(i, 0, pieces[i]!), defaultLimits)).toThrow();
      const cut = pieces[i]!.subarray(0, pieces[i]!.length - 1);
      expect(() => loadState(pieces.toSpliced(i, 1, cut), defaultLimits)).toThrow();
    }
    const newer = encodeCbor({ section: "inodes", version: 2, entries: 0, data: new Uint8Array() });
    const load = beginLoad(defaultLimits);
    addPiece(load, pieces[0]!);
    expect(() => addPiece(load, newer)).toThrow("version 2");
    const unknown = encodeCbor({ section: "songs", version: 1, entries: 0, data: new Uint8Array() });
    expect(() => addPiece(load, unknown)).toThrow("songs");
  });

  test("whose inodes are no tree is refused", () => {
    const damages: [string, (inodes: MasterState["inodes"], slots: number[]) => void][] = [
      ["in two places", (inodes, [a]) => inodes.next.set(a!, a!)],
      ["in no directory", (inodes, [a]) => inodes.next.set(a!, 0)],
      ["holds nothing", (inodes, [a]) => inodes.next.set(a!, 900)],
      ["order of its links", (inodes, [, b]) => inodes.link.set(b!, 0)],
      ["in two places", (inodes, [a]) => inodes.next.set(a!, 2)],
    ];
    for (const [why, damage] of damages) {
      const driver = new CoreDriver();
      for (const path of ["/a", "/b"]) driver.do(decideCreateFile(driver.state, { id, path, mode: "new" }, driver.now));
      const { inodes } = driver.state;
      const slots = ["/a", "/b"].map((path) => lookup(inodes, path, "find"));
      damage(inodes, slots);
      expect(() => loadState([...dumpState(driver.state)], defaultLimits)).toThrow(why);
    }
  });
});

describe("sections", () => {
  test("every field comes back as it was written", () => {
    const writer = new SectionWriter("s");
    writer.u8(255);
    writer.u16(65_535);
    writer.u32(2 ** 32 - 1);
    writer.u53(2 ** 53 - 1);
    writer.f64(-1.5);
    writer.text("ü\n");
    writer.bytes(new Uint8Array(65_535).fill(3));
    expect(writer.endEntry()).toBeUndefined();
    const reader = new SectionReader(writer.end()!);
    expect(reader.nextEntry()).toBe(true);
    expect([reader.u8(), reader.u16(), reader.u32(), reader.u53(), reader.f64(), reader.text()]).toEqual([
      255,
      65_535,
      2 ** 32 - 1,
      2 ** 53 - 1,
      -1.5,
      "ü\n",
    ]);
    expect(reader.bytes().length).toBe(65_535);
    expect(reader.nextEntry()).toBe(false);
    expect(writer.end()).toBeUndefined();
  });
});
