/** How long a put or a get stands still when the chunkserver in use dies or hangs: the longest time without progress, as its client sees it. */
import { join } from "node:path";
import { makeFile, startLoad } from "./bench-load.ts";
import { mib, type Row, runs, Samples } from "./bench-rows.ts";
import { defaultLimits } from "../../src/limits.ts";
import { TestCluster } from "./processes.ts";

const bytes = Number(process.env["FAULT_MB"] ?? 512) * mib;

type Fault = "SIGKILL" | "SIGSTOP";
type Work = "upload" | "download";

/** One transfer; a quarter of the way in, the nearest chunkserver (its location is the client's) is killed or stopped. */
async function longestPauseMs(source: string, work: Work, fault: Fault): Promise<number> {
  await using cluster = await TestCluster.start();
  if (work === "download") await startLoad(cluster, ["upload", "/file", 1, 1, bytes, source]).result;
  const load = startLoad(cluster, [work, "/file", 1, 1, bytes, source]);
  await load.going;
  const nearest = cluster.chunkservers[0];
  if (nearest === undefined) throw new Error("there is no chunkserver");
  if (fault === "SIGKILL") await nearest.kill();
  else nearest.signal("SIGSTOP");
  return (await load.result).longestMs;
}

export async function faultRows(directory: string): Promise<Row[]> {
  const source = join(directory, "fault-source");
  await makeFile(source, bytes);
  const samples = new Samples();
  const trials: readonly { readonly work: Work; readonly fault: Fault; readonly barMs: number }[] = [
    { work: "upload", fault: "SIGKILL", barMs: 1_000 },
    { work: "download", fault: "SIGKILL", barMs: 200 },
    { work: "upload", fault: "SIGSTOP", barMs: defaultLimits.putStallMs + 1_000 },
    { work: "download", fault: "SIGSTOP", barMs: 1_000 },
  ];
  const rows: Row[] = [];
  for (const { work, fault, barMs } of trials) {
    const name = `${work} ${fault}`;
    // A hang costs its whole time-out each time, and varies little.
    const times = fault === "SIGKILL" ? runs : 1;
    for (let run = 0; run < times; run++) samples.note(name, await longestPauseMs(source, work, fault));
    const value = samples.of(name);
    const what = `${work === "upload" ? "put" : "get"}, ${fault} of the server in use`;
    rows.push({ work: `longest pause of a ${what}`, value, unit: "ms", reach: `< ${barMs}`, ok: value < barMs });
  }
  return rows;
}
