import { describe, expect, test } from "bun:test";
import { GfsError, hasCode } from "../../../src/base/errors.ts";
import { startChunkserver } from "../../../src/chunkserver/chunkserver.ts";
import { content, dial, handle, limits, put, secret, Trio, version } from "./trio.ts";

describe("DESIGN §4.5 heartbeats", () => {
  test("come at the interval that the master named, from each volume, with its space", () => {
    const trio = new Trio();
    trio.master.beats.length = 0;
    trio.simulation.runFor(10_000);
    const { volume } = trio.server("s1");
    const own = trio.master.beats.filter((beat) => beat.volume === volume);
    expect(own.length).toBeGreaterThanOrEqual(9);
    expect(own.length).toBeLessThanOrEqual(11);
    expect(own[0]!.space.freeBytes).toBeGreaterThan(0);
  });

  test("tell how long syncs and reads took lately, also on a disk that is slow", () => {
    const trio = new Trio();
    const chain = trio.chain("s1", "s2");
    const timesOf = (server: number) =>
      trio.master.beats.findLast(({ volume, times }) => volume === chain[server]!.volume && times?.sync !== undefined)
        ?.times;
    trio.machines[1]!.drive().slow(200);
    trio.do(async (world) => put(await dial(world, chain[0]!.data), chain, content(200_000)));
    trio.simulation.runFor(1_000);
    expect(timesOf(0)!.sync!.ms).toBeLessThan(3);
    expect(timesOf(0)!.sync!.count).toBeGreaterThan(0);
    expect(timesOf(1)!.sync!.ms).toBeGreaterThan(10);
  });

  test("a full report follows a registration, and whenever the master wants one", () => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    trio.simulation.runFor(1_000);
    expect(trio.master.reports).toHaveLength(3);
    trio.do(async (world) => put(await dial(world, chain[0]!.data), chain, content(10)));
    trio.master.wantReport = true;
    trio.simulation.runFor(2_000);
    const last = trio.master.reports.findLast(({ volume }) => volume === chain[0]!.volume);
    expect(last).toMatchObject({
      page: 0,
      last: true,
      entries: [{ handle, dataVersion: version, length: 10, state: "sealed" }],
    });
  });

  test("a master that does not know the volume is told who it is again", () => {
    const trio = new Trio();
    trio.master.known = false;
    trio.simulation.runFor(1_100);
    trio.master.known = true;
    trio.simulation.runFor(3_000);
    expect(trio.master.registrations).toBe(6);
  });

  test("a server that is refused says so, and why, once, and not that the master can't be reached", () => {
    const trio = new Trio();
    const told = () =>
      trio.machines[0]!.events.filter(({ name }) => name.startsWith("master.")).map(({ name }) => name);
    const before = told().length;
    trio.master.refusal = new GfsError("Denied", "Cannot register s1: this cluster has forgotten it");
    trio.master.known = false;
    trio.simulation.runFor(60_000);
    expect(trio.master.registrations).toBeGreaterThan(10);
    expect(told().slice(before)).toEqual(["master.refused"]);
    expect(trio.machines[0]!.events.findLast(({ name }) => name === "master.refused")?.fields).toEqual({
      master: "master:1",
      reason: "Cannot register s1: this cluster has forgotten it",
    });
    // Taken again, and refused again: that is news.
    trio.master.refusal = undefined;
    trio.master.known = true;
    trio.simulation.runFor(10_000);
    trio.master.refusal = new GfsError("Denied", "Cannot register s1: this cluster has forgotten it");
    trio.master.known = false;
    trio.simulation.runFor(10_000);
    expect(told().slice(before)).toEqual(["master.refused", "master.registered", "master.refused"]);
  });

  test("so is a master that was started anew", () => {
    const trio = new Trio();
    trio.master.epoch = { number: 6, startId: "c".repeat(16) };
    trio.simulation.runFor(3_000);
    expect(trio.master.registrations).toBe(6);
  });

  test("a master that is away for long is found again soon after it is back", () => {
    const trio = new Trio();
    trio.simulation.network.isolate("master");
    trio.simulation.runFor(300_000);
    trio.simulation.network.heal();
    trio.master.beats.length = 0;
    trio.simulation.runFor(12_000);
    expect(new Set(trio.master.beats.map((beat) => beat.volume)).size).toBe(3);
  });

  test("news of a chunk that stopped do not wait for the next interval", () => {
    const trio = new Trio();
    trio.openChunk();
    trio.simulation.runFor(1_000);
    const { volume } = trio.server("s1");
    expect(trio.master.said(volume)).toMatchObject({ role: "primary", committed: 0 });
    expect(trio.master.said(trio.server("s2").volume)).toMatchObject({ role: "secondary" });
  });
});

describe("DESIGN §4.6 where a chunkserver may listen", () => {
  const options = {
    master: "master:1",
    dataDir: "/other",
    label: "x",
    limits,
    insecure: false,
    version: "test",
  };
  test.each([
    ["beyond this machine without a secret", { listen: "s9:1", dataListen: "127.0.0.1:2" }, true],
    ["its data port alone, too", { listen: "127.0.0.1:1", dataListen: "s9:2" }, true],
    ["a wildcard that nobody can dial", { listen: "0.0.0.0:1", dataListen: "127.0.0.1:2", secret }, true],
    ["what is no address", { listen: "nonsense", dataListen: "127.0.0.1:2", secret }, true],
    ["anywhere with a secret", { listen: "s9:1", dataListen: "s9:2", secret }, false],
    ["anywhere where the operator insists", { listen: "s9:1", dataListen: "s9:2", insecure: true }, false],
  ] as const)("%s", (_name, changed, refused) => {
    const trio = new Trio();
    const outcome = trio.simulation.do(trio.simulation.machine("s9"), async (world) => {
      try {
        const server = await startChunkserver(world, { ...options, ...changed });
        await server.stop();
        return "started";
      } catch (error) {
        return hasCode(error, "Usage") ? "Usage" : error;
      }
    });
    expect(outcome).toBe(refused ? "Usage" : "started");
  });

  test("stop lets go of the directory, and a second start finds all again", () => {
    const trio = new Trio();
    const chain = trio.chain("s1");
    trio.do(async (world) => put(await dial(world, chain[0]!.data), chain, content(10)));
    const [first] = trio.machines;
    const before = trio.server("s1");
    trio.simulation.do(first!, () => before.stop());
    trio.simulation.do(first!, () => before.stop());
    trio.start(first!);
    expect(trio.server("s1").volume).toBe(before.volume);
  });

  test("a second chunkserver on one directory is refused", () => {
    const trio = new Trio();
    const [first] = trio.machines;
    const error = trio.simulation.do(first!, (world) =>
      startChunkserver(world, { ...options, dataDir: "/data", listen: "s1:5", dataListen: "s1:6", secret }).catch(
        (thrown: unknown) => thrown,
      ),
    );
    expect(hasCode(error, "Locked")).toBe(true);
  });

  test("a chunkserver takes the first pair of ports of which neither is in use", () => {
    const trio = new Trio();
    const addresses = trio.simulation.do(trio.simulation.machine("s9"), async (world) => {
      await using _control = await world.stream.listen("s9:11", () => {});
      await using _data = await world.stream.listen("s9:1022", () => {});
      const pairs = [11, 22, 33].map((port) => ({ listen: `s9:${port}`, dataListen: `s9:${1_000 + port}` }));
      const [first, ...otherListens] = pairs;
      const server = await startChunkserver(world, { ...options, ...first!, otherListens, secret });
      const { controlAddress, dataAddress } = server;
      await server.stop();
      const alone = { ...options, ...pairs[1]!, secret };
      const refused = await startChunkserver(world, alone).catch((error: unknown) => error);
      return [controlAddress, dataAddress, hasCode(refused, "AddressInUse")];
    });
    expect(addresses).toEqual(["s9:33", "s9:1033", true]);
  });

  test("a chunkserver starts without its master, and registers when it comes", () => {
    const trio = new Trio();
    const machine = trio.simulation.machine("s4");
    trio.simulation.network.isolate("master");
    const server = trio.simulation.do(machine, (world) =>
      startChunkserver(world, { ...options, listen: "s4:1", dataListen: "s4:2", secret }),
    );
    let registered = false;
    machine.run(async () => {
      await server.registered;
      registered = true;
    });
    trio.simulation.runFor(60_000);
    expect(registered).toBe(false);
    trio.simulation.network.heal();
    trio.simulation.runFor(12_000);
    expect(registered).toBe(true);
  });
});
