/** Small files and the namespace: calls a second. */
import { syncRounds } from "./bench-limits.ts";
import { drive } from "./bench-load.ts";
import { atLeast, type Row, runs, Samples, told } from "./bench-rows.ts";
import { TestCluster } from "./processes.ts";

export async function smallRows(directory: string): Promise<Row[]> {
  const samples = new Samples();
  await using cluster = await TestCluster.start();
  for (let run = 0; run < runs; run++) {
    samples.note("rounds", await syncRounds(directory, 1_000));
    samples.note("create", await drive(cluster, "put", `/c${run}`, 20_000, 16, 0));
    samples.note("stat", await drive(cluster, "stat", `/c${run}`, 20_000, 16, 0));
    samples.note("put 1", await drive(cluster, "put", `/p${run}`, 1_000, 1, 4_096));
    samples.note("put 16", await drive(cluster, "put", `/q${run}`, 4_000, 16, 4_096));
    samples.note("get 1", await drive(cluster, "read", `/p${run}`, 1_000, 1, 4_096));
    samples.note("get 16", await drive(cluster, "read", `/q${run}`, 4_000, 16, 4_096));
  }
  return [
    told("limit: rounds of three syncs", samples.of("rounds"), "/s"),
    atLeast("create an empty file, 16 at once", samples.of("create"), "/s", 10_000),
    atLeast("stat, 16 at once", samples.of("stat"), "/s", 20_000),
    atLeast("put 4 KiB, 3 replicas, one at a time", samples.of("put 1"), "/s", 500),
    atLeast("put 4 KiB, 3 replicas, 16 at once", samples.of("put 16"), "/s", 3_000),
    told("get 4 KiB, one at a time", samples.of("get 1"), "/s"),
    told("get 4 KiB, 16 at once", samples.of("get 16"), "/s"),
  ];
}
