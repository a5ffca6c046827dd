/** A world in which the same code writes the same bytes: a simulated disk, and random bytes that count up. */
import type { Random, World } from "../../src/io.ts";
import { noFaults } from "../sim/world/fault-settings.ts";
import { Simulation } from "../sim/world/simulation.ts";

function countingRandom(): Random {
  let next = 1;
  return { bytes: (count) => Uint8Array.from({ length: count }, () => next++ & 0xff), fraction: () => 0.5 };
}

export function inFixedWorld<T>(code: (world: World) => Promise<T>): T {
  const simulation = new Simulation(1, { faults: noFaults });
  return simulation.do(simulation.machine("m"), (world) => code({ ...world, random: countingRandom() }));
}

export async function readFile(world: World, path: string): Promise<Uint8Array> {
  const file = await world.disk.open(path, "read");
  const bytes = new Uint8Array(await file.size());
  await file.read(bytes, 0);
  await file.close();
  return bytes;
}

export async function writeFile(world: World, path: string, bytes: Uint8Array): Promise<void> {
  await world.disk.makeDirectory(path.slice(0, path.lastIndexOf("/")) || "/");
  const file = await world.disk.open(path, "create");
  await file.write([bytes], 0);
  await file.sync();
  await file.close();
}
