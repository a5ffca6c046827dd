import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../src/base/checksum.ts";
import { hasCode } from "../../../src/base/errors.ts";
import type { World } from "../../../src/io.ts";
import type { FrameConnection } from "../../../src/net/frame-connection.ts";
import { committedLength, fence, fetchTail, finish } from "../../../src/wire/control/commands.ts";
import type { Chain } from "../../../src/wire/control/common.ts";
import { AppendOpen, AppendOpened, decodeHeader, encodeHeader } from "../../../src/wire/data/headers.ts";
import { decodeAppendAnswer, encodeAppend } from "../../../src/wire/data/records.ts";
import { chunkVersion, inodeId, sequence, sessionId } from "../../../src/wire/ids.ts";
import { answer, content, dial, handle, origin, readChunk, Trio, version } from "./trio.ts";

const sealVersion = chunkVersion(2);

async function openStream(world: World, chain: Chain, session = 1, inode = origin.inode) {
  const frames = await dial(world, chain[0]!.data);
  const header = { volume: chain[0]!.volume, handle, version, inode, session: sessionId(session) };
  frames.send("appendOpen", session, encodeHeader(AppendOpen, header));
  const { answers } = decodeHeader(AppendOpened, (await answer(frames)).header);
  return { frames, answers };
}

function send(frames: FrameConnection, session: number, seq: number, record: Uint8Array): void {
  frames.send("append", session, encodeAppend(sequence(seq), crc32(record)), [record]);
}

async function outcome(frames: FrameConnection): Promise<string> {
  const decoded = decodeAppendAnswer(await answer(frames));
  if (decoded.kind === "done") return `${decoded.answer.sequence}@${decoded.answer.fileOffset}`;
  return `${decoded.refusal.sequence}:${decoded.refusal.error.code}`;
}

/** Sends records `from`..`to` of one session, all at once; their outcomes. */
async function appendAll(
  world: World,
  chain: Chain,
  ...[session, from, to]: [number, number, number]
): Promise<string[]> {
  const { frames } = await openStream(world, chain, session);
  for (let seq = from; seq <= to; seq++) send(frames, session, seq, content(100, seq));
  const outcomes: string[] = [];
  for (let seq = from; seq <= to; seq++) outcomes.push(await outcome(frames));
  frames.close();
  return outcomes;
}

describe("DESIGN §4.3 record append over a chain", () => {
  test("answers come in order with file offsets, and every member has the bytes", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain);
    const outcomes = trio.do((world) => appendAll(world, chain, 1, 1, 50));
    expect(outcomes).toEqual(Array.from({ length: 50 }, (_, i) => `${i + 1}@${origin.fileOffset + 100 * i}`));
    for (const at of chain) {
      const read = trio.do((world) => readChunk(world, at, { committed: 5_000 }));
      expect(read).toMatchObject({ end: 5_000, open: true });
      expect([...read.content.subarray(4_900)]).toEqual([...content(100, 50)]);
    }
    expect(trio.command("s1", committedLength, { handle, version }).committed).toBe(5_000);
  });

  test("a member learns the committed length without a reader, and serves no further than it knows", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain);
    trio.do((world) => appendAll(world, chain, 1, 1, 3));
    trio.simulation.runFor(2_000);
    expect(trio.do((world) => readChunk(world, chain[2]!, { committed: 1 })).end).toBe(300);
  });

  test("eight sessions at once: each one's own order, no byte twice, no hole", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain);
    const all = trio.do((world) =>
      Promise.all(Array.from({ length: 8 }, (_, i) => appendAll(world, chain, i + 1, 1, 40))),
    );
    const offsets = all.flatMap((outcomes) => outcomes.map((text) => Number(text.split("@")[1])));
    expect(offsets.sort((a, b) => a - b)).toEqual(Array.from({ length: 320 }, (_, i) => origin.fileOffset + 100 * i));
    for (const outcomes of all) {
      const own = outcomes.map((text) => Number(text.split("@")[1]));
      expect(own).toEqual(own.toSorted((a, b) => a - b));
    }
  });

  test("a retry on a new connection gets the first answer, and the opening says what is answered", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain);
    const first = trio.do((world) => appendAll(world, chain, 1, 1, 3));
    const again = trio.do((world) => appendAll(world, chain, 1, 2, 3));
    expect(again).toEqual(first.slice(1));
    const opened = trio.do((world) => openStream(world, chain, 1));
    expect(opened.answers.map(({ sequence: seq }) => Number(seq))).toEqual([1, 2, 3]);
  });

  test("the append table of the tail before is honoured", () => {
    const trio = new Trio();
    const chain = trio.chain();
    const record = content(100, 1);
    const answers = [{ sequence: sequence(1), fileOffset: 900, bytes: 100, crc: crc32(record) }];
    trio.openChunk(chain, [{ session: sessionId(1), answers }]);
    expect(trio.do((world) => appendAll(world, chain, 1, 1, 2))).toEqual(["1@900", `2@${origin.fileOffset}`]);
  });

  test("a record whose checksum is wrong is not taken, and the stream ends", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain);
    const refused = trio.do(async (world) => {
      const { frames } = await openStream(world, chain);
      frames.send("append", 1, encodeAppend(sequence(1), 5), [content(100)]);
      return outcome(frames).catch((error: unknown) => error);
    });
    expect(hasCode(refused, "Corrupt")).toBe(true);
    expect(trio.do((world) => appendAll(world, chain, 1, 1, 1))).toEqual([`1@${origin.fileOffset}`]);
  });

  test.each([
    ["another inode", { inode: 43 }, "InodeChanged"],
    ["a secondary", { at: 1 }, "NotPrimary"],
  ] as const)("%s is refused at the opening", (_name, wish, code) => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain);
    const asked = "at" in wish ? chain.slice(wish.at) : chain;
    const inode = "inode" in wish ? inodeId(wish.inode) : origin.inode;
    const refused = trio.do((world) => openStream(world, asked, 1, inode).catch((error: unknown) => error));
    expect(hasCode(refused, code)).toBe(true);
  });

  test("a full chunk stops, says so to the master, and answers what it took", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain, [], 250);
    const outcomes = trio.do((world) => appendAll(world, chain, 1, 1, 3));
    expect(outcomes.toSorted()).toEqual(["1@1000", "2@1100", "3:ChunkFull"]);
    trio.simulation.runFor(1_500);
    expect(trio.master.said(chain[0]!.volume)).toMatchObject({ role: "primary", stopped: "full", prepared: 200 });
  });
});

describe("DESIGN §4.3 rollback and seal over a chain", () => {
  test.each(["s2", "s3"])(
    "%s dies: appends are refused to go elsewhere, and the seal keeps all that was acknowledged",
    (victim) => {
      const trio = new Trio();
      const chain = trio.chain();
      trio.openChunk(chain);
      const before = trio.do((world) => appendAll(world, chain, 1, 1, 10));
      expect(before).toHaveLength(10);
      trio.machines.find(({ name }) => name === victim)!.crash({ powerLoss: true });
      const after = trio.do((world) => appendAll(world, chain, 1, 11, 13));
      expect(after).toEqual(["11:ChunkClosed", "12:ChunkClosed", "13:ChunkClosed"]);
      trio.simulation.runFor(1_500);
      expect(trio.master.said(chain[0]!.volume)?.stopped).toBeDefined();

      const alive = ["s1", "s2", "s3"].filter((name) => name !== victim);
      const fences = alive.map(
        (name) => trio.command(name, fence, { items: [{ handle, version: sealVersion }] }).answers[0]!,
      );
      const lengths = fences.map((given) => (given.kind === "fenced" ? given.prepared : -1));
      for (const length of lengths) expect(length).toBeGreaterThanOrEqual(1_000);
      const longest = fences[lengths.indexOf(Math.max(...lengths))]!;
      if (longest.kind !== "fenced") throw new Error("not fenced");
      const length = longest.prepared;
      const table = longest.appendTable.find(({ session }) => session === 1);
      expect(table?.answers.at(-1)).toMatchObject({
        sequence: length / 100,
        fileOffset: origin.fileOffset + length - 100,
      });

      const sources = trio.chain(...alive);
      for (const name of alive) {
        const { crc, appendTable } = longest;
        const wanted = { handle, version: sealVersion, length, crc, sources, origin, appendTable };
        expect(trio.command(name, fetchTail, wanted).prepared).toBe(length);
        expect(trio.command(name, finish, { items: [wanted] }).results).toEqual([{ kind: "ok" }]);
        expect(trio.command(name, finish, { items: [wanted] }).results).toEqual([{ kind: "ok" }]);
        const read = trio.do((world) => readChunk(world, trio.address(name), { version: sealVersion }));
        expect(read).toMatchObject({ bytes: length, open: false });
      }
    },
  );

  test("the same fence again gives the same answer; a lower one is refused; nothing is appended after it", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain);
    trio.do((world) => appendAll(world, chain, 1, 1, 2));
    const items = [{ handle, version: chunkVersion(3) }];
    const first = trio.command("s1", fence, { items });
    expect(first.answers[0]).toMatchObject({ kind: "fenced", prepared: 200, committed: 200, dataVersion: version });
    expect(trio.command("s1", fence, { items })).toEqual(first);
    const lower = trio.command("s1", fence, { items: [{ handle, version: sealVersion }] });
    expect(lower.answers[0]).toMatchObject({ kind: "refused", promised: chunkVersion(3) });
    expect(trio.do((world) => appendAll(world, chain, 1, 3, 3))).toEqual(["3:VersionStale"]);
  });

  test("a fence of a secondary alone ends the chain", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain);
    trio.do((world) => appendAll(world, chain, 1, 1, 2));
    trio.command("s3", fence, { items: [{ handle, version: sealVersion }] });
    expect(trio.do((world) => appendAll(world, chain, 1, 3, 3))).toEqual(["3:ChunkClosed"]);
  });

  test("a spare that never had the chunk is fenced empty, and copies in what the seal wants", () => {
    const trio = new Trio();
    const chain = trio.chain("s1", "s2");
    trio.openChunk(chain);
    trio.do((world) => appendAll(world, chain, 1, 1, 5));
    const items = [{ handle, version: sealVersion }];
    for (const name of ["s1", "s2"]) trio.command(name, fence, { items });
    const { answers } = trio.command("s3", fence, { items });
    expect(answers[0]).toMatchObject({ kind: "fenced", prepared: 0, crc: 0, dataVersion: 0 });
    const held = trio.command("s1", fence, { items }).answers[0]!;
    if (held.kind !== "fenced") throw new Error("not fenced");
    const { crc, appendTable } = held;
    const wanted = { handle, version: sealVersion, length: 500, crc, sources: chain, origin, appendTable };
    expect(trio.command("s3", fetchTail, wanted)).toEqual({ prepared: 500 });
    expect(trio.command("s3", fence, { items }).answers[0]).toEqual({ ...held, committed: 0 });
    expect(trio.command("s3", finish, { items: [wanted] }).results).toEqual([{ kind: "ok" }]);
  });

  test("a primary that was restarted has lost its role: it says so, takes nothing, and keeps the bytes", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain);
    trio.do((world) => appendAll(world, chain, 1, 1, 5));
    const [first] = trio.machines;
    first!.crash({ powerLoss: true });
    first!.restart();
    trio.start(first!);
    trio.simulation.runFor(1_500);
    expect(trio.master.said(chain[0]!.volume)).toMatchObject({ role: "lost", prepared: 500 });
    const refused = trio.do((world) => openStream(world, chain).catch((error: unknown) => error));
    expect(hasCode(refused, "NotPrimary")).toBe(true);
    const items = [{ handle, version: sealVersion }];
    expect(trio.command("s1", fence, { items }).answers[0]).toMatchObject({ kind: "fenced", prepared: 500 });
  });

  test("a primary out of the master's reach stops at the end of its lease, and goes on when it is back", () => {
    const trio = new Trio();
    trio.master.leaseMs = 12_000;
    const chain = trio.chain();
    trio.openChunk(chain);
    trio.simulation.network.isolate("master");
    trio.simulation.runFor(5_000);
    expect(trio.do((world) => appendAll(world, chain, 1, 1, 1))).toEqual([`1@${origin.fileOffset}`]);
    trio.simulation.runFor(10_000);
    expect(trio.do((world) => appendAll(world, chain, 1, 2, 2))).toEqual(["2:NotPrimary"]);
    trio.simulation.network.heal();
    trio.simulation.runFor(15_000);
    expect(trio.do((world) => appendAll(world, chain, 1, 2, 2))).toEqual([`2@${origin.fileOffset + 100}`]);
  });

  test("a member that is silent is given up after prepareMs", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain);
    trio.do((world) => appendAll(world, chain, 1, 1, 1));
    trio.machines[2]!.pause(60_000);
    const beforeMs = trio.simulation.nowMs;
    expect(trio.do((world) => appendAll(world, chain, 1, 2, 2))).toEqual(["2:ChunkClosed"]);
    expect(trio.simulation.nowMs - beforeMs).toBeLessThan(6_000);
  });

  test("a chain without records lets its connections go, and the next record finds the members again", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain);
    trio.do((world) => appendAll(world, chain, 1, 1, 2));
    trio.simulation.runFor(200_000);
    expect(trio.do((world) => readChunk(world, chain[2]!, { committed: 1 })).end).toBe(200);
    expect(trio.do((world) => appendAll(world, chain, 1, 3, 4))).toHaveLength(2);
    expect(trio.do((world) => readChunk(world, chain[2]!, { committed: 400 })).end).toBe(400);
  });

  test("members whose idle connections broke are found again: nothing was lost, so nothing is sealed", () => {
    const trio = new Trio();
    const chain = trio.chain();
    trio.openChunk(chain);
    trio.do((world) => appendAll(world, chain, 1, 1, 2));
    trio.simulation.network.isolate("s2");
    trio.simulation.runFor(30_000);
    trio.simulation.network.heal();
    trio.simulation.runFor(5_000);
    expect(trio.do((world) => appendAll(world, chain, 1, 3, 3))).toEqual([`3@${origin.fileOffset + 200}`]);
  });
});
