/**
 * Asks a master about random ones of many files, from a process of its own: `bun bench-asker.ts MASTER PID FILES`, with the id of the master's process. A request leaves every few
 * milliseconds, a `stat` and a `locate` in turn, whether those before are answered or not. Each line that it reads begins a phase of that name. At the end of its input it
 * prints one JSON object, with `Waits` by phase. Linux only.
 */
import { z } from "zod";
import { GfsClient } from "../../src/gfs.ts";
import { makeHostWorld } from "../../src/host/world.ts";
import { ControlClient } from "../../src/net/control-client.ts";
import { locate } from "../../src/wire/control/files.ts";
import { beginWait, type ThreadTime } from "./bench-load.ts";
import { filePath } from "./million-files.ts";

/** Milliseconds. */
const Spread = z.object({ p50: z.number(), p99: z.number(), p999: z.number(), longest: z.number() });
type Spread = z.infer<typeof Spread>;

/**
 * clock: as the client sees it. longest: what the master's main thread did during the longest of these. master: the most that may be the master's own, of requests that were
 * alone, for what a busy machine has pile up is not. tick: by how much the timer that asks was late, which is what the machine has everybody wait.
 */
const Waits = z.object({
  requests: z.number(),
  clock: Spread,
  longest: z.object({ onMs: z.number(), waitedMs: z.number() }),
  master: Spread,
  tick: Spread,
});
export type Waits = z.infer<typeof Waits>;

/** What it prints. */
export const WaitsByPhase = z.record(z.string(), Waits);

const askEveryMs = 5;

class Phase {
  readonly clock: number[] = [];
  readonly master: number[] = [];
  readonly tick: number[] = [];
  #longest = { ms: 0, master: { onMs: 0, waitedMs: 0 } };

  note(waitedMs: number, master: ThreadTime): void {
    this.clock.push(waitedMs);
    if (waitedMs > this.#longest.ms) this.#longest = { ms: waitedMs, master };
  }

  waits(): Waits {
    const { clock, master, tick } = this;
    const spreads = { clock: spread(clock), master: spread(master), tick: spread(tick) };
    return { requests: clock.length, ...spreads, longest: this.#longest.master };
  }
}

function spread(values: number[]): Spread {
  const sorted = values.sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), longest: at(1) };
}

async function main(address: string, pid: number, files: number): Promise<void> {
  const world = makeHostWorld({ logLevel: "error", logFormat: "text" });
  await using client = await GfsClient.connect({ master: address });
  const control = new ControlClient(world, { role: "client", clusterId: () => undefined });
  const phases = new Map<string, Phase>();
  let phase: Phase | undefined;
  let count = 0;
  const pending = new Set<Promise<void>>();
  const ask = async (into: Phase | undefined): Promise<void> => {
    const path = filePath(Math.floor(Math.random() * files));
    const target = { kind: "path", path } as const;
    const alone = pending.size === 0;
    const waited = beginWait(pid);
    if (count++ % 2 === 0) await client.stat(path);
    else await control.call(address, locate, { target, offset: 0, length: 1 }, { timeoutMs: 60_000 });
    const { ms, server, serversOwnMs } = waited();
    into?.note(ms, server);
    if (alone) into?.master.push(serversOwnMs);
  };
  let dueMs = performance.now() + askEveryMs;
  const tick = (): void => {
    const lateMs = performance.now() - dueMs;
    phase?.tick.push(Math.max(0, lateMs));
    const asking = ask(phase);
    pending.add(asking);
    asking.then(() => pending.delete(asking), failed);
    dueMs = performance.now() + askEveryMs;
    timer = setTimeout(tick, askEveryMs);
  };
  let timer = setTimeout(tick, askEveryMs);
  for await (const name of console) {
    phase = new Phase();
    phases.set(name, phase);
  }
  clearTimeout(timer);
  await Promise.all(pending);
  control.close();
  process.stdout.write(
    `${JSON.stringify(Object.fromEntries([...phases].map(([name, each]) => [name, each.waits()])))}\n`,
  );
}

function failed(error: unknown): never {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
}

if (import.meta.main) {
  const [address = "", pid = "", files = ""] = process.argv.slice(2);
  main(address, Number(pid), Number(files)).then(() => process.exit(0), failed);
}
