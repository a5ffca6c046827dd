/** Record appends of 1 KiB to one file, against rounds of three syncs in the same run. */
import { syncRounds } from "./bench-limits.ts";
import { drive } from "./bench-load.ts";
import { atLeast, type Row, runs, Samples, shareOf, told } from "./bench-rows.ts";
import { TestCluster } from "./processes.ts";

const recordBytes = 1_024;
const clients = 8;
const recordsEach = 5_000;

export async function appendRows(directory: string): Promise<Row[]> {
  const samples = new Samples();
  await using cluster = await TestCluster.start();
  for (let run = 0; run < runs; run++) {
    samples.note("rounds", await syncRounds(directory, 1_000));
    samples.note("one", await drive(cluster, "append-serial", `/one${run}`, 2_000, 1, recordBytes));
    samples.note("pipelined", await drive(cluster, "append", `/pipelined${run}`, 20_000, 1, recordBytes));
    const startedMs = performance.now();
    const all = Array.from({ length: clients }, () =>
      drive(cluster, "append", `/eight${run}`, recordsEach, 1, recordBytes),
    );
    await Promise.all(all);
    // The processes' own starts are in it.
    samples.note("eight", (clients * recordsEach) / ((performance.now() - startedMs) / 1_000));
  }
  const rounds = samples.of("rounds");
  return [
    told("limit: rounds of three syncs", rounds, "/s"),
    shareOf("append 1 KiB, 1 client, one at a time", samples.of("one"), "/s", {
      name: "rounds",
      value: rounds,
      percent: 50,
    }),
    told("append 1 KiB, 1 client, pipelined", samples.of("pipelined"), "/s"),
    atLeast("append 1 KiB, 8 clients", samples.of("eight"), "/s", 5_000),
  ];
}
