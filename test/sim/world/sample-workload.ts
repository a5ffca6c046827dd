import { utf8 } from "../../../src/base/bytes.ts";
import type { World } from "../../../src/io.ts";
import { drawFaults } from "./fault-settings.ts";
import { Prng } from "./prng.ts";
import { Simulation } from "./simulation.ts";

/** A little of everything under faults drawn from the seed; the finished simulation. For tests of the simulator itself. */
export function runSample(seed: number, virtualMs = 20_000): Simulation {
  const simulation = new Simulation(seed, { faults: drawFaults(new Prng(`faults ${seed}`)) });
  const servers = ["s1", "s2", "s3"].map((name) => simulation.machine(name));
  const clients = ["c1", "c2"].map((name) => simulation.machine(name));
  for (const server of servers) server.run((world) => serve(world, server.name));
  for (const client of clients)
    client.run((world) =>
      use(
        world,
        servers.map(({ name }) => name),
      ),
    );
  const trouble = (): void => {
    const victim = servers[simulation.prng.integer(0, servers.length - 1)]!;
    switch (simulation.prng.integer(0, 3)) {
      case 0:
        simulation.network.isolate(victim.name);
        break;
      case 1:
        simulation.network.heal();
        break;
      case 2:
        victim.pause(simulation.prng.integer(1, 800));
        break;
      default:
        victim.crash({ powerLoss: simulation.prng.chance(0.5) });
        simulation.after(simulation.prng.integer(1, 1000), () => {
          victim.restart();
          victim.run((world) => serve(world, victim.name));
        });
    }
    simulation.after(simulation.prng.integer(10, 1500), trouble);
  };
  simulation.after(500, trouble);
  simulation.runFor(virtualMs);
  return simulation;
}

async function serve(world: World, host: string): Promise<void> {
  const { disk, control, stream, events } = world;
  await disk.makeDirectory("/data");
  await using _ = await disk.lock("/data");
  const log = await disk.open("/data/log", "write");
  let end = await log.size();
  events.emit("info", "sample.started", { bytes: end });
  await stream.listen(`${host}:2`, (connection) => {
    const echo = async (): Promise<void> => {
      for (let bytes = await connection.read(); bytes !== null; bytes = await connection.read()) {
        connection.send([bytes]);
        await connection.sent();
      }
      connection.end();
    };
    echo().catch(() => connection.close());
  });
  await control.serve(`${host}:1`, async (request) => {
    const bytes = new Uint8Array(await request.arrayBuffer());
    const at = end;
    end += bytes.length;
    await log.write([bytes], at);
    await log.sync();
    return new Response(utf8(String(at)));
  });
  await new Promise(() => {});
}

async function use(world: World, servers: readonly string[]): Promise<void> {
  const { control, stream, random, clock, events } = world;
  const channels = servers.map((host) => control.channel(`${host}:1`));
  for (let round = 0; ; round++) {
    const which = Math.floor(random.fraction() * servers.length);
    try {
      const { body } = await channels[which]!.post({ path: "/v1/append", body: random.bytes(100), timeoutMs: 300 });
      events.emit("debug", "sample.appended", { at: new TextDecoder().decode(body) });
      const connection = await stream.connect(`${servers[which]}:2`, { timeoutMs: 300 });
      const timer = clock.after(1000, () => connection.close());
      connection.send([random.bytes(1000)]);
      let left = 1000;
      while (left > 0) left -= (await connection.read())?.length ?? left;
      connection.end();
      timer.cancel();
    } catch (error) {
      events.emit("warn", "sample.failed", { error: error instanceof Error ? error.message : "" });
    }
    await new Promise<void>((resolve) => {
      clock.after(random.fraction() * 20, resolve);
    });
  }
}

if (import.meta.main) process.stdout.write(runSample(Number(process.argv[2] ?? 1)).traceHash);
