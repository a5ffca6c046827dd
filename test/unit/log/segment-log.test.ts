import { describe, expect, test } from "bun:test";
import { utf8 } from "../../../src/base/bytes.ts";
import { GfsError } from "../../../src/base/errors.ts";
import { segmentHeaderBytes } from "../../../src/log/segment.ts";
import type { EntryPlace } from "../../../src/log/log-types.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { appendAll, logOptions, newMachine, numbered, opened, reopened } from "./log-in-sim.ts";

const words = (count: number, bytes = 40): string[] =>
  Array.from({ length: count }, (_, i) => `${i}-`.padEnd(bytes, "x"));

describe("a log", () => {
  test("replays every durable entry in order, over many segments", () => {
    const { simulation, machine } = newMachine(1);
    const texts = words(300);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world);
      await appendAll(log, texts);
      expect(log.heldBytes).toBeGreaterThan(4 * 4_096);
      await log.close();
    });
    expect(reopened(simulation, machine)).toEqual(numbered(texts));
    expect(reopened(simulation, machine, { after: 299 })).toEqual([`300:${texts[299]}`]);
  });

  test("writes what waits together in one batch, and tells in order", () => {
    const { simulation, machine } = newMachine(2);
    simulation.do(machine, async (world) => {
      const order: string[] = [];
      const { log } = await opened(world, { onDurable: (position) => order.push(`to ${position}`) });
      for (const text of ["a", "b", "c"]) log.append([utf8(text)], ({ bytes }) => order.push(`${text} of ${bytes}`));
      expect(log.lastPosition).toBe(3);
      expect(log.durablePosition).toBe(0);
      await log.durable(2);
      expect(order).toEqual(["a of 1", "b of 1", "c of 1", "to 3"]);
      await log.close();
    });
  });

  test("gives back an entry's bytes by its place, pieces or not, until it is trimmed", () => {
    const { simulation, machine } = newMachine(3);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world, { segmentBytes: 65_536 });
      const places: EntryPlace[] = [];
      const large = new Uint8Array(20_000).map((_, i) => i % 251);
      log.append([utf8("he"), utf8("llo")], (place) => places.push(place));
      log.append([utf8("<"), large, utf8(">")], (place) => places.push(place));
      for (let i = 0; i < 8; i++) log.append([large]);
      await log.durable(log.lastPosition);
      const [hello, wrapped] = places;
      if (hello === undefined || wrapped === undefined) throw new Error("no places");
      expect(await log.read(hello)).toEqual(utf8("hello"));
      expect(await log.read(hello, 1, 3)).toEqual(utf8("ell"));
      const bytes = await log.read(wrapped);
      expect(bytes.length).toBe(20_002);
      expect(bytes.subarray(1, 20_001)).toEqual(large);
      await log.trim(log.lastPosition);
      const error = await log.read(hello).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(GfsError);
      await log.close();
    });
  });

  test("is not trimmed under a read that is still opening its file", () => {
    const { simulation, machine } = newMachine(3);
    simulation.do(machine, async (world) => {
      const open = world.disk.open.bind(world.disk);
      world.disk.open = async (path, mode) => {
        if (mode === "read" && path.endsWith(".segment")) await sleep(world.clock, 1_000);
        return open(path, mode);
      };
      const { log } = await opened(world, { segmentBytes: 65_536 });
      let hello: EntryPlace | undefined;
      log.append([utf8("hello")], (place) => {
        hello = place;
      });
      for (let i = 0; i < 8; i++) log.append([new Uint8Array(20_000)]);
      await log.durable(log.lastPosition);
      if (hello === undefined) throw new Error("no place");
      const read = log.read(hello);
      await Promise.all([read, log.trim(log.lastPosition)]);
      expect(await read).toEqual(utf8("hello"));
      await log.close();
    });
  });

  test("recycles trimmed segments without taking what they hold for entries", () => {
    const { simulation, machine } = newMachine(4);
    const texts = words(400);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world);
      for (const text of texts) {
        await appendAll(log, [text]);
        if (log.lastPosition % 50 === 0) await log.trim(log.lastPosition);
      }
      await log.close();
      const names = await world.disk.list("/a");
      expect(names.filter((name) => name.startsWith("spare-")).length).toBeGreaterThan(0);
      expect(names.filter((name) => name.endsWith(".segment")).length).toBeLessThan(4);
    });
    expect(reopened(simulation, machine, { after: 399 })).toEqual([`400:${texts[399]}`]);
  });

  test("roll closes the segment, and a roll of an empty one makes none", () => {
    const { simulation, machine } = newMachine(5);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world);
      await log.roll();
      expect(log.closed()).toEqual({ files: [], last: 0 });
      log.append([utf8("a")]);
      await log.roll();
      await log.roll();
      expect(log.closed()).toEqual({ files: ["0000000000000001.segment"], last: 1 });
      await appendAll(log, ["b"]);
      await log.trim(2);
      expect(log.closed().files).toEqual([]);
      await log.close();
    });
    expect(reopened(simulation, machine, { after: 1 })).toEqual(["2:b"]);
  });

  test("takes entries on a full disk as long as it has spare segments", () => {
    const { simulation, machine } = newMachine(6);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world, { spareSegments: 2 });
      await sleep(world.clock, 1_000);
      machine.drive().files.capacityBytes = 0;
      const ready = log.readyBytes;
      expect(ready).toBeGreaterThan(2 * 3_000);
      let written = 0;
      while (log.readyBytes > 200) {
        await appendAll(log, ["x".repeat(60)]);
        written++;
      }
      expect(written).toBeGreaterThan(80);
      // One more than fits waits for space, and goes on once there is some.
      for (let i = 0; i < 10; i++) log.append([utf8("y".repeat(60))]);
      await sleep(world.clock, 300);
      expect(log.durablePosition).toBeLessThan(log.lastPosition);
      expect(log.lacksSpace).toBe(true);
      await log.trim(log.durablePosition);
      await log.durable(log.lastPosition);
      expect(log.lacksSpace).toBe(false);
      await log.close();
    });
  });
});

describe("a log whose disk fails", () => {
  for (const operation of ["write", "sync"] as const) {
    test(`never becomes durable again after a failed ${operation}`, () => {
      const { simulation, machine } = newMachine(7);
      simulation.do(machine, async (world) => {
        const failures: string[] = [];
        const { log } = await opened(world, { onFailed: ({ code }) => failures.push(code) });
        await appendAll(log, ["a"]);
        machine.drive().fail({ operation, times: 1 });
        const outcome = await log.durable(log.append([utf8("b")])).catch((error: unknown) => error);
        expect(outcome).toMatchObject({ code: "DiskFailed" });
        const later = await log.durable(log.append([utf8("c")])).catch((error: unknown) => error);
        expect(later).toBe(outcome);
        expect(failures).toEqual(["DiskFailed"]);
        expect(log.durablePosition).toBe(1);
        await log.close();
      });
    });
  }

  test("goes on with the directories that are left, and heals the other at the next start", () => {
    const { simulation, machine } = newMachine(8);
    const directories = ["/a", "/b"];
    simulation.do(machine, async (world) => {
      const dropped: string[] = [];
      const { log } = await opened(world, { directories, onDirectoryFailed: (directory) => dropped.push(directory) });
      await appendAll(log, ["1", "2"]);
      machine.drive().fail({ operation: "sync", pathPrefix: "/a", times: 1 });
      await appendAll(log, ["3", "4"]);
      expect(dropped).toEqual(["/a"]);
      expect(log.directories).toEqual(["/b"]);
      await log.close();
    });
    expect(reopened(simulation, machine, { directories })).toEqual(numbered(["1", "2", "3", "4"]));
    for (const directory of directories)
      expect(reopened(simulation, machine, { directories: [directory] })).toHaveLength(4);
  });

  test("refuses copies that went different ways", () => {
    const { simulation, machine } = newMachine(9);
    const directories = ["/a", "/b"];
    simulation.do(machine, async (world) => {
      const both = await opened(world, { directories });
      await appendAll(both.log, ["1"]);
      await both.log.close();
      for (const directory of directories) {
        const alone = await opened(world, { directories: [directory] });
        await appendAll(alone.log, [`only ${directory}`]);
        await alone.log.close();
      }
    });
    expect(() => reopened(simulation, machine, { directories })).toThrow(
      /^Cannot open the log in (\/\w+): (?!\1 )\/\w+ has something else up to entry \d+; start with the one that is right alone, then with the other one emptied$/,
    );
  });

  test("that reaches back no further than its checkpoint takes a shorter copy for its beginning if that is empty, or sure to be one", () => {
    for (const [texts, requireBeginning, outcome] of [
      [[], undefined, "filled"],
      [["1"], undefined, "something else"],
      [["1"], () => Promise.reject(new GfsError("Corrupt", "it is not")), "it is not"],
      [["1"], () => Promise.resolve(), "filled"],
    ] as const) {
      const { simulation, machine } = newMachine(19);
      simulation.do(machine, async (world) => {
        const short = await opened(world, { directories: ["/b"] });
        await appendAll(short.log, texts);
        await short.log.close();
        const { log } = await opened(world);
        await appendAll(log, words(4));
        await log.roll();
        await appendAll(log, ["after"]);
        await log.trim(5);
        await log.close();
      });
      const calls: string[] = [];
      const options = {
        directories: ["/a", "/b"],
        after: 4,
        beforeChange: async () => void calls.push("restores"),
        ...(requireBeginning === undefined ? {} : { requireBeginning }),
      };
      if (outcome !== "filled") {
        expect(() => reopened(simulation, machine, options)).toThrow(outcome);
        expect(calls).toEqual([]);
        expect(reopened(simulation, machine, { directories: ["/b"] })).toEqual(numbered(texts));
        continue;
      }
      expect(reopened(simulation, machine, options)).toEqual(["5:after"]);
      expect(calls).toEqual(["restores"]);
      expect(reopened(simulation, machine, { directories: ["/b"], after: 4 })).toEqual(["5:after"]);
    }
  });

  test("restores an empty directory from the other", () => {
    const { simulation, machine } = newMachine(10);
    const texts = words(200);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world);
      await appendAll(log, texts);
      await log.close();
    });
    expect(reopened(simulation, machine, { directories: ["/b", "/a"] })).toEqual(numbered(texts));
    expect(reopened(simulation, machine, { directories: ["/b"] })).toEqual(numbered(texts));
  });
});

describe("a damaged log", () => {
  test("names file and byte where whole entries follow a damaged one", () => {
    const { simulation, machine } = newMachine(11);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world);
      await appendAll(log, words(10));
      await log.close();
    });
    machine.drive().corrupt("/a/0000000000000001.segment", segmentHeaderBytes + 40);
    expect(() => reopened(simulation, machine)).toThrow(
      `Cannot read /a/0000000000000001.segment at byte ${segmentHeaderBytes}: its checksum is wrong`,
    );
    // With a whole copy beside it, the damage is healed.
    expect(() => reopened(simulation, machine, { directories: ["/a", "/empty"] })).toThrow("checksum");
  });

  test.each([
    ["its first segment", 0],
    ["one in the middle", 1],
    ["its last", -1],
  ])("whose disk gives other bytes of %s than a moment ago is refused, and no entry is passed over", (_, which) => {
    for (const again of [false, true]) {
      const { simulation, machine } = newMachine(30);
      const segments = simulation.do(machine, async (world) => {
        const { log } = await opened(world);
        await appendAll(log, words(30, 300));
        await log.close();
        return (await world.disk.list("/a")).filter((name) => /^[0-9a-f]{16}/.test(name)).sort();
      });
      expect(segments.length).toBeGreaterThan(2);
      machine.restart();
      const path = `/a/${segments.at(which)}`;
      const drive = machine.drive("/a");
      const mayFail = drive.mayFail.bind(drive);
      let opens = 0;
      // Read once, to look what is there, and once more to replay it; what flips twice is as it was.
      drive.mayFail = (operation, at) => {
        if (at === path && operation === "open" && (++opens === 2 || (again && opens === 3))) drive.corrupt(path, 700);
        mayFail(operation, at);
      };
      expect(() => simulation.do(machine, (world) => opened(world))).toThrow(`Cannot read ${path}`);
    }
  });

  test("of another volume or a newer format is refused", () => {
    const { simulation, machine } = newMachine(12);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world);
      await log.close();
    });
    expect(() => reopened(simulation, machine, { id: "f".repeat(32) })).toThrow("belongs to");
    expect(() => reopened(simulation, machine, { name: "other" })).toThrow("belongs to");
  });

  test("that ends before its checkpoint is refused", () => {
    const { simulation, machine } = newMachine(13);
    simulation.do(machine, async (world) => {
      const { log } = await opened(world);
      await appendAll(log, ["a", "b"]);
      await log.close();
    });
    expect(() => reopened(simulation, machine, { after: 3 })).toThrow("ends at entry 2");
  });
});

test("an entry above the largest is a bug of the caller", () => {
  const { simulation, machine } = newMachine(14);
  simulation.do(machine, async (world) => {
    const { log } = await opened(world);
    expect(() => log.append([new Uint8Array(log.entryBytesMax + 1)])).toThrow();
    await log.durable(log.append([new Uint8Array(log.entryBytesMax)]));
    await log.close();
  });
  expect(logOptions().segmentBytes).toBe(4_096);
});
