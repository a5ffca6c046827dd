import { describe, expect, test } from "bun:test";
import { utf8 } from "../../../src/base/bytes.ts";
import type { World } from "../../../src/io.ts";
import { noFaults } from "./fault-settings.ts";
import { Simulation } from "./simulation.ts";

function sleep(world: World, ms: number): Promise<void> {
  return new Promise((resolve) => {
    world.clock.after(ms, resolve);
  });
}

describe("a crash", () => {
  test("stops timers and promises, and no later call into the old world settles", () => {
    const simulation = new Simulation(1);
    const machine = simulation.machine("m1");
    const seen: string[] = [];
    const old = machine.world;
    old.clock.after(10, () => seen.push("timer"));
    const task = machine.run(async (world) => {
      seen.push("began");
      await sleep(world, 10);
      seen.push("slept");
    });
    simulation.runFor(5);
    machine.crash({ powerLoss: false });
    const calls = [
      old.disk.list("/"),
      old.stream.connect("m1:1", { timeoutMs: 5 }),
      old.control.channel("m1:1").post({ path: "/", body: new Uint8Array(), timeoutMs: 5 }),
      old.spawn.self(["x"]),
    ];
    for (const call of calls) call.then(() => seen.push("resolved")).catch(() => seen.push("rejected"));
    old.clock.after(1, () => seen.push("late timer"));
    simulation.runFor(10_000);
    expect(seen).toEqual(["began"]);
    expect(task.state).toBe("dead");
    expect(() => task.value).toThrow("dead");
  });

  test("ends code in the middle of what it does, at whatever event", () => {
    const simulation = new Simulation(1);
    const machine = simulation.machine("m1");
    let steps = 0;
    machine.run(async (world) => {
      for (;;) {
        await sleep(world, 1);
        steps++;
      }
    });
    simulation.runUntil(() => steps === 7);
    machine.crash({ powerLoss: true });
    simulation.runFor(1000);
    expect(steps).toBe(7);
    machine.restart();
    expect(simulation.do(machine, async () => "new")).toBe("new");
  });

  test("gives back locks and ports", () => {
    const simulation = new Simulation(1);
    const machine = simulation.machine("m1");
    const begin = async ({ disk, stream, control }: World): Promise<string[]> => {
      await disk.makeDirectory("/d");
      await disk.lock("/d");
      const listener = await stream.listen("m1:5", () => {});
      const server = await control.serve("m1:6", () => new Response());
      return [listener.address, server.address];
    };
    for (let i = 0; i < 3; i++) {
      expect(simulation.do(machine, begin)).toEqual(["m1:5", "m1:6"]);
      machine.crash({ powerLoss: i === 1 });
      machine.restart();
    }
  });
});

describe("a pause", () => {
  test("puts timers off, keeps cancelled ones cancelled, and loses nothing", () => {
    const simulation = new Simulation(1);
    const machine = simulation.machine("m1");
    const fired: string[] = [];
    const start = (name: string, ms: number) =>
      machine.world.clock.after(ms, () => fired.push(`${name} ${simulation.nowMs}`));
    start("a", 1);
    const late = start("b", 20);
    start("c", 30);
    const canceller = machine.world.clock.after(10, () => late.cancel());
    machine.pause(100);
    simulation.runFor(99);
    expect(fired).toEqual([]);
    simulation.runFor(10);
    expect(fired).toEqual(["a 100", "c 100"]);
    canceller.cancel();
  });

  test("does not keep the system from taking connections and bytes", () => {
    const simulation = new Simulation(1);
    const [server, client] = [simulation.machine("s"), simulation.machine("c")];
    const got: number[] = [];
    simulation.do(server, async ({ stream }) => {
      await stream.listen("s:1", (connection) => {
        const read = async (): Promise<void> => {
          got.push((await connection.read())?.length ?? 0);
        };
        read().catch(() => got.push(-1));
      });
    });
    server.pause(1000);
    simulation.do(client, async ({ stream }) => {
      const connection = await stream.connect("s:1", { timeoutMs: 100 });
      connection.send([utf8("hello")]);
      await connection.sent();
    });
    expect(simulation.nowMs).toBeLessThan(100);
    expect(got).toEqual([]);
    simulation.runFor(1100);
    expect(got).toEqual([5]);
  });
});

describe("a child", () => {
  const orphans = { ...noFaults, process: { ...noFaults.process, orphan: 1 } };

  test("has the machine's disk and its own life", () => {
    const simulation = new Simulation(1);
    simulation.program("write", async ({ disk }, [, path]) => {
      await (await disk.open(path ?? "", "create")).close();
      return { exitCode: 0 };
    });
    const names = simulation.do(simulation.machine("m1"), async ({ spawn, disk }) => {
      expect((await spawn.self(["write", "/a"])).exitCode).toBe(0);
      expect((await spawn.self(["write", "/a"])).exitCode).toBe(70);
      return disk.list("/");
    });
    expect(names).toEqual(["a"]);
  });

  for (const [what, faults, after] of [
    ["dies with its parent", noFaults, 0],
    ["goes on as an orphan where that is drawn", orphans, 1],
  ] as const) {
    test(what, () => {
      const simulation = new Simulation(1, { faults });
      let ended = 0;
      simulation.program("slow", async (world) => {
        await sleep(world, 100);
        ended++;
        return { exitCode: 0 };
      });
      const machine = simulation.machine("m1");
      machine.run(({ spawn }) => spawn.self(["slow"]));
      simulation.runFor(50);
      machine.crash({ powerLoss: false });
      machine.restart();
      simulation.runFor(1000);
      expect(ended).toBe(after);
    });
  }

  test("may be killed by chance: its parent sees the exit code", () => {
    const faults = { ...noFaults, process: { ...noFaults.process, childDies: 1 } };
    const simulation = new Simulation(1, { faults });
    simulation.program("forever", () => new Promise(() => {}));
    expect(simulation.do(simulation.machine("m1"), ({ spawn }) => spawn.self(["forever"]))).toMatchObject({
      exitCode: 137,
    });
  });
});

describe("events", () => {
  test("are kept in order for each machine, and told to whoever listens", () => {
    const simulation = new Simulation(1, { eventLevel: "info" });
    const told: string[] = [];
    const listening = simulation.onEvent((event) => told.push(event.name));
    simulation.do(simulation.machine("m1"), async ({ events }) => {
      expect(events.enabled("debug")).toBe(false);
      events.emit("debug", "a.hidden");
      for (let i = 0; i < 600; i++) events.emit("info", "a.counted", { i });
    });
    listening[Symbol.dispose]();
    const kept = simulation.machine("m1").events;
    expect(kept.map(({ fields }) => fields["i"])).toEqual(Array.from({ length: 512 }, (_, i) => i + 88));
    expect(told.length).toBe(600);
    expect(simulation.lastEvents(1)).toContain("m1 info a.counted i=599");
  });
});
