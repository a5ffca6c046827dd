/** What a follower gives of a log is a beginning of it, as it lies on the disk. */
import { describe, expect, test } from "bun:test";
import { concatBytes, utf8 } from "../../../src/base/bytes.ts";
import { crc32 } from "../../../src/base/checksum.ts";
import { hasCode } from "../../../src/base/errors.ts";
import type { World } from "../../../src/io.ts";
import { type FollowedBytes, LogFollower } from "../../../src/log/follow-log.ts";
import { segmentFileName } from "../../../src/log/segment.ts";
import { Prng } from "../../sim/world/prng.ts";
import { appendAll, newMachine, opened } from "./log-in-sim.ts";

async function followed(follower: LogFollower, until: number): Promise<FollowedBytes[]> {
  const all: FollowedBytes[] = [];
  for (let next = await follower.next(until); next !== undefined; next = await follower.next(until)) all.push(next);
  return all;
}

/** Writes what was followed where the log's own files would lie. */
async function writeCopy(world: World, pieces: readonly FollowedBytes[]): Promise<void> {
  await world.disk.makeDirectory("/copy");
  for (const { segment, offset, bytes } of pieces) {
    const file = await world.disk.open(`/copy/${segmentFileName(segment)}`, "write");
    expect(await file.size()).toBe(offset);
    await file.write([bytes], offset);
    await file.close();
  }
}

const texts = (count: number, prng: Prng): string[] =>
  Array.from({ length: count }, (_, i) => `${i} ${"x".repeat(prng.integer(0, 900))}`);

describe("a follower", () => {
  test("gives a log that opens as the one it follows, whenever it looked, and wherever the segments end", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { simulation, machine } = newMachine(seed);
      const prng = new Prng(`follow ${seed}`);
      simulation.do(machine, async (world) => {
        const { log } = await opened(world);
        const follower = await LogFollower.after(world.disk, "/a", 0);
        const pieces: FollowedBytes[] = [];
        const written: string[] = [];
        for (let round = 0; round < 8; round++) {
          const more = texts(prng.integer(0, 12), prng);
          if (prng.chance(0.5)) await appendAll(log, more);
          else {
            for (const text of more) log.append([utf8(text)]);
            await log.durable(log.lastPosition);
          }
          written.push(...more);
          if (prng.chance(0.3)) await log.roll();
          pieces.push(...(await followed(follower, log.durablePosition)));
          expect(follower.place.last).toBe(written.length);
        }
        await log.close();
        await writeCopy(world, pieces);
        const { log: copy, entries } = await opened(world, { directories: ["/copy"] });
        expect(entries).toEqual(written.map((text, i) => `${i + 1}:${text}`));
        // It goes on.
        await appendAll(copy, ["more"]);
        await copy.close();
        const again = await opened(world, { directories: ["/copy"] });
        expect(again.entries.at(-1)).toBe(`${written.length + 1}:more`);
        await again.log.close();
      });
    }
  });

  test("gives nothing beyond the entry that it is asked for", () => {
    const { simulation, machine } = newMachine(1);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world);
      await appendAll(log, ["a", "b", "c"]);
      const follower = await LogFollower.after(world.disk, "/a", 0);
      expect((await followed(follower, 2)).map(({ last }) => last)).toEqual([2]);
      expect((await followed(follower, 3)).map(({ last }) => last)).toEqual([3]);
      await log.close();
    });
  });

  test("takes a batch that is longer than what it reads at a time", () => {
    const { simulation, machine } = newMachine(1);
    simulation.do(machine, async (world) => {
      const segmentBytes = 8 * 1_048_576;
      const { log } = await opened(world, { segmentBytes });
      await log.durable(log.append([new Uint8Array(3_000_000).fill(7)]));
      await log.durable(log.append([utf8("end")]));
      const pieces = await followed(await LogFollower.after(world.disk, "/a", 0), 2);
      await log.close();
      await writeCopy(world, pieces);
      const { log: copy } = await opened(world, { directories: ["/copy"], segmentBytes });
      expect(copy.lastPosition).toBe(2);
      await copy.close();
    });
  });

  test("goes on where another stood, in the same segment only", () => {
    const { simulation, machine } = newMachine(3);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world);
      await appendAll(log, texts(9, new Prng("first")));
      const first = await LogFollower.after(world.disk, "/a", 0);
      const pieces = await followed(first, log.durablePosition);
      await appendAll(log, texts(5, new Prng("second")));
      const held = pieces.filter(({ segment }) => segment === first.place.segment).map(({ bytes }) => bytes);
      const crc = crc32(concatBytes(held));
      const second = await LogFollower.from(world.disk, "/a", { ...first.place, crc });
      const rest = await followed(second, log.durablePosition);
      const whole = await followed(await LogFollower.after(world.disk, "/a", 0), log.durablePosition);
      const joined = (list: readonly FollowedBytes[]) => concatBytes(list.map(({ bytes }) => bytes)).toHex();
      expect(joined([...pieces, ...rest])).toBe(joined(whole));
      const other = await LogFollower.from(world.disk, "/a", { ...first.place, crc: crc + 1 }).catch(
        (error: unknown) => error,
      );
      expect(hasCode(other, "Unavailable")).toBe(true);
      await log.close();
    });
  });

  test("says that what it wants was trimmed, and never gives something else for it", () => {
    const { simulation, machine } = newMachine(4);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world);
      await appendAll(log, texts(6, new Prng("a")));
      const follower = await LogFollower.after(world.disk, "/a", 0);
      await log.roll();
      await appendAll(log, texts(6, new Prng("b")));
      await log.trim(7);
      // The first segment's file may be in use again, under another name.
      const found = await followed(follower, log.durablePosition).catch((error: unknown) => error);
      expect(hasCode(found, "Unavailable")).toBe(true);
      await log.close();
    });
  });

  test("finds damage", () => {
    const { simulation, machine } = newMachine(5);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world);
      await appendAll(log, ["one", "two", "three"]);
      const path = `/a/${segmentFileName(1)}`;
      const file = await world.disk.open(path, "write");
      const bytes = new Uint8Array(700);
      await file.read(bytes, 0);
      const at = Buffer.from(bytes).indexOf("two");
      await file.write([utf8("TWO")], at);
      await file.close();
      const found = await followed(await LogFollower.after(world.disk, "/a", 0), 3).catch((error: unknown) => error);
      expect(hasCode(found, "Corrupt")).toBe(true);
      await log.close();
    });
  });
});
