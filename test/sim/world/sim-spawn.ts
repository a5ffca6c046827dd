import type { Spawn, World } from "../../../src/io.ts";
import type { Prng } from "./prng.ts";
import { nature } from "./scheduler.ts";
import type { Program, SimContext } from "./sim-context.ts";
import { never, type SimProcess } from "./sim-process.ts";

type Outcome = Awaited<ReturnType<Spawn["self"]>>;

export interface SpawnOptions {
  readonly context: SimContext;
  readonly parent: SimProcess;
  readonly prng: Prng;
  readonly begin: (name: string) => { readonly process: SimProcess; readonly world: World };
}

const stderrCharsMax = 64 * 1024;
const sigkill = 137;

/** Children: processes of their own on the same machine, that run a program of the simulation's registry. */
export class SimSpawn implements Spawn {
  readonly #options: SpawnOptions;
  #count = 0;

  constructor(options: SpawnOptions) {
    this.#options = options;
  }

  self(args: readonly string[], signal?: AbortSignal): Promise<Outcome> {
    const { context, parent, prng, begin } = this.#options;
    if (!parent.alive) return never();
    if (signal?.aborted === true) return Promise.reject(new Error("Cannot start a child: aborted already"));
    const name = args[0] ?? "";
    const program = context.programs.get(name);
    if (program === undefined)
      return Promise.reject(new Error(`No program is registered for the arguments ${JSON.stringify(args)}`));
    const { process, world } = begin(`${name}${++this.#count}`);
    const { scheduler } = context;
    const faults = context.faults.process;
    return new Promise((resolve) => {
      const finish = (outcome: Outcome): void => {
        signal?.removeEventListener("abort", kill);
        parent.enter(() => resolve(outcome));
      };
      const kill = (): void => process.end("killed");
      process.hold({ onProcessEnd: () => finish({ exitCode: sigkill, stdout: new Uint8Array(), stderr: "" }) });
      signal?.addEventListener("abort", kill);
      if (scheduler.strikes(prng, faults.childDies, "process.child-dies")) {
        scheduler.after(prng.between(faults.childDiesMs), nature, kill);
      }
      scheduler.after(prng.between([1, 10]), process, () => {
        const end = (outcome: Outcome): void => {
          if (!process.alive) return;
          finish(outcome);
          process.end("killed");
        };
        scheduler.watch(run(program, world, args).then((outcome) => end(outcome)));
      });
    });
  }
}

async function run(program: Program, world: World, args: readonly string[]): Promise<Outcome> {
  try {
    const { exitCode, stdout = new Uint8Array(), stderr = "" } = await program(world, args);
    return { exitCode, stdout, stderr: stderr.slice(-stderrCharsMax) };
  } catch (error) {
    const stderr = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { exitCode: 70, stdout: new Uint8Array(), stderr: stderr.slice(-stderrCharsMax) };
  }
}
