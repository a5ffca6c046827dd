/**
 * Load on a cluster from one compiled process, for the benchmark: `gfs-bench MASTER WORK PATH COUNT WIDTH BYTES [SOURCE]`. Prints one JSON object: `rate` (calls or
 * megabytes a second), `peakMib` (most memory ever resident), `longestMs` (longest time without a new byte, in a transfer), `cpuMicros` (CPU time a call, of this
 * process and of those in CPU_OF, by id), after a line `going` when a quarter of a transfer is done. Data is random, and what is read is compared in length.
 */
import { GfsClient } from "../../src/gfs.ts";
import { cpuMicros, peakMib } from "./bench-load.ts";

const [master = "", work = "", path = "/bench", countText = "1000", widthText = "1", bytesText = "0", source = ""] =
  process.argv.slice(2);
const count = Number(countText);
const width = Number(widthText);
const bytes = Number(bytesText);

/** Runs `run` for all from `first` to before `end`, `width` at a time. */
async function runAll(first: number, end: number, run: (i: number) => Promise<unknown>): Promise<void> {
  let next = first;
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let i = next++; i < end; i = next++) await run(i);
    }),
  );
}

const measured = [
  process.pid,
  ...(process.env["CPU_OF"] ?? "")
    .split(",")
    .filter((id) => id !== "")
    .map(Number),
];
let cpuMicrosEach: number[] = [];

/** Calls a second, of the last 80 %: the first ones are the compiler's warming up. */
async function rate(run: (i: number) => Promise<unknown>): Promise<number> {
  const untimed = Math.floor(count / 5);
  await runAll(0, untimed, run);
  const startedMs = performance.now();
  const before = measured.map(cpuMicros);
  await runAll(untimed, count, run);
  cpuMicrosEach = measured.map((pid, i) => (cpuMicros(pid) - (before[i] ?? 0)) / (count - untimed));
  return (count - untimed) / ((performance.now() - startedMs) / 1_000);
}

/** Sees how a transfer goes on. */
class Pauses {
  longestMs = 0;
  #lastMs = performance.now();
  #told = work !== "upload" && work !== "download";

  moved(doneBytes: number): void {
    const nowMs = performance.now();
    this.longestMs = Math.max(this.longestMs, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    if (this.#told || doneBytes < bytes / 4) return;
    this.#told = true;
    process.stdout.write("going\n");
  }
}

async function main(): Promise<void> {
  // At the place of the first chunkserver, so that it is the one in use.
  await using client = await GfsClient.connect({ master, location: { x: 0, y: 0 } });
  const data = work === "upload" || work === "download" ? new Uint8Array(0) : randomBytes();
  const pauses = new Pauses();
  const name = (i: number): string => `${path}/${i}`;
  const read = async (i: number): Promise<void> => {
    let done = 0;
    for await (const piece of client.read(name(i))) {
      done += piece.length;
      pauses.moved(done);
    }
    if (done !== bytes) throw new Error(`${name(i)} has ${done} bytes, not ${bytes}`);
  };
  const measure = async (): Promise<number> => {
    switch (work) {
      case "put":
        return rate((i) => client.put({ kind: "bytes", bytes: data }, name(i)));
      case "stat":
        return rate((i) => client.stat(name(i)));
      case "read":
        return rate(read);
      case "upload": {
        const onProgress = (done: number): void => pauses.moved(done);
        return (bytes / 1e6) * (await rate((i) => client.uploadFile(source, name(i), { onProgress, overwrite: true })));
      }
      case "download":
        return (bytes / 1e6) * (await rate(read));
      case "append-serial": {
        await using appender = await client.appender(path);
        return await rate(() => appender.append(data));
      }
      case "append": {
        await using appender = await client.appender(path);
        const startedMs = performance.now();
        const pending: Promise<unknown>[] = [];
        for (let i = 0; i < count; i++) {
          await appender.ready();
          pending.push(appender.append(data));
        }
        await Promise.all(pending);
        return count / ((performance.now() - startedMs) / 1_000);
      }
      default:
        throw new Error(`unknown work ${work}`);
    }
  };
  const result = {
    rate: await measure(),
    peakMib: peakMib("self"),
    longestMs: pauses.longestMs,
    cpuMicros: cpuMicrosEach,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

function randomBytes(): Uint8Array {
  const data = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(data.subarray(at, at + 65_536));
  return data;
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exit(1);
  },
);
