/** A master on two simulated data directories, and what may happen to them: shared by the tests of whole and of unlike copies. */
import { expect } from "bun:test";
import { GfsError } from "../../../src/base/errors.ts";
import { status } from "../../../src/wire/control/namespace.ts";
import { createFile } from "../../../src/wire/control/files.ts";
import { MasterInSim } from "./master-in-sim.ts";

export const a = "/a";
export const b = "/b";
export const files = 5;

export function cluster(
  seed: number,
  dataDirs: readonly string[],
  changes: ConstructorParameters<typeof MasterInSim>[1] = {},
) {
  const made = new MasterInSim(seed, { dataDirs, ...changes });
  made.start();
  return made;
}

export function addFiles(made: MasterInSim, from: number, to: number): void {
  for (let i = from; i < to; i++) made.call(createFile, { id: made.nextId(), path: `/f${i}`, mode: "new" });
}

/** An id of a session whose earlier answers have all arrived. */
export function answered(made: MasterInSim): ReturnType<MasterInSim["nextId"]> {
  const id = made.nextId();
  return { ...id, floor: id.sequence };
}

export const filesOf = (made: MasterInSim): number => made.call(status, {}).files;

export function checkpoint(made: MasterInSim): void {
  const { master } = made;
  made.simulation.do(made.machine, async () => master?.checkpoint());
}

export function stop(made: MasterInSim): void {
  const { master } = made;
  made.simulation.do(made.machine, async () => master?.stop());
  made.crash({ powerLoss: false });
}

/** Files, two checkpoints among them, and some more: none of the log's first segments is left. */
export function filled(made: MasterInSim): void {
  for (const round of [0, 1]) {
    addFiles(made, round * 2, round * 2 + 2);
    checkpoint(made);
  }
  addFiles(made, 4, files);
}

/** Starts, and loses power after so many disk operations; how many there were, if it was ready before. */
export function startCutAfter(
  made: MasterInSim,
  operations: number,
  dataDirs: readonly string[],
  lostDataDirs: readonly string[] = [],
): "cut" | "ready" {
  const drive = made.machine.drive();
  const mayFail = drive.mayFail.bind(drive);
  let done = 0;
  drive.mayFail = (operation, path) => {
    done++;
    mayFail(operation, path);
  };
  const starting = made.begins({ dataDirs, lostDataDirs });
  made.simulation.runUntil(() => done >= operations || starting.settled, 10_000);
  drive.mayFail = mayFail;
  if (starting.settled) return "ready";
  made.crash({ powerLoss: true });
  return "cut";
}

/** Undefined: refused to start. */
export function filesFrom(made: MasterInSim, dataDirs: readonly string[], lostDataDirs: readonly string[] = []) {
  try {
    made.start({ dataDirs, lostDataDirs });
  } catch (error) {
    if (!(error instanceof GfsError)) throw error;
    expect(["Usage", "Corrupt"]).toContain(error.code);
    return undefined;
  }
  return filesOf(made);
}

export const names = (made: MasterInSim, path: string): string[] =>
  made.simulation.do(made.machine, ({ disk }) => disk.list(path));

export function damage(made: MasterInSim, directory: string, which: readonly number[]): void {
  const found = names(made, `${directory}/checkpoints`);
  for (const index of which) made.machine.drive().corrupt(`${directory}/checkpoints/${found.at(index) ?? ""}`, 300);
}

export function truncate(made: MasterInSim, path: string, bytes: number): void {
  made.simulation.do(made.machine, async ({ disk }) => {
    const file = await disk.open(path, "write");
    await file.truncate(bytes);
    await file.sync();
    await file.close();
  });
}

export function copyTree(made: MasterInSim, from: string, to: string): void {
  made.simulation.do(made.machine, async ({ disk }) => {
    const copy = async (source: string, target: string): Promise<void> => {
      if ((await disk.info(source))?.kind === "directory") {
        await disk.makeDirectory(target);
        for (const name of await disk.list(source)) await copy(`${source}/${name}`, `${target}/${name}`);
        return;
      }
      const read = await disk.open(source, "read");
      const bytes = new Uint8Array(await read.size());
      await read.read(bytes, 0);
      await read.close();
      const written = await disk.open(target, "write");
      await written.truncate(0);
      await written.write([bytes], 0);
      await written.sync();
      await written.close();
    };
    await disk.removeTree(to);
    await copy(from, to);
  });
}
