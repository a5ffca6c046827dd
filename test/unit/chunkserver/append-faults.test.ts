/** Real servers, random faults: clients append while a member is killed, loses power, stalls or is cut off; then the master's part of a seal (DESIGN §4.3). */
import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../src/base/checksum.ts";
import { asGfsError } from "../../../src/base/errors.ts";
import type { World } from "../../../src/io.ts";
import { fence, fetchTail, finish, verify, type FenceAnswer } from "../../../src/wire/control/commands.ts";
import { AppendOpen, encodeHeader } from "../../../src/wire/data/headers.ts";
import { decodeAppendAnswer, encodeAppend } from "../../../src/wire/data/records.ts";
import { chunkVersion, sequence, sessionId } from "../../../src/wire/ids.ts";
import { content, dial, handle, origin, readChunk, Trio, version } from "./trio.ts";

const sealVersion = chunkVersion(2);
const names = ["s1", "s2", "s3"];

interface Acknowledged {
  readonly offset: number;
  readonly record: Uint8Array;
}

/** Appends until it is refused or the connection is gone; what it was told goes to `acknowledged`. */
async function append(world: World, trio: Trio, session: number, acknowledged: Acknowledged[]): Promise<void> {
  const primary = trio.address("s1");
  const frames = await dial(world, primary.data);
  const header = { volume: primary.volume, handle, version, inode: origin.inode, session: sessionId(session) };
  frames.send("appendOpen", 1, encodeHeader(AppendOpen, header));
  const record = (seq: number): Uint8Array => content(50 + ((seq * 7 + session) % 200), seq * 8 + session);
  let sent = 0;
  const more = (): void => {
    const next = record(++sent);
    frames.send("append", 1, encodeAppend(sequence(sent), crc32(next)), [next]);
  };
  for (let i = 0; i < 16; i++) more();
  for (;;) {
    const frame = await frames.read();
    if (frame === null || frame.type === "error") return;
    if (frame.type !== "appendAnswer") continue;
    const decoded = decodeAppendAnswer(frame);
    if (decoded.kind === "refused") return frames.close();
    const { sequence: seq, fileOffset } = decoded.answer;
    acknowledged.push({ offset: fileOffset - origin.fileOffset, record: record(seq) });
    more();
  }
}

function hurt(trio: Trio, kind: number, name: string): void {
  const { simulation } = trio;
  const machine = trio.machines.find((other) => other.name === name)!;
  if (kind === 0) machine.crash({ powerLoss: false });
  else if (kind === 1) machine.crash({ powerLoss: true });
  else if (kind === 2) machine.pause(8_000);
  else simulation.network.isolate(name);
}

describe("DESIGN §4.3 with one fault", () => {
  test.each(Array.from({ length: 12 }, (_, seed) => [seed] as const))(
    "seed %d: a seal by two members keeps all that was acknowledged",
    (seed) => {
      const trio = new Trio(seed);
      const { simulation } = trio;
      trio.openChunk(trio.chain());
      const acknowledged: Acknowledged[] = [];
      for (const session of [1, 2, 3])
        trio.client.run((world) => append(world, trio, session, acknowledged).catch(() => undefined));
      simulation.runFor(simulation.prng.integer(20, 60));
      const victim = names[seed % 3]!;
      hurt(trio, Math.floor(seed / 3), victim);
      simulation.runFor(simulation.prng.integer(1, 7_000));

      const alive = names.filter((name) => name !== victim);
      const items = [{ handle, version: sealVersion }];
      const answers = alive.map((name) => trio.command(name, fence, { items }).answers[0]!);
      const fenced = answers.filter((given): given is FenceAnswer & { kind: "fenced" } => given.kind === "fenced");
      expect(fenced).toHaveLength(2);
      const longest = fenced[0]!.prepared >= fenced[1]!.prepared ? fenced[0]! : fenced[1]!;
      const length = longest.prepared;
      const { crc, appendTable } = longest;
      const sources = trio.chain(...alive);
      const wanted = { handle, version: sealVersion, length, crc, sources, origin, appendTable };
      for (const name of alive) {
        expect(trio.command(name, fetchTail, wanted).prepared).toBe(length);
        // To a master that starts in between, the bytes and their answers are told alike by every member.
        const again = trio.command(name, fence, { items }).answers[0]!;
        expect(again).toMatchObject({ prepared: length, crc, appendTable });
        expect(trio.command(name, finish, { items: [wanted] }).results).toEqual([{ kind: "ok" }]);
      }

      expect(acknowledged.length).toBeGreaterThan(0);
      for (const name of alive) {
        const read = trio.do((world) => readChunk(world, trio.address(name), { version: sealVersion }));
        const lost = acknowledged.filter(
          ({ offset, record }) => crc32(read.content.subarray(offset, offset + record.length)) !== crc32(record),
        );
        expect(lost).toEqual([]);
      }
      const known = longest.appendTable.reduce((sum, { answers: given }) => sum + given.at(-1)!.sequence, 0);
      expect(known).toBeGreaterThanOrEqual(acknowledged.length);
    },
  );
});

describe("DESIGN §1 P1 a vote is for bytes that are there", () => {
  /** Flips a bit of a record that lies in the server's volume log. */
  function rot(trio: Trio, name: string, record: Uint8Array): void {
    const machine = trio.machines.find((each) => each.name === name)!;
    const found = trio.simulation.do(machine, async ({ disk }) => {
      for (const file of await disk.list("/data/log")) {
        const open = await disk.open(`/data/log/${file}`, "read");
        const bytes = new Uint8Array(1_000_000);
        await open.read(bytes, 0);
        await open.close();
        const at = Buffer.from(bytes.buffer).indexOf(record);
        if (at >= 0) return { path: `/data/log/${file}`, at };
      }
      throw new Error("the record is nowhere");
    });
    machine.drive(found.path).corrupt(found.path, found.at + 20);
  }

  test.each(["s1", "s2", "s3"])(
    "a record is not acknowledged that %s was syncing when it found its replica corrupt",
    (name) => {
      const trio = new Trio();
      const { simulation } = trio;
      trio.openChunk(trio.chain());
      const first = content(500, 1);
      const second = content(500, 2);
      const outcomes: string[] = [];
      const drive = trio.machines.find((each) => each.name === name)!.drive("/data/log");
      const go = Promise.withResolvers<void>();
      trio.client.run(async (world) => {
        const primary = trio.address("s1");
        const frames = await dial(world, primary.data);
        const header = { volume: primary.volume, handle, version, inode: origin.inode, session: sessionId(1) };
        frames.send("appendOpen", 1, encodeHeader(AppendOpen, header));
        frames.send("append", 1, encodeAppend(sequence(1), crc32(first)), [first]);
        for (;;) {
          const frame = await frames.read();
          if (frame === null) return;
          if (frame.type !== "appendAnswer") continue;
          outcomes.push(decodeAppendAnswer(frame).kind);
          if (outcomes.length > 1) return;
          await go.promise;
          frames.send("append", 1, encodeAppend(sequence(2), crc32(second)), [second]);
        }
      });
      simulation.runFor(1_000);
      expect(outcomes).toEqual(["done"]);
      rot(trio, name, first);
      drive.slow(1_000);
      go.resolve();
      simulation.runFor(50);
      drive.slow(1);
      expect(trio.command(name, verify, { handle, version }).result).toBe("corrupt");
      expect(outcomes).toEqual(["done"]);
      simulation.runFor(20_000);
      expect(outcomes).toEqual(["done", "refused"]);
    },
  );

  test("a source whose replica rotted is named by whoever could not copy from it", () => {
    const trio = new Trio();
    trio.openChunk(trio.chain("s1", "s2"));
    const record = content(500, 1);
    trio.do(async (world) => {
      const primary = trio.address("s1");
      const frames = await dial(world, primary.data);
      const header = { volume: primary.volume, handle, version, inode: origin.inode, session: sessionId(1) };
      frames.send("appendOpen", 1, encodeHeader(AppendOpen, header));
      frames.send("append", 1, encodeAppend(sequence(1), crc32(record)), [record]);
      for (let frame = await frames.read(); frame?.type !== "appendAnswer";) frame = await frames.read();
      frames.close();
    });
    const items = [{ handle, version: sealVersion }];
    const [answer] = trio.command("s1", fence, { items }).answers;
    if (answer?.kind !== "fenced") throw new Error("not fenced");
    rot(trio, "s1", record);
    const { prepared: length, crc, appendTable } = answer;
    const sources = trio.chain("s1");
    const wanted = { handle, version: sealVersion, length, crc, sources, origin, appendTable };
    const refusal = asGfsError(thrownBy(() => trio.command("s3", fetchTail, wanted)));
    expect(refusal).toMatchObject({ code: "Corrupt", details: { source: trio.address("s1").volume } });
  });
});

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (thrown) {
    return thrown;
  }
  throw new Error("nothing was thrown");
}
