/** Runs inputs through a target, until a time or a number of them; a failure says how to have it again. */
import { type FuzzTarget, generatorOf } from "./fuzz-target.ts";

export interface FuzzResult {
  readonly name: string;
  readonly inputs: number;
  readonly seconds: number;
  readonly failures: readonly string[];
  /** The longest that one input took, of processor time: other programs do not count. */
  readonly longestMs: number;
  /** Growth of the resident memory over the run. */
  readonly grownBytes: number;
}

/** One input takes longer: a hang. */
const inputMsMax = 10_000;
/** Over all inputs of a target: they keep nothing. */
const grownBytesMax = 1_073_741_824;
const failuresMax = 5;

export interface FuzzOptions {
  readonly seed: number;
  readonly firstInput?: number;
  readonly inputsMax: number;
  readonly msMax: number;
}

export function fuzzTarget(target: FuzzTarget, { seed, firstInput = 0, inputsMax, msMax }: FuzzOptions): FuzzResult {
  const run = target.prepare();
  const failures: string[] = [];
  const startMs = performance.now();
  const memoryBefore = process.memoryUsage.rss();
  let longestMs = 0;
  let inputs = 0;
  const fail = (input: number, what: string): void => {
    failures.push(
      `${target.name}: ${what}\n  again: bun run fuzz --target ${target.name} --seed ${seed} --input ${input}`,
    );
  };
  while (inputs < inputsMax && performance.now() - startMs < msMax && failures.length < failuresMax) {
    const input = firstInput + inputs++;
    const began = process.cpuUsage();
    try {
      run.once(generatorOf(target.name, seed, input));
    } catch (error) {
      fail(input, error instanceof Error ? `${error.stack ?? error.message}${causeOf(error)}` : String(error));
    }
    const { user, system } = process.cpuUsage(began);
    const tookMs = (user + system) / 1_000;
    if (tookMs > longestMs) longestMs = tookMs;
    if (tookMs > inputMsMax) fail(input, `it took ${Math.round(tookMs)} ms of processor time`);
  }
  Bun.gc(true);
  const grownBytes = Math.max(0, process.memoryUsage.rss() - memoryBefore);
  if (grownBytes > grownBytesMax) fail(firstInput, `${inputs} inputs left ${grownBytes} bytes in memory`);
  return { name: target.name, inputs, seconds: (performance.now() - startMs) / 1_000, failures, longestMs, grownBytes };
}

function causeOf({ cause }: Error): string {
  return cause instanceof Error ? `\n  cause: ${cause.stack ?? cause.message}` : "";
}
