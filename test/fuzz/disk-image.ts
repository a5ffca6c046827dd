/** Files of a server's directory, taken once, and put before the code again with some of their bytes changed. */
import { asGfsError, type ErrorCode, type GfsError } from "../../src/base/errors.ts";
import type { World } from "../../src/io.ts";
import { readFile, writeFile } from "../golden/fixed-world.ts";
import { noFaults } from "../sim/world/fault-settings.ts";
import type { Prng } from "../sim/world/prng.ts";
import { Simulation } from "../sim/world/simulation.ts";
import { mustBeTyped } from "./fuzz-target.ts";
import { mutateBytes, pick } from "./mutate.ts";

export type Image = ReadonlyMap<string, Uint8Array>;

/** A start that takes longer in virtual time is a hang. */
const startLimitMs = 600_000;

export async function takeImage(world: World, directory: string): Promise<Image> {
  const image = new Map<string, Uint8Array>();
  const walk = async (folder: string): Promise<void> => {
    for (const name of await world.disk.list(folder)) {
      const path = `${folder}/${name}`;
      const info = await world.disk.info(path);
      if (info?.kind === "directory") await walk(path);
      else if (name !== "lock") image.set(path, await readFile(world, path));
    }
  };
  await walk(directory);
  return image;
}

/** One file of those that match is changed; mostly where something is written: logs are allocated ahead. */
export function damaged(prng: Prng, image: Image, which: RegExp): Image {
  const path = pick(
    prng,
    [...image.keys()].filter((name) => which.test(name)),
  );
  const bytes = image.get(path)!;
  let used = bytes.length;
  while (used > 0 && bytes[used - 1] === 0) used--;
  const kept = bytes.subarray(0, Math.min(bytes.length, used + 64));
  const others = [...image.values()].map((other) => other.subarray(0, 4_096));
  const mutated = mutateBytes(prng, kept, others);
  // The rest of the file stays where it was, or is gone.
  const whole = new Uint8Array(prng.chance(0.7) ? Math.max(bytes.length, mutated.length) : mutated.length);
  whole.set(bytes.subarray(0, whole.length));
  whole.set(mutated);
  return new Map(image).set(path, whole);
}

/** Runs code on a machine whose disk has these files. @throws Error where it ends in another way, or never */
export function withImage<T>(
  image: Image,
  code: (world: World) => Promise<T>,
  codes: readonly ErrorCode[],
): T | GfsError {
  const simulation = new Simulation(1, { faults: noFaults });
  const machine = simulation.machine("m");
  const task = machine.run(async (world) => {
    for (const [path, bytes] of image) await writeFile(world, path, bytes);
    return code(world);
  });
  if (!simulation.runUntil(() => task.settled, startLimitMs)) throw new Error("it does not end");
  if (task.state === "failed") return mustBeTyped(task.error ?? asGfsError("no error"), codes);
  return task.value;
}
