import { describe, expect, test } from "bun:test";
import { DiskError, type World } from "../../../src/io.ts";
import { type FaultSettings, noFaults } from "./fault-settings.ts";
import type { Machine } from "./machine.ts";
import { Simulation } from "./simulation.ts";

function start(seed = 1, disk: Partial<FaultSettings["disk"]> = {}): { simulation: Simulation; machine: Machine } {
  const simulation = new Simulation(seed, { faults: { ...noFaults, disk: { ...noFaults.disk, ...disk } } });
  return { simulation, machine: simulation.machine("m1", { capacityBytes: 1 << 20 }) };
}

function filled(bytes: number, value: number): Uint8Array {
  return new Uint8Array(bytes).fill(value);
}

async function put(world: World, path: string, bytes: Uint8Array, how: "synced" | "unsynced"): Promise<void> {
  const file = await world.disk.open(path, "write");
  await file.write([bytes], 0);
  if (how === "synced") {
    await file.sync();
    await world.disk.syncDirectory("/");
  }
  await file.close();
}

async function contentOf({ disk }: World, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, "read");
  const bytes = new Uint8Array(await file.size());
  await file.read(bytes, 0);
  return bytes;
}

async function kindOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return error instanceof DiskError ? error.kind : "another error";
  }
  return "no error";
}

describe("a killed process", () => {
  test("leaves everything that was written, synced or not", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { simulation, machine } = start(seed);
      simulation.do(machine, (world) => put(world, "/a", filled(10_000, 7), "unsynced"));
      machine.crash({ powerLoss: false });
      machine.restart();
      expect(simulation.do(machine, (world) => contentOf(world, "/a"))).toEqual(filled(10_000, 7));
    }
  });

  test("leaves any first part of a write in flight", () => {
    const lengths = new Set<number>();
    for (let seed = 1; seed <= 30; seed++) {
      const { simulation, machine } = start(seed, { writeMs: [10, 20] });
      simulation.do(machine, (world) => put(world, "/a", filled(10, 1), "unsynced"));
      machine.run((world) => put(world, "/a", filled(1000, 2), "unsynced"));
      simulation.runFor(5);
      machine.crash({ powerLoss: false });
      machine.restart();
      const content = simulation.do(machine, (world) => contentOf(world, "/a"));
      const written = content.findLastIndex((byte) => byte === 2) + 1;
      expect(content.subarray(0, written)).toEqual(filled(written, 2));
      lengths.add(written);
    }
    expect(lengths.size).toBeGreaterThan(10);
  });
});

describe("a power loss", () => {
  test("keeps what was synced, and of the rest each sector by chance", () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 60; seed++) {
      const { simulation, machine } = start(seed);
      simulation.do(machine, async (world) => {
        await put(world, "/a", filled(8192, 1), "synced");
        const file = await world.disk.open("/a", "write");
        await file.write([filled(4096, 2)], 1024);
      });
      machine.crash({ powerLoss: true });
      machine.restart();
      const content = simulation.do(machine, (world) => contentOf(world, "/a"));
      expect(content.length).toBe(8192);
      let changed = 0;
      for (let at = 0; at < 8192; at += 512) {
        const sector = content.subarray(at, at + 512);
        const first = sector[0]!;
        expect(sector.every((byte) => byte === first)).toBe(true);
        if (first === 2) {
          expect(at >= 1024 && at < 5120).toBe(true);
          changed++;
        } else expect(first).toBe(1);
      }
      outcomes.add(changed === 0 ? "none" : changed === 8 ? "all" : "torn");
    }
    expect([...outcomes].sort()).toEqual(["all", "none", "torn"]);
  });

  test("may cut or keep an unsynced tail; what is kept of the length may be zeros", () => {
    const lengths = new Set<number>();
    for (let seed = 1; seed <= 60; seed++) {
      const { simulation, machine } = start(seed);
      simulation.do(machine, async (world) => {
        await put(world, "/a", filled(700, 1), "synced");
        const file = await world.disk.open("/a", "write");
        await file.write([filled(3000, 2)], 700);
      });
      machine.crash({ powerLoss: true });
      machine.restart();
      const content = simulation.do(machine, (world) => contentOf(world, "/a"));
      expect(content.subarray(0, 700)).toEqual(filled(700, 1));
      expect(content.subarray(700).every((byte) => byte === 0 || byte === 2)).toBe(true);
      lengths.add(content.length);
    }
    expect(lengths.has(700)).toBe(true);
    expect(lengths.has(3700)).toBe(true);
    expect(lengths.size).toBeGreaterThan(3);
  });

  test("a sync covers what was written before it, and not what is written while it runs", () => {
    let lost = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const { simulation, machine } = start(seed, { syncMs: [50, 60], writeMs: [1, 2] });
      simulation.do(machine, async ({ disk }) => {
        const file = await disk.open("/a", "create");
        await disk.syncDirectory("/");
        await file.write([filled(512, 1)], 0);
        const synced = file.sync();
        await file.write([filled(512, 2)], 512);
        await synced;
      });
      machine.crash({ powerLoss: true });
      machine.restart();
      const content = simulation.do(machine, (world) => contentOf(world, "/a"));
      expect(content.subarray(0, 512)).toEqual(filled(512, 1));
      if (content[600] !== 2) lost++;
    }
    expect(lost).toBeGreaterThan(5);
    expect(lost).toBeLessThan(40);
  });

  test("what was written through is there after a power loss, without a sync", () => {
    const { simulation, machine } = start(1);
    simulation.do(machine, async ({ disk }) => {
      const file = await disk.open("/a", "through");
      await disk.syncDirectory("/");
      await file.write([filled(4096, 1)], 0);
    });
    machine.crash({ powerLoss: true });
    machine.restart();
    expect(simulation.do(machine, (world) => contentOf(world, "/a"))).toEqual(filled(4096, 1));
  });

  test("after a failed sync a later one does not bring the pages back", () => {
    const { simulation, machine } = start(1);
    simulation.do(machine, async ({ disk }) => {
      const file = await disk.open("/a", "create");
      await disk.syncDirectory("/");
      await file.write([filled(512, 1)], 0);
      machine.drive().fail({ operation: "sync", times: 1 });
      expect(await kindOf(file.sync())).toBe("failed");
      await file.sync();
    });
    machine.crash({ powerLoss: true, keep: 0 });
    machine.restart();
    const content = simulation.do(machine, (world) => contentOf(world, "/a"));
    expect(content.every((byte) => byte === 0)).toBe(true);
  });

  test("loses or keeps each unsynced name as a whole; a file is never in two places", () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 80; seed++) {
      const { simulation, machine } = start(seed);
      simulation.do(machine, async (world) => {
        await world.disk.makeDirectory("/d");
        await put(world, "/old", filled(10, 1), "synced");
        await put(world, "/new", filled(10, 2), "synced");
        await world.disk.rename("/new", "/d/moved");
        await world.disk.rename("/d/moved", "/old");
        await world.disk.open("/fresh", "create");
      });
      machine.crash({ powerLoss: true });
      machine.restart();
      const found = simulation.do(machine, async (world) => {
        const names = [...(await world.disk.list("/")), ...(await world.disk.list("/d"))];
        return `${names.join(" ")}: ${(await contentOf(world, "/old"))[0]}`;
      });
      seen.add(found);
      const { 1: two } = /: (\d)$/.exec(found) ?? [];
      // The second file has one name, whichever it is.
      expect([found.includes("new"), found.includes("moved"), two === "2"].filter(Boolean).length).toBe(1);
    }
    expect(seen.size).toBeGreaterThan(4);
  });

  test("a rename is durable once both directories are synced", () => {
    for (let seed = 1; seed <= 30; seed++) {
      const { simulation, machine } = start(seed);
      simulation.do(machine, async (world) => {
        await world.disk.makeDirectory("/d");
        await put(world, "/a", filled(10, 1), "synced");
        await world.disk.rename("/a", "/d/b");
        await world.disk.syncDirectory("/d");
        await world.disk.syncDirectory("/");
        await world.disk.open("/c", "create");
      });
      machine.crash({ powerLoss: true });
      machine.restart();
      expect(simulation.do(machine, (world) => contentOf(world, "/d/b"))).toEqual(filled(10, 1));
      expect(simulation.do(machine, (world) => world.disk.info("/a"))).toBeUndefined();
    }
  });
});

describe("a full drive", () => {
  test("refuses to grow, still takes overwrites, and has room again after a removal", () => {
    const { simulation, machine } = start(1);
    simulation.do(machine, async (world) => {
      const { disk } = world;
      const file = await disk.open("/a", "create");
      expect(await kindOf(file.write([new Uint8Array(2 << 20)], 0))).toBe("full");
      const { totalBytes, freeBytes } = await disk.space("/");
      expect(totalBytes).toBe(1 << 20);
      expect(freeBytes).toBe(0);
      await file.write([filled(4096, 9)], 0);
      await file.sync();
      expect(await kindOf(put(world, "/b", filled(1, 1), "unsynced"))).toBe("full");
      await disk.remove("/a");
      expect((await disk.space("/")).freeBytes).toBe(1 << 20);
      await put(world, "/b", filled(1, 1), "unsynced");
    });
    machine.crash({ powerLoss: true });
    machine.restart();
    simulation.do(machine, async ({ disk }) => {
      expect((await disk.space("/")).freeBytes).toBeLessThanOrEqual(1 << 20);
    });
  });

  test("another drive of the same machine is not full, and files do not move between them", () => {
    const { simulation, machine } = start(1);
    machine.mount("/b", 10_000);
    simulation.do(machine, async (world) => {
      await put(world, "/x", filled(500_000, 1), "unsynced");
      expect(await kindOf(put(world, "/b/x", filled(500_000, 1), "unsynced"))).toBe("full");
      expect((await world.disk.space("/b")).totalBytes).toBe(10_000);
      expect(await kindOf(world.disk.rename("/x", "/b/y"))).toBe("failed");
    });
  });
});

describe("a bad drive", () => {
  test("corrupt() flips a bit for readers, and it survives a power loss", () => {
    const { simulation, machine } = start(1);
    simulation.do(machine, (world) => put(world, "/a", filled(100, 0), "synced"));
    machine.drive("/a").corrupt("/a", 42, 4);
    expect(simulation.do(machine, (world) => contentOf(world, "/a"))[42]).toBe(4);
    machine.crash({ powerLoss: true });
    machine.restart();
    expect(simulation.do(machine, (world) => contentOf(world, "/a"))[42]).toBe(4);
  });

  test("corrupt() flips a bit of a hole, for readers and for good", () => {
    const { simulation, machine } = start(1);
    simulation.do(machine, async (world) => {
      const file = await world.disk.open("/a", "create");
      await file.write([filled(1, 1)], 9_999);
      await file.sync();
      await file.close();
      await world.disk.syncDirectory("/");
    });
    machine.drive("/a").corrupt("/a", 42, 4);
    expect(simulation.do(machine, (world) => contentOf(world, "/a"))[42]).toBe(4);
    machine.crash({ powerLoss: true });
    machine.restart();
    expect(simulation.do(machine, (world) => contentOf(world, "/a"))[42]).toBe(4);
    expect(() => machine.drive("/a").corrupt("/a", 10_000)).toThrow("it has no byte 10000");
  });

  test("fails as often as planned, where planned; for ever once it is broken", () => {
    const { simulation, machine } = start(1);
    simulation.do(machine, async (world) => {
      await put(world, "/a", filled(1, 1), "synced");
      await put(world, "/b", filled(1, 1), "synced");
      machine.drive().fail({ operation: "read", pathPrefix: "/a", times: 2 });
      expect(await kindOf(contentOf(world, "/b"))).toBe("no error");
      for (const kind of ["failed", "failed", "no error"]) expect(await kindOf(contentOf(world, "/a"))).toBe(kind);
      machine.drive().breakDown();
      for (let i = 0; i < 3; i++) expect(await kindOf(world.disk.list("/"))).toBe("failed");
    });
  });

  test("a lying sync loses data at a power loss", () => {
    const { simulation, machine } = start(1, { lyingSync: 1 });
    simulation.do(machine, (world) => put(world, "/a", filled(10, 1), "synced"));
    machine.crash({ powerLoss: true, keep: 0 });
    machine.restart();
    expect(simulation.counts.get("disk.lying-sync")).toBe(2);
    expect(simulation.do(machine, ({ disk }) => disk.list("/"))).toEqual([]);
  });
});
