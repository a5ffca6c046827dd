/** The copy of the master's metadata on a volume: what was answered is there after any crash, and what is damaged is not told of. */
import { describe, expect, test } from "bun:test";
import { concatBytes, utf8 } from "../../../../src/base/bytes.ts";
import { crc32 } from "../../../../src/base/checksum.ts";
import { GfsError, hasCode } from "../../../../src/base/errors.ts";
import { MetadataFolder } from "../../../../src/chunkserver/store/metadata-folder.ts";
import { Retirement } from "../../../../src/chunkserver/store/retirement.ts";
import type { World } from "../../../../src/io.ts";
import { type FollowedBytes, LogFollower } from "../../../../src/log/follow-log.ts";
import { Prng } from "../../../sim/world/prng.ts";
import { appendAll, newMachine, opened } from "../../log/log-in-sim.ts";

function openFolder(world: World, spaceBytes = Number.POSITIVE_INFINITY): Promise<MetadataFolder> {
  return MetadataFolder.open(world.disk, {
    directory: "/volume",
    retirement: new Retirement(world.events),
    requireSpace: async (bytes) => {
      if (bytes > spaceBytes) throw new GfsError("NoSpace", "Cannot keep it: full");
    },
  });
}

const newer = new Uint8Array(1_500_000).map((_, i) => i * 7);

async function sendCheckpoint(folder: MetadataFolder, position: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += 500_000)
    await folder.write({ kind: "checkpoint", position }, at, {
      bytes: bytes.subarray(at, at + 500_000),
      last: undefined,
    });
  await folder.finish(position, { bytes: bytes.length, crc: crc32(bytes) });
}

async function sendAll(folder: MetadataFolder, pieces: readonly FollowedBytes[]): Promise<void> {
  for (const { segment, offset, bytes, last } of pieces)
    await folder.write({ kind: "segment", position: segment }, offset, { bytes, last });
}

async function logPieces(world: World, count: number, rollEvery: number): Promise<FollowedBytes[]> {
  const { log } = await opened(world);
  for (let i = 0; i < count; i++) {
    await appendAll(log, [`entry ${i} ${"x".repeat(100)}`]);
    if (i % rollEvery === rollEvery - 1) await log.roll();
  }
  const follower = await LogFollower.after(world.disk, "/a", 0);
  const pieces: FollowedBytes[] = [];
  for (let next = await follower.next(count); next !== undefined; next = await follower.next(count)) pieces.push(next);
  await log.close();
  return pieces;
}

async function contents(folder: MetadataFolder, which: "checkpoint" | "segment"): Promise<string[]> {
  const texts: string[] = [];
  for (const { set, files } of await folder.held())
    for (const { kind, position, bytes } of files) {
      if (kind !== which) continue;
      const parts = [];
      for (let at = 0; at < bytes;) {
        const part = await folder.read(set, { kind, position }, { offset: at, bytes: Math.min(900_000, bytes - at) });
        parts.push(part.slice());
        at += part.length;
      }
      texts.push(`${set} ${position} ${crc32(concatBytes(parts))}`);
    }
  return texts;
}

describe("a copy of the metadata on a volume", () => {
  test("keeps the newest checkpoint, and of the log what that lacks", () => {
    const { simulation, machine } = newMachine(1);
    simulation.do(machine, async (world) => {
      const folder = await openFolder(world);
      expect(folder.summary).toBeUndefined();
      const pieces = await logPieces(world, 9, 3);
      await sendAll(folder, pieces);
      expect(folder.summary).toEqual({ checkpoint: 0, last: 9 });
      await sendCheckpoint(folder, 4, utf8("older"));
      // The second segment has entries 4 to 6.
      expect((await folder.held())[0]?.files.map(({ kind, position }) => `${kind} ${position}`)).toEqual([
        "checkpoint 4",
        "segment 4",
        "segment 7",
      ]);
      await sendCheckpoint(folder, 9, newer);
      expect(await contents(folder, "checkpoint")).toEqual([`metadata 9 ${crc32(newer)}`]);
      expect(await contents(folder, "segment")).toEqual([]);
      const again = await openFolder(world);
      expect(again.summary).toEqual({ checkpoint: 9, last: 9 });
      expect(again.bytes).toBe(newer.length);
      expect(folder.bytes).toBe(newer.length);
    });
  });

  test("has everything that was answered, and nothing else, whenever the power fails", () => {
    for (let operations = 1; ; operations += 3) {
      const { simulation, machine } = newMachine(100 + operations);
      const pieces = simulation.do(machine, (world) => logPieces(world, 6, 2));
      const answered = { last: 0, checkpoint: 0 };
      const task = machine.run(async (world) => {
        const folder = await openFolder(world);
        for (const piece of pieces) {
          await sendAll(folder, [piece]);
          answered.last = piece.last;
        }
        await sendCheckpoint(folder, 3, utf8("three"));
        answered.checkpoint = 3;
        await sendCheckpoint(folder, 5, newer);
        answered.checkpoint = 5;
      });
      const drive = machine.drive();
      const mayFail = drive.mayFail.bind(drive);
      let done = 0;
      drive.mayFail = (operation, path) => {
        done++;
        mayFail(operation, path);
      };
      simulation.runUntil(() => done >= operations || task.settled, 10_000);
      drive.mayFail = mayFail;
      if (task.settled) break;
      machine.crash({ powerLoss: true });
      machine.restart();
      simulation.do(machine, async (world) => {
        const folder = await openFolder(world);
        const { last = 0, checkpoint = 0 } = folder.summary ?? {};
        expect(last).toBeGreaterThanOrEqual(answered.last);
        expect(checkpoint).toBeGreaterThanOrEqual(answered.checkpoint);
        for (const { files } of await folder.held())
          for (const { kind, position, crc } of files)
            if (kind === "checkpoint") expect(crc).toBe(crc32(position === 3 ? utf8("three") : newer));
      });
    }
  }, 60_000);

  test("tells of nothing that was damaged meanwhile, and takes it anew", () => {
    const { simulation, machine } = newMachine(3);
    const pieces = simulation.do(machine, async (world) => {
      const folder = await openFolder(world);
      const all = await logPieces(world, 6, 100);
      await sendAll(folder, all);
      await sendCheckpoint(folder, 2, newer);
      return all;
    });
    const names = simulation.do(machine, ({ disk }) => disk.list("/volume/metadata"));
    for (const name of names) machine.drive().corrupt(`/volume/metadata/${name}`, name.endsWith("segment") ? 900 : 7);
    simulation.do(machine, async (world) => {
      const folder = await openFolder(world);
      const [copy] = await folder.held();
      expect(copy?.files.map(({ kind }) => kind)).toEqual(["segment"]);
      const [segment] = copy?.files ?? [];
      expect(segment?.last).toBeLessThan(6);
      await sendAll(folder, pieces);
      await sendCheckpoint(folder, 2, newer);
      expect(folder.summary).toEqual({ checkpoint: 2, last: 6 });
      expect(await contents(folder, "checkpoint")).toEqual([`metadata 2 ${crc32(newer)}`]);
    });
  });

  test("vouches for nothing that a loss of power could still take, also of a process that was killed", () => {
    for (let operations = 1; ; operations++) {
      const { simulation, machine } = newMachine(500 + operations);
      const pieces = simulation.do(machine, (world) => logPieces(world, 3, 100));
      const task = machine.run(async (world) => sendAll(await openFolder(world), pieces));
      const drive = machine.drive();
      const mayFail = drive.mayFail.bind(drive);
      let done = 0;
      drive.mayFail = (operation, path) => {
        done++;
        mayFail(operation, path);
      };
      simulation.runUntil(() => done >= operations || task.settled, 10_000);
      drive.mayFail = mayFail;
      if (task.settled) break;
      machine.crash({ powerLoss: false });
      const vouched = (): number =>
        simulation.do(machine, async (world) => {
          const [copy] = await (await openFolder(world)).held();
          return copy?.files[0]?.last ?? 0;
        });
      machine.restart();
      const last = vouched();
      machine.crash({ powerLoss: true, keep: 0 });
      machine.restart();
      expect(vouched()).toBe(last);
    }
  });

  test("that is not wanted lies aside until another one is whole", () => {
    const { simulation, machine } = newMachine(4);
    simulation.do(machine, async (world) => {
      const folder = await openFolder(world);
      await sendCheckpoint(folder, 4, utf8("of the log that is lost"));
      await folder.drop("aside");
      expect(folder.summary).toBeUndefined();
      await folder.write({ kind: "checkpoint", position: 2 }, 0, { bytes: utf8("begun"), last: undefined });
      const before = [`metadata-before 4 ${crc32(utf8("of the log that is lost"))}`];
      expect(await contents(folder, "checkpoint")).toEqual(before);
      // What was only begun is no reason to give up the one that is whole.
      await folder.drop("aside");
      expect(await contents(folder, "checkpoint")).toEqual(before);
      await folder.write({ kind: "checkpoint", position: 2 }, 0, { bytes: utf8("begun"), last: undefined });
      await sendCheckpoint(folder, 2, newer);
      expect(await contents(folder, "checkpoint")).toEqual([`metadata 2 ${crc32(newer)}`]);
      await folder.drop("gone");
      expect([folder.bytes, folder.summary]).toEqual([0, undefined]);
    });
  });

  test("is refused where it has a hole, other bytes than were said, or no room", () => {
    const { simulation, machine } = newMachine(5);
    const prng = new Prng("refusals");
    simulation.do(machine, async (world) => {
      const folder = await openFolder(world, 1_000);
      const file = { kind: "checkpoint" as const, position: 1 };
      const refusal = (work: Promise<unknown>) =>
        work.then(
          () => "done",
          (error: unknown) =>
            hasCode(error, "RangeInvalid", "Corrupt", "NoSpace", "NotFound") ? error.code : String(error),
        );
      const bytes = new Uint8Array(prng.integer(1, 900));
      expect(await refusal(folder.write(file, 1, { bytes, last: undefined }))).toBe("RangeInvalid");
      expect(await refusal(folder.write(file, 0, { bytes: new Uint8Array(1_001), last: undefined }))).toBe("NoSpace");
      expect(await refusal(folder.finish(1, { bytes: 0, crc: 0 }))).toBe("NotFound");
      await folder.write(file, 0, { bytes, last: undefined });
      expect(await refusal(folder.finish(1, { bytes: bytes.length, crc: 1 }))).toBe("Corrupt");
      expect(await refusal(folder.finish(1, { bytes: bytes.length + 1, crc: crc32(bytes) }))).toBe("Corrupt");
      expect(await refusal(folder.read("metadata", file, { offset: 0, bytes: 1 }))).toBe("NotFound");
    });
  });
});
