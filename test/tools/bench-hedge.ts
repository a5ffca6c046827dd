/**
 * Reads of 64 KiB while one chunkserver at a time hangs for 200 ms, each in turn, with and without hedging: what the second request is worth. And the CPU time of a read with nothing slow: what
 * keeping track costs.
 */
import { GfsClient } from "../../src/gfs.ts";
import { defaultLimits, type Limits } from "../../src/limits.ts";
import { cpuMicros } from "./bench-load.ts";
import { type Row, Samples, told } from "./bench-rows.ts";
import { TestCluster } from "./processes.ts";

const bytes = 65_536;
const fileCount = 64;
const readsWhileHanging = Number(process.env["HEDGE_READS"] ?? 1_500);
const hangMs = 200;
const pauseMs = 300;
/** A reader asks at about this rate: what hangs is met by few of its reads. */
const betweenMs = 5;
/** By default, and as many as it takes. */
const shares = [0, defaultLimits.hedgeShare, 1];

function share(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

async function readOne(client: GfsClient, i: number): Promise<void> {
  let got = 0;
  for await (const piece of client.read(`/hedge/${i % fileCount}`)) got += piece.length;
  if (got !== bytes) throw new Error(`read ${got} bytes of ${bytes}`);
}

/** Each chunkserver stops for `hangMs`, one after the other, until `work` is done. */
async function whileHanging<T>(cluster: TestCluster, work: () => Promise<T>): Promise<T> {
  const done = new AbortController();
  const hang = async (): Promise<void> => {
    for (let i = 0; !done.signal.aborted; i++) {
      const server = cluster.chunkservers[i % cluster.chunkservers.length];
      server?.signal("SIGSTOP");
      await Bun.sleep(hangMs);
      server?.signal("SIGCONT");
      await Bun.sleep(pauseMs);
    }
  };
  const hanging = hang();
  try {
    return await work();
  } finally {
    done.abort();
    await hanging;
  }
}

export async function hedgeRows(): Promise<Row[]> {
  await using cluster = await TestCluster.start();
  const clientOf = (limits: Partial<Limits>): Promise<GfsClient> =>
    GfsClient.connect({ master: cluster.address, limits: { ...defaultLimits, ...limits } });
  await using writer = await clientOf({});
  for (let i = 0; i < fileCount; i++) await writer.put({ kind: "bytes", bytes: new Uint8Array(bytes) }, `/hedge/${i}`);
  const samples = new Samples();
  for (const hedgeShare of shares) {
    await using client = await clientOf({ hedgeShare });
    for (let i = 0; i < 400; i++) await readOne(client, i);
    const times: number[] = [];
    await whileHanging(cluster, async () => {
      for (let i = 0; i < readsWhileHanging; i++) {
        const beganMs = performance.now();
        await readOne(client, i);
        times.push(performance.now() - beganMs);
        await Bun.sleep(betweenMs);
      }
    });
    for (const part of [0.5, 0.99, 0.999]) samples.note(`${hedgeShare} ${part}`, share(times, part));
    const before = cpuMicros(process.pid);
    for (let i = 0; i < 2_000; i++) await readOne(client, i);
    samples.note(`${hedgeShare} cpu`, (cpuMicros(process.pid) - before) / 2_000);
  }
  const rows: Row[] = [];
  for (const hedgeShare of shares) {
    const how = hedgeShare === 0 ? "no hedging" : `hedge share ${hedgeShare}`;
    for (const part of [0.5, 0.99, 0.999]) {
      const value = samples.of(`${hedgeShare} ${part}`);
      const ratio = `${(value / samples.of(`0 ${part}`)).toFixed(2)} of that without`;
      rows.push({ ...told(`get 64 KiB, a server hangs in turns, p${part * 100}, ${how}`, value, "ms"), ratio });
    }
    const cpu = samples.of(`${hedgeShare} cpu`);
    const ratio = `${(cpu / samples.of("0 cpu")).toFixed(2)} of that without`;
    rows.push({ ...told(`client CPU of a get of 64 KiB, nothing hangs, ${how}`, cpu, "µs"), ratio });
  }
  return rows;
}
