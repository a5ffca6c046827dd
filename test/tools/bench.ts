/**
 * The benchmark (docs/BENCHMARKS.md): compiled processes, one master and three chunkservers on this machine, everything synced before it is
 * acknowledged; medians of RUNS (3), interleaved with the machine's limits. `bun run bench [SECTION…]`: large small append memory start faults.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { faultRows } from "./bench-faults.ts";
import { localCopy, loopback, syncRounds, writeAndSync } from "./bench-limits.ts";
import { memoryRows, startRows } from "./bench-memory.ts";
import { TestCluster, cleanEnvironment, gfsPath } from "./processes.ts";

export interface Row {
  readonly work: string;
  readonly value: number;
  readonly unit: string;
  readonly ratio?: string;
  readonly reach: string;
  readonly ok: boolean;
}

const runs = Number(process.env["RUNS"] ?? 3);
const bigBytes = Number(process.env["BIG_MB"] ?? 1_024) * 1_048_576;
const benchPath = resolve(gfsPath, "../gfs-bench");

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

async function drive(cluster: TestCluster, ...args: readonly (string | number)[]): Promise<number> {
  const child = Bun.spawn([benchPath, cluster.address, ...args.map(String)], { stdout: "pipe", stderr: "inherit", env: cleanEnvironment() });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`gfs-bench ${args.join(" ")} failed`);
  const result: unknown = JSON.parse(text);
  if (typeof result !== "object" || result === null || !("rate" in result)) throw new Error(`gfs-bench said ${text}`);
  return Number(result.rate);
}

async function shell(command: string): Promise<number> {
  const startedMs = performance.now();
  const child = Bun.spawn(["bash", "-c", `set -o pipefail; ${command}`], { stdout: "ignore", stderr: "inherit", env: cleanEnvironment() });
  if ((await child.exited) !== 0) throw new Error(`${command} failed`);
  return (performance.now() - startedMs) / 1_000;
}

async function largeRows(directory: string): Promise<Row[]> {
  const source = join(directory, "source");
  await shell(`head -c ${bigBytes} /dev/urandom > ${source} && sync ${source}`);
  const parts = Math.floor(bigBytes / 4);
  await shell(`for i in 1 2 3 4; do head -c ${parts} /dev/urandom > ${source}.$i; done; sync ${source}.*`);
  const rates: Record<string, number[]> = {};
  const note = (name: string, value: number): void => void (rates[name] ??= []).push(value);
  await using cluster = await TestCluster.start({ env: { GFS_MASTER_TRASH_SECONDS: "1", GFS_MASTER_DELETE_GRACE_SECONDS: "1" } });
  const gfs = `${gfsPath} --MASTER`;
  const call = (args: string): string => `${gfs.replace(" --MASTER", "")} ${args} --quiet --master ${cluster.address}`;
  const mbs = (seconds: number, bytes = bigBytes): number => bytes / 1e6 / seconds;
  for (let run = 0; run < runs; run++) {
    note("one file", await writeAndSync(directory, 1, bigBytes));
    note("put 1", mbs(await shell(call(`put ${source} /one --overwrite --replicas 1`))));
    note("three files", await writeAndSync(directory, 3, bigBytes));
    note("put 3", mbs(await shell(call(`put ${source} /three --overwrite`))));
    note("copy", await localCopy(source, directory));
    note("loopback", await loopback(4 * bigBytes));
    note("get", mbs(await shell(`${call("get /three -")} | cat > /dev/null`)));
    note("4 puts", mbs(await shell(`for i in 1 2 3 4; do ${call(`put ${source}.$i /four.$i --overwrite`)} & pids="$pids $!"; done; for p in $pids; do wait $p || exit 1; done`), 4 * parts));
    note("4 gets", mbs(await shell(`for i in 1 2 3 4; do ${call("get /four.$i -")} > /dev/null & pids="$pids $!"; done; for p in $pids; do wait $p || exit 1; done`), 4 * parts));
  }
  const of = (name: string): number => median(rates[name] ?? []);
  const share = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(0)} %`;
  const limit = (name: string): Row => ({ work: `limit: ${name}`, value: of(name), unit: "MB/s", reach: "", ok: true });
  return [
    limit("one file"),
    limit("three files"),
    limit("copy"),
    limit("loopback"),
    { work: "put 1 GiB, 1 replica", value: of("put 1"), unit: "MB/s", ratio: `${share(of("put 1"), of("one file"))} of one file`, reach: ">= 60 %", ok: of("put 1") >= 0.6 * of("one file") },
    { work: "put 1 GiB, 3 replicas", value: of("put 3"), unit: "MB/s", ratio: `${share(of("put 3"), of("three files"))} of three files`, reach: ">= 70 %", ok: of("put 3") >= 0.7 * of("three files") },
    { work: "get 1 GiB, 3 replicas, to a pipe", value: of("get"), unit: "MB/s", ratio: `${share(of("get"), of("loopback"))} of loopback`, reach: ">= 800", ok: of("get") >= 800 },
    { work: "4 puts of 256 MiB at once", value: of("4 puts"), unit: "MB/s", ratio: `${share(of("4 puts"), of("put 3"))} of one`, reach: ">= 80 %", ok: of("4 puts") >= 0.8 * of("put 3") },
    { work: "4 gets of 256 MiB at once", value: of("4 gets"), unit: "MB/s", ratio: `${share(of("4 gets"), of("get"))} of one`, reach: ">= 80 %", ok: of("4 gets") >= 0.8 * of("get") },
  ];
}

async function smallRows(directory: string): Promise<Row[]> {
  const rates: Record<string, number[]> = {};
  const note = (name: string, value: number): void => void (rates[name] ??= []).push(value);
  await using cluster = await TestCluster.start();
  for (let run = 0; run < runs; run++) {
    note("rounds", await syncRounds(directory, 1_000));
    note("create", await drive(cluster, "put", `/c${run}`, 20_000, 16, 0));
    note("stat", await drive(cluster, "stat", `/c${run}`, 20_000, 16, 0));
    note("put 1", await drive(cluster, "put", `/p${run}`, 1_000, 1, 4_096));
    note("put 16", await drive(cluster, "put", `/q${run}`, 4_000, 16, 4_096));
    note("read 16", await drive(cluster, "read", `/q${run}`, 4_000, 16, 4_096));
  }
  const row = (work: string, name: string, reach: number): Row => {
    const value = median(rates[name] ?? []);
    return { work, value, unit: "/s", reach: reach === 0 ? "" : `>= ${reach}`, ok: value >= reach };
  };
  return [
    row("limit: rounds of three syncs", "rounds", 0),
    row("create an empty file, 16 at once", "create", 10_000),
    row("stat, 16 at once", "stat", 20_000),
    row("put 4 KiB, 3 replicas, 1 at once", "put 1", 500),
    row("put 4 KiB, 3 replicas, 16 at once", "put 16", 3_000),
    row("get 4 KiB, 16 at once", "read 16", 0),
  ];
}

async function appendRows(directory: string): Promise<Row[]> {
  const rounds: number[] = [];
  const one: number[] = [];
  const piped: number[] = [];
  const eight: number[] = [];
  await using cluster = await TestCluster.start();
  for (let run = 0; run < runs; run++) {
    rounds.push(await syncRounds(directory, 1_000));
    one.push(await drive(cluster, "append-serial", `/one${run}`, 2_000, 1, 1_024));
    piped.push(await drive(cluster, "append", `/piped${run}`, 20_000, 1, 1_024));
    const startedMs = performance.now();
    await Promise.all(Array.from({ length: 8 }, () => drive(cluster, "append", `/eight${run}`, 5_000, 1, 1_024)));
    eight.push(40_000 / ((performance.now() - startedMs) / 1_000));
  }
  const share = median(one) / median(rounds);
  return [
    { work: "limit: rounds of three syncs", value: median(rounds), unit: "/s", reach: "", ok: true },
    { work: "append 1 KiB, 1 client, one at a time", value: median(one), unit: "/s", ratio: `${(100 * share).toFixed(0)} % of rounds`, reach: ">= 50 %", ok: share >= 0.5 },
    { work: "append 1 KiB, 1 client, pipelined", value: median(piped), unit: "/s", reach: "", ok: true },
    { work: "append 1 KiB, 8 clients", value: median(eight), unit: "/s", reach: ">= 5000", ok: median(eight) >= 5_000 },
  ];
}

const sections: Readonly<Record<string, (directory: string) => Promise<Row[]>>> = {
  large: largeRows,
  small: smallRows,
  append: appendRows,
  memory: memoryRows,
  start: startRows,
  faults: faultRows,
};

const wanted = process.argv.slice(2).length > 0 ? process.argv.slice(2) : Object.keys(sections);
const directory = mkdtempSync(join(tmpdir(), "gfs-bench-"));
try {
  const build = Bun.spawn([process.execPath, "build", "--compile", "--minify", "--bytecode", resolve(import.meta.dirname, "bench-client.ts"), "--outfile", benchPath], { stdout: "ignore", stderr: "inherit" });
  if ((await build.exited) !== 0) throw new Error("the load generator does not build");
  for (const name of wanted) {
    const section = sections[name];
    if (section === undefined) throw new Error(`unknown section ${name}; known: ${Object.keys(sections).join(" ")}`);
    process.stdout.write(`\n## ${name} (medians of ${runs})\n`);
    for (const row of await section(directory)) {
      const value = row.value >= 100 ? row.value.toFixed(0) : row.value.toFixed(2);
      process.stdout.write(`${row.reach === "" ? "  " : row.ok ? "✓ " : "✗ "}${row.work.padEnd(44)} ${value.padStart(9)} ${row.unit.padEnd(6)} ${(row.ratio ?? "").padEnd(24)} ${row.reach}\n`);
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
