/** CPU time a call, of the client and of each server: unlike rates it hardly depends on what else runs. */
import { type LoadResult, startLoad } from "./bench-load.ts";
import { atMost, type Row, runs, Samples, told } from "./bench-rows.ts";
import { TestCluster } from "./processes.ts";

/** Microseconds at most, a call of the client and the master each: two cores then do 10 000 creates and 20 000 stats a second. */
const bars: Readonly<Record<string, number>> = { "create 16": 95, "stat 16": 45 };

export async function cpuRows(): Promise<Row[]> {
  const samples = new Samples();
  const works: string[] = [];
  await using cluster = await TestCluster.start();
  const measure = async (work: string, ...args: readonly (string | number)[]): Promise<void> => {
    const { cpuMicros }: LoadResult = await startLoad(cluster, args).result;
    for (const [i, micros] of cpuMicros.entries()) samples.note(`${work} ${i}`, micros);
    if (!works.includes(work)) works.push(work);
  };
  for (let run = 0; run < runs; run++) {
    await measure("create 16", "put", `/c${run}`, 20_000, 16, 0);
    await measure("stat 16", "stat", `/c${run}`, 20_000, 16, 0);
    await measure("put 4 KiB 16", "put", `/q${run}`, 6_000, 16, 4_096);
    await measure("get 4 KiB 16", "read", `/q${run}`, 6_000, 16, 4_096);
  }
  const who = ["client", "master", "chunkserver 1", "chunkserver 2", "chunkserver 3"];
  return works.flatMap((work) =>
    who.map((name, i) => {
      const value = samples.of(`${work} ${i}`);
      const bar = i < 2 ? bars[work] : undefined;
      return bar === undefined ? told(`${work}, ${name}`, value, "us") : atMost(`${work}, ${name}`, value, "us", bar);
    }),
  );
}
