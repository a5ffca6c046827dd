import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../src/base/checksum.ts";
import { hasCode } from "../../../src/base/errors.ts";
import { ControlClient } from "../../../src/net/control-client.ts";
import type { World } from "../../../src/io.ts";
import { clone, deleteReplicas, fence, finish, open, verify } from "../../../src/wire/control/commands.ts";
import type { VolumeAddress } from "../../../src/wire/control/common.ts";
import { verifyReplicas } from "../../../src/wire/control/scrub-orders.ts";
import { AppendOpen, encodeHeader } from "../../../src/wire/data/headers.ts";
import { encodeAppend } from "../../../src/wire/data/records.ts";
import { chunkHandle, chunkVersion, sequence, sessionId } from "../../../src/wire/ids.ts";
import {
  answer,
  cluster,
  content,
  dial,
  epoch,
  handle,
  limits,
  origin,
  put,
  readChunk,
  secret,
  Trio,
  version,
} from "./trio.ts";

function refusal(run: () => unknown): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    return error;
  }
}

const items = [{ handle, version: chunkVersion(2) }];

/** One record, acknowledged by all members. */
async function appendOne(world: World, primary: VolumeAddress, record: Uint8Array): Promise<void> {
  const frames = await dial(world, primary.data);
  const header = { volume: primary.volume, handle, version, inode: origin.inode, session: sessionId(1) };
  frames.send("appendOpen", 1, encodeHeader(AppendOpen, header));
  await answer(frames);
  frames.send("append", 1, encodeAppend(sequence(1), crc32(record)), [record]);
  await answer(frames);
  frames.close();
}

describe("DESIGN §4.1 whom a volume obeys", () => {
  test.each([
    ["an epoch that is over", { epoch: { ...epoch, number: 4 } }, "EpochStale"],
    [
      "another start under the same epoch number: a copied directory",
      { epoch: { ...epoch, startId: "b".repeat(16) } },
      "EpochStale",
    ],
    ["a master of another cluster", { clusterId: "d".repeat(32) }, "WrongCluster"],
    ["a command meant for another volume", { volume: "f".repeat(32) }, "ReplicaMissing"],
  ] as const)("not %s", (_name, changed, code) => {
    const trio = new Trio();
    const error = refusal(() => trio.command("s1", fence, { items }, changed));
    expect(hasCode(error, code)).toBe(true);
  });

  test("a higher epoch, and from then on no lower one, through a restart too", () => {
    const trio = new Trio();
    trio.command("s1", fence, { items }, { epoch: { number: 6, startId: "c".repeat(16) } });
    expect(
      hasCode(
        refusal(() => trio.command("s1", fence, { items })),
        "EpochStale",
      ),
    ).toBe(true);
    trio.master.epoch = { number: 6, startId: "c".repeat(16) };
    const [first] = trio.machines;
    first!.crash({ powerLoss: true });
    first!.restart();
    trio.start(first!);
    expect(
      hasCode(
        refusal(() => trio.command("s1", fence, { items })),
        "EpochStale",
      ),
    ).toBe(true);
  });

  test("nobody but a master", () => {
    const trio = new Trio();
    const error = trio.do(async (world) => {
      const caller = new ControlClient(world, { role: "client", secret, clusterId: () => cluster });
      const { volume, controlAddress } = trio.server("s1");
      const request = { clusterId: cluster, epoch, volume, items };
      return caller.call(controlAddress, fence, request, { timeoutMs: 5_000 }).catch((thrown: unknown) => thrown);
    });
    expect(hasCode(error, "Denied")).toBe(true);
  });

  test("nobody without the secret", () => {
    const trio = new Trio();
    const errors = trio.do(async (world) => {
      const { volume, controlAddress, dataAddress } = trio.server("s1");
      const caller = new ControlClient(world, { role: "master", clusterId: () => cluster });
      const request = { clusterId: cluster, epoch, volume, items };
      return [
        await caller.call(controlAddress, fence, request, { timeoutMs: 5_000 }).catch((thrown: unknown) => thrown),
        await dial(world, dataAddress).then(
          (frames) => frames.close(),
          (thrown: unknown) => thrown,
        ),
      ];
    });
    expect(hasCode(errors[0], "Denied")).toBe(true);
    expect(errors[1]).toBeUndefined();
  });
});

describe("DESIGN §4.3 open", () => {
  const chunk = (trio: Trio) => ({
    handle,
    version,
    chain: trio.chain(),
    origin,
    chunkBytes: limits.chunkBytes,
    appendTable: [],
    leaseMs: 60_000,
  });

  test("again is fine while the role is held, and refused after a restart", () => {
    const trio = new Trio();
    const chunks = [chunk(trio)];
    expect(trio.command("s1", open, { chunks }).results).toEqual([{ kind: "ok" }]);
    expect(trio.command("s1", open, { chunks }).results).toEqual([{ kind: "ok" }]);
    const [first] = trio.machines;
    first!.crash({ powerLoss: false });
    first!.restart();
    trio.start(first!);
    expect(trio.command("s1", open, { chunks }).results[0]).toMatchObject({
      kind: "error",
      error: { code: "ChunkClosed" },
    });
  });

  test("twice in one command makes one role", () => {
    const trio = new Trio();
    const { results } = trio.command("s1", open, { chunks: [chunk(trio), chunk(trio)] });
    expect(results).toEqual([{ kind: "ok" }, { kind: "ok" }]);
  });

  test.each([
    ["below a fence", (trio: Trio) => trio.command("s1", fence, { items })],
    [
      "that comes after the chunk's delete",
      (trio: Trio) => trio.command("s1", deleteReplicas, { items: [{ handle }] }),
    ],
  ] as const)("%s is refused", (_name, before) => {
    const trio = new Trio();
    before(trio);
    const [result] = trio.command("s1", open, { chunks: [chunk(trio)] }).results;
    expect(result).toMatchObject({ kind: "error", error: { code: "VersionStale" } });
  });

  test("never revives a chunk that was here and removed", () => {
    const trio = new Trio();
    const chunks = [chunk(trio)];
    trio.command("s1", open, { chunks });
    trio.command("s1", deleteReplicas, { items: [{ handle }] });
    expect(trio.command("s1", open, { chunks }).results[0]).toMatchObject({
      kind: "error",
      error: { code: "VersionStale" },
    });
  });

  test("by a server that is not in the chain is refused", () => {
    const trio = new Trio();
    const chunks = [{ ...chunk(trio), chain: trio.chain("s2", "s3") }];
    expect(trio.command("s1", open, { chunks }).results[0]).toMatchObject({
      kind: "error",
      error: { code: "ReplicaMissing" },
    });
  });
});

describe("DESIGN §4.5 repair and garbage", () => {
  function sealed(bytes: number, ...names: string[]): { trio: Trio; sent: Uint8Array } {
    const trio = new Trio();
    const sent = content(bytes);
    const chain = trio.chain(...names);
    trio.do(async (world) => put(await dial(world, chain[0]!.data), chain, sent));
    return { trio, sent };
  }

  test("a clone is the same bytes, sealed; cloning again changes nothing", () => {
    const { trio, sent } = sealed(3_000_000, "s1");
    const wanted = { handle, version, length: sent.length, crc: crc32(sent), sources: trio.chain("s1"), origin };
    expect(trio.command("s3", clone, wanted)).toEqual({});
    expect(trio.command("s3", clone, wanted)).toEqual({});
    const read = trio.do((world) => readChunk(world, trio.address("s3")));
    expect(crc32(read.content)).toBe(crc32(sent));
  });

  test("a clone goes on at the next source where one is gone", () => {
    const { trio, sent } = sealed(3_000_000, "s1", "s2");
    trio.machines[0]!.crash({ powerLoss: false });
    const wanted = { handle, version, length: sent.length, crc: crc32(sent), sources: trio.chain("s1", "s2"), origin };
    expect(trio.command("s3", clone, wanted)).toEqual({});
  });

  test("a clone that is not what the master wants is not kept", () => {
    const { trio, sent } = sealed(100_000, "s1");
    const wanted = { handle, version, length: sent.length, crc: 1, sources: trio.chain("s1"), origin };
    expect(
      hasCode(
        refusal(() => trio.command("s3", clone, wanted)),
        "Corrupt",
      ),
    ).toBe(true);
    const read = trio.do((world) => readChunk(world, trio.address("s3")).catch((error: unknown) => error));
    expect(hasCode(read, "ReplicaMissing")).toBe(true);
  });

  test("a delete of stale replicas leaves what is not stale", () => {
    const { trio } = sealed(1_000, "s1");
    trio.command("s1", deleteReplicas, { items: [{ handle, below: version }] });
    expect(trio.command("s1", verify, { handle, version }).result).toBe("healthy");
    trio.command("s1", deleteReplicas, { items: [{ handle, below: chunkVersion(2) }] });
    expect(trio.command("s1", verify, { handle, version }).result).toBe("missing");
  });

  test("a verify of another version finds it missing", () => {
    const { trio } = sealed(1_000, "s1");
    expect(trio.command("s1", verify, { handle, version: chunkVersion(9) }).result).toBe("missing");
    expect(trio.command("s1", verify, { handle: chunkHandle(5), version }).result).toBe("missing");
  });

  test("an order to verify is answered before its caller gives up, though no heartbeat tells the master of what is bad", () => {
    const { trio } = sealed(3_000_000, "s1");
    trio.machines[0]!.drive().corrupt("/data/chunks/4d/000000000000004d", 2_000_000);
    trio.simulation.network.partition(["s1"], ["master"]);
    const beganMs = trio.simulation.nowMs;
    const withinMs = 200;
    const { results } = trio.command("s1", verifyReplicas, { items: [{ handle, version }], withinMs });
    expect(results).toEqual(["corrupt"]);
    // The master waits as long as `controlMs` after the order's end.
    expect(trio.simulation.nowMs - beganMs).toBeLessThan(withinMs + 0.8 * limits.controlMs);
  });
});

describe("DESIGN §4.4 who may read what", () => {
  test.each([
    ["a version that it has not", { version: 2 }, "VersionStale"],
    ["a volume that it is not", { volume: "f".repeat(32) }, "ReplicaMissing"],
    ["a tail of what is not fenced", { purpose: "tail", version: 2 }, "VersionStale"],
  ] as const)("not %s", (_name, wish, code) => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    trio.do(async (world) => put(await dial(world, chain[0]!.data), chain, content(1_000)));
    const read = trio.do((world) => readChunk(world, chain[0]!, wish).catch((error: unknown) => error));
    expect(hasCode(read, code)).toBe(true);
  });

  test.each([
    [0, 1_000, 1_000],
    [999, 1, 1],
    [999, 10, 1],
    [1_000, 10, 0],
    [5_000, 10, 0],
    [0, 0, 0],
  ] as const)("from %d on %d bytes of 1 000: %d, and the end is said", (offset, length, expected) => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    const sent = content(1_000);
    trio.do(async (world) => put(await dial(world, chain[0]!.data), chain, sent));
    const read = trio.do((world) => readChunk(world, chain[0]!, { offset, length }));
    expect(read).toMatchObject({ bytes: expected, end: 1_000, open: false });
    expect([...read.content]).toEqual([...sent.subarray(offset, offset + expected)]);
  });

  /** Three members hold all of a chunk that is sealed by the log, and the finish of `unfinished` is yet to come. */
  function sealedBut(unfinished: string) {
    const trio = new Trio();
    trio.openChunk();
    const { chunk, record } = { chunk: chunkVersion(2), record: content(70_000) };
    trio.do((world) => appendOne(world, trio.address("s1"), record));
    for (const name of ["s1", "s2", "s3"]) trio.command(name, fence, { items: [{ handle, version: chunk }] });
    const item = { handle, version: chunk, length: record.length, crc: crc32(record), origin };
    for (const name of ["s1", "s2", "s3"]) if (name !== unfinished) trio.command(name, finish, { items: [item] });
    return { trio, item, record };
  }

  test("a member that was not told yet that its chunk is sealed has a reader come back, and is no suspect", () => {
    const { trio, item } = sealedBut("s2");
    const read = trio.do((world) =>
      readChunk(world, trio.address("s2"), { version: 2 }).catch((error: unknown) => error),
    );
    expect(hasCode(read, "Busy")).toBe(true);
    expect(
      hasCode(
        refusal(() => trio.command("s2", verify, { handle, version: item.version })),
        "Busy",
      ),
    ).toBe(true);
    trio.command("s2", finish, { items: [item] });
    expect(trio.do((world) => readChunk(world, trio.address("s2"), { version: 2 })).bytes).toBe(item.length);
    expect(trio.command("s2", verify, { handle, version: item.version }).result).toBe("healthy");
  });

  test.each([
    ["whose server ran on", (_trio: Trio) => {}],
    [
      "whose server was restarted",
      (trio: Trio) => {
        const third = trio.machines.find(({ name }) => name === "s3")!;
        third.crash({ powerLoss: false });
        third.restart();
        trio.start(third);
      },
    ],
  ] as const)(
    "a clone to a member %s, and that the seal went on without: its open replica makes room",
    (_name, away) => {
      const trio = new Trio();
      trio.openChunk();
      const sealed = chunkVersion(2);
      const record = content(70_000);
      trio.do((world) => appendOne(world, trio.address("s1"), record));
      away(trio);
      for (const name of ["s1", "s2"]) trio.command(name, fence, { items: [{ handle, version: sealed }] });
      const item = { handle, version: sealed, length: record.length, crc: crc32(record), origin };
      for (const name of ["s1", "s2"]) trio.command(name, finish, { items: [item] });
      expect(trio.command("s3", clone, { ...item, sources: trio.chain("s1", "s2") })).toEqual({});
      const read = trio.do((world) => readChunk(world, trio.address("s3"), { version: 2 }));
      expect(crc32(read.content)).toBe(crc32(record));
      expect(read.open).toBe(false);
    },
  );

  test("a clone to a member that holds all of it is its finish: no copy goes before another is there", () => {
    const { trio, item, record } = sealedBut("s2");
    for (const name of ["s1", "s3"]) trio.machines.find((each) => each.name === name)!.crash({ powerLoss: false });
    expect(trio.command("s2", clone, { ...item, sources: trio.chain("s1", "s3") })).toEqual({});
    const read = trio.do((world) => readChunk(world, trio.address("s2"), { version: 2 }));
    expect(crc32(read.content)).toBe(crc32(record));
  });

  test("what a clone is to replace stays where no source gives a byte", () => {
    const trio = new Trio();
    trio.openChunk();
    const half = content(30_000);
    trio.do((world) => appendOne(world, trio.address("s1"), half));
    const v2 = chunkVersion(2);
    for (const name of ["s1", "s2", "s3"]) trio.command(name, fence, { items: [{ handle, version: v2 }] });
    const held = { handle, version: v2, length: half.length, crc: crc32(half), origin };
    for (const name of ["s1", "s2"]) trio.command(name, finish, { items: [held] });
    // Another one than what s3 holds all of: it is no finish.
    const wanted = { ...held, length: half.length + 1, sources: trio.chain("s1", "s2") };
    for (const name of ["s1", "s2"]) trio.machines.find((each) => each.name === name)!.crash({ powerLoss: false });
    expect(refusal(() => trio.command("s3", clone, wanted))).toMatchObject({ code: "Unavailable" });
    const { answers } = trio.command("s3", fence, { items: [{ handle, version: v2 }] });
    expect(answers).toMatchObject([{ kind: "fenced", prepared: half.length }]);
  });

  test("a clone of what is open is refused", () => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    trio.openChunk(chain);
    const read = trio.do((world) => readChunk(world, chain[0]!, { purpose: "clone" }).catch((error: unknown) => error));
    expect(hasCode(read, "ReplicaMissing")).toBe(true);
  });
});
