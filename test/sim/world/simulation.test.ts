import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { World } from "../../../src/io.ts";
import { noFaults } from "./fault-settings.ts";
import { runSample } from "./sample-workload.ts";
import { Endless } from "./endless.ts";
import { nature, Scheduler } from "./scheduler.ts";
import { Simulation } from "./simulation.ts";

describe("the same seed", () => {
  test("goes the same way twice, and another seed another way", () => {
    const hashes = [1, 2, 3, 4, 5, 6].map((seed) => runSample(seed).traceHash);
    expect([1, 2, 3, 4, 5, 6].map((seed) => runSample(seed).traceHash)).toEqual(hashes);
    expect(new Set(hashes).size).toBe(6);
  });

  test("goes the same way in another process", () => {
    const { stdout } = Bun.spawnSync([process.execPath, join(import.meta.dir, "sample-workload.ts"), "7"]);
    expect(stdout.toString()).toBe(runSample(7).traceHash);
  });

  test("over some seeds every fault of the sample is made", () => {
    const made = new Set<string>();
    for (let seed = 1; seed <= 30; seed++) for (const name of runSample(seed, 5000).counts.keys()) made.add(name);
    for (const name of [
      "control.answer-lost",
      "control.duplicate",
      "control.request-lost",
      "disk.slow",
      "disk.write-shows-early",
      "machine.killed",
      "machine.pause",
      "machine.power-loss",
      "network.partition",
      "stream.connect-lost",
      "stream.half-open",
      "stream.reset",
      "stream.shred",
      "stream.stall",
    ]) {
      expect([...made]).toContain(name);
    }
  });
});

describe("time", () => {
  test("events happen by time, then in the order of adding; a cancelled one does not", () => {
    const scheduler = new Scheduler();
    const order: string[] = [];
    for (const [ms, name] of [
      [5, "d"],
      [1, "a"],
      [3, "b"],
      [3, "c"],
    ] as const) {
      scheduler.after(ms, nature, () => order.push(name));
    }
    const cancelled = scheduler.after(2, nature, () => order.push("x"));
    scheduler.cancel(cancelled);
    scheduler.cancel(cancelled);
    scheduler.run(Number.POSITIVE_INFINITY, () => false);
    expect(order).toEqual(["a", "b", "c", "d"]);
    expect(scheduler.nowMs).toBe(5);
  });

  test("a run ends where it would go on for ever: by its events, or within one of them", () => {
    const bounds = { events: 100, clockReadings: 50 };
    const timers = new Scheduler(bounds);
    const again = (): void => void timers.after(1, nature, again);
    again();
    expect(() => timers.run(Number.POSITIVE_INFINITY, () => false)).toThrow(Endless);
    expect(timers.nowMs).toBe(101);

    const spinning = new Scheduler(bounds);
    const spin = async (): Promise<void> => {
      for (;;) {
        spinning.noteClockReading();
        await Promise.resolve();
      }
    };
    spinning.after(7, nature, () => void spin().catch(() => undefined));
    expect(() => spinning.run(Number.POSITIVE_INFINITY, () => false)).toThrow(Endless);
    expect(spinning.nowMs).toBe(7);
  });

  test("cancelled time-outs do not pile up", () => {
    const scheduler = new Scheduler();
    for (let i = 0; i < 100_000; i++) scheduler.cancel(scheduler.after(3_600_000, nature, () => {}));
    expect(scheduler.pending).toBe(0);
  });

  test("runFor() ends at its time, also when nothing happens", () => {
    const simulation = new Simulation(1);
    simulation.runFor(1234);
    expect(simulation.nowMs).toBe(1234);
  });

  test("a skewed clock measures other milliseconds, a jump moves the wall clock only", () => {
    const simulation = new Simulation(1, { faults: { ...noFaults, clock: { skewPpm: 100_000, wallErrorMs: 1000 } } });
    const machine = simulation.machine("m1");
    const { clock } = machine.world;
    const [monotonic, wall] = [clock.monotonicMs(), clock.wallMs()];
    simulation.runFor(10_000);
    expect(clock.monotonicMs() - monotonic).toBeCloseTo(10_000 * machine.clock.rate, 3);
    expect(machine.clock.rate).not.toBe(1);
    machine.clock.jump(-50_000);
    expect(clock.wallMs()).toBeLessThan(wall);
    expect(clock.monotonicMs()).toBeGreaterThan(monotonic);
  });
});

describe("setFaults()", () => {
  test("ends the bad luck: what failed always fails no more", () => {
    const bad = {
      ...noFaults,
      disk: { ...noFaults.disk, readFails: 1, writeFails: 1 },
      control: { ...noFaults.control, requestLost: 1 },
      process: { ...noFaults.process, childDies: 1 },
    };
    const simulation = new Simulation(1, { faults: bad });
    const machine = simulation.machine("m1");
    simulation.program("wait", async ({ clock }) => {
      await new Promise<void>((resolve) => {
        clock.after(1000, resolve);
      });
      return { exitCode: 0 };
    });
    const attempts = async ({ disk, control, spawn }: World): Promise<string[]> => {
      const file = await disk.open("/a", "write");
      const calls = [
        file.write([new Uint8Array(1)], 0),
        control.channel("m1:1").post({ path: "/", body: new Uint8Array(), timeoutMs: 50 }),
        spawn.self(["wait"]).then(({ exitCode }) => Promise.reject(new Error(String(exitCode)))),
      ];
      const results = await Promise.allSettled(calls);
      return results.map((result) => (result.status === "rejected" ? String(result.reason) : "ok"));
    };
    simulation.do(machine, ({ control }) => control.serve("m1:1", () => new Response()));
    const before = simulation.do(machine, attempts);
    simulation.setFaults(noFaults);
    expect(simulation.do(machine, attempts)).toEqual(["ok", "ok", "Error: 0"]);
    expect(before[0]).toContain("EIO");
    expect(before[1]).not.toBe("ok");
    expect(before[2]).toBe("Error: 137");
  });
});

describe("the real world", () => {
  for (const [name, touch] of [
    ["Date.now", () => Date.now()],
    ["new Date()", () => new Date()],
    ["setTimeout", () => setTimeout(() => {}, 1)],
    ["setInterval", () => setInterval(() => {}, 1)],
    ["Math.random", () => Math.random()],
    ["performance.now", () => performance.now()],
    ["AbortSignal.timeout", () => AbortSignal.timeout(1)],
    ["Bun.file", () => Bun.file("a")],
    ["Bun.write", () => Bun.write("a", "b")],
    ["Bun.nanoseconds", () => Bun.nanoseconds()],
    ["Bun.sleepSync", () => Bun.sleepSync(1)],
    ["Bun.spawnSync", () => Bun.spawnSync(["true"])],
    ["Bun.randomUUIDv7", () => Bun.randomUUIDv7()],
    ["crypto.randomUUID", () => crypto.randomUUID()],
    ["crypto.getRandomValues", () => crypto.getRandomValues(new Uint8Array(1))],
    ["fetch", () => fetch("http://127.0.0.1:1")],
    ["process.hrtime", () => process.hrtime()],
  ] as const) {
    test(`${name} is refused inside and works outside`, () => {
      const simulation = new Simulation(1);
      const inside = (): unknown => simulation.do(simulation.machine("m1"), async (): Promise<unknown> => touch());
      expect(inside).toThrow("inside the simulation");
      expect(Date.now()).toBeGreaterThan(0);
      expect(new Date(5).getTime()).toBe(5);
    });
  }

  test("a moment given by numbers is a date as always", () => {
    const simulation = new Simulation(1);
    const date = simulation.do(simulation.machine("m1"), async () => new Date(5));
    expect(date.getTime()).toBe(5);
    expect(date).toBeInstanceOf(Date);
  });
});
