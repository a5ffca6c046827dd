/** The load generator (bench-client.ts) as a compiled process, and other programs that the benchmark times. */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { cleanEnvironment, gfsPath, type TestCluster } from "./processes.ts";

const loadPath = resolve(gfsPath, "../gfs-bench");

export async function buildLoad(): Promise<void> {
  const source = resolve(import.meta.dirname, "bench-client.ts");
  const command = [process.execPath, "build", "--compile", "--minify", "--bytecode", source, "--outfile", loadPath];
  const build = Bun.spawn(command, { stdout: "ignore", stderr: "inherit" });
  if ((await build.exited) !== 0) throw new Error("the load generator does not build");
}

/** What the load generator measured: see bench-client.ts. */
export interface LoadResult {
  readonly rate: number;
  readonly peakMib: number;
  readonly longestMs: number;
  /** A call, of the load generator and of every server of the cluster, the master first. */
  readonly cpuMicros: readonly number[];
}

export interface Load {
  /** Resolves when it has done about a quarter of a transfer. */
  readonly going: Promise<void>;
  readonly result: Promise<LoadResult>;
}

type Argument = string | number;

/** What of a cluster a load is for: its servers are measured. */
type Loaded = Pick<TestCluster, "address" | "master" | "chunkservers">;

export function startLoad(cluster: Loaded, args: readonly Argument[]): Load {
  const child = Bun.spawn([loadPath, cluster.address, ...args.map(String)], {
    stdout: "pipe",
    stderr: "inherit",
    env: cleanEnvironment({ CPU_OF: [cluster.master, ...cluster.chunkservers].map(({ pid }) => pid).join(",") }),
  });
  const { promise: going, resolve: goes, reject } = Promise.withResolvers<void>();
  going.catch(() => {}); // the result tells too
  const failed = new Error(`gfs-bench ${args.join(" ")} failed`);
  const run = async (): Promise<LoadResult> => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const piece of child.stdout) {
      text += decoder.decode(piece, { stream: true });
      if (text.startsWith("going\n")) goes();
    }
    reject(failed);
    if ((await child.exited) !== 0) throw failed;
    return parseResult(text.replace(/^going\n/, ""));
  };
  return { going, result: run() };
}

function parseResult(text: string): LoadResult {
  const result: unknown = JSON.parse(text);
  if (typeof result !== "object" || result === null) throw new Error(`gfs-bench said ${text}`);
  const fields = new Map<string, unknown>(Object.entries(result));
  const field = (name: string): number => Number(fields.get(name) ?? Number.NaN);
  const cpu = fields.get("cpuMicros");
  return {
    rate: field("rate"),
    peakMib: field("peakMib"),
    longestMs: field("longestMs"),
    cpuMicros: Array.isArray(cpu) ? cpu.map(Number) : [],
  };
}

/** The rate that the load generator reports. */
export async function drive(cluster: TestCluster, ...args: readonly Argument[]): Promise<number> {
  return (await startLoad(cluster, args).result).rate;
}

/** Seconds that a shell command took. @throws Error where it fails */
export async function shell(command: string): Promise<number> {
  const startedMs = performance.now();
  const child = Bun.spawn(["bash", "-c", `set -o pipefail; ${command}`], {
    stdout: "ignore",
    stderr: "inherit",
    env: cleanEnvironment(),
  });
  if ((await child.exited) !== 0) throw new Error(`${command} failed`);
  return (performance.now() - startedMs) / 1_000;
}

/** A file of random bytes, on the disk. */
export async function makeFile(path: string, bytes: number): Promise<void> {
  await shell(`head -c ${bytes} /dev/urandom > ${path} && sync ${path}`);
}

/** CPU time of a process and its threads since its start, of user and system together. Linux only. */
export function cpuMicros(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000; // clock ticks of 10 ms
}

export interface ThreadTime {
  /** On a processor: what it does there has others wait, however busy the machine is. */
  readonly onMs: number;
  /** Ready to run, while others had the processors. */
  readonly waitedMs: number;
}

/** Of the main thread of a process since its start. Linux only. */
function threadTime(pid: number): ThreadTime {
  const [on, waited] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8").split(" ", 2);
  return { onMs: Number(on) / 1e6, waitedMs: Number(waited) / 1e6 };
}

interface Wait {
  /** On the clock. */
  readonly ms: number;
  /** What the server's main thread did meanwhile. */
  readonly server: ThreadTime;
  /** The most of it that may be the server's own: its time on a processor, without that in which this process could not run to take the answer. */
  readonly serversOwnMs: number;
}

/** A wait for the server with this process id begins; what is returned tells of it so far. */
export function beginWait(pid: number): () => Wait {
  const from = { ms: performance.now(), server: threadTime(pid), here: threadTime(process.pid) };
  return () => {
    const ms = performance.now() - from.ms;
    const server = since(from.server, threadTime(pid));
    const couldRunMs = ms - since(from.here, threadTime(process.pid)).waitedMs;
    return { ms, server, serversOwnMs: Math.max(0, Math.min(server.onMs, couldRunMs)) };
  };
}

function since(before: ThreadTime, now: ThreadTime): ThreadTime {
  return { onMs: now.onMs - before.onMs, waitedMs: now.waitedMs - before.waitedMs };
}

/** The most memory that a process ever had resident, since its start or `resetPeak`, in MiB. Linux only; undefined when it has ended. */
export function peakMib(pid: number | "self"): number | undefined {
  try {
    const kib = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kib === undefined ? undefined : Number(kib) / 1_024;
  } catch {
    return undefined;
  }
}

export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}
