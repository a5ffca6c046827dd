/** Real processes of the compiled executable, for the end-to-end tests, the demo and the benchmark. Every one is ended by its id. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const gfsPath = resolve(import.meta.dirname, "../../dist/gfs");

/** The environment of every process here: nothing of the user's own settings of gfs leaks in. */
export function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const own = Object.entries(process.env).filter(([name, value]) => value !== undefined && !name.startsWith("GFS_"));
  return { ...Object.fromEntries(own.map(([name, value]) => [name, value ?? ""])), ...extra };
}

export interface RunResult {
  readonly code: number;
  readonly stdout: Uint8Array;
  readonly text: string;
  readonly stderr: string;
  readonly ms: number;
}

export interface RunOptions {
  readonly stdin?: Uint8Array | "inherit" | ReadableStream<Uint8Array>;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Ends it with SIGKILL after this long; the code is then 137. */
  readonly timeoutMs?: number;
  readonly onSpawn?: (child: Bun.Subprocess) => void;
}

/** Runs `gfs …` to its end. */
export async function gfs(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  if (!existsSync(gfsPath)) throw new Error(`${gfsPath} is missing: run the build first`);
  const startedMs = performance.now();
  const child = Bun.spawn([gfsPath, ...args], {
    stdin: options.stdin === undefined ? "ignore" : options.stdin,
    stdout: "pipe",
    stderr: "pipe",
    env: cleanEnvironment(options.env),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  options.onSpawn?.(child);
  const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? 60_000);
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).bytes(), new Response(child.stderr).text()]);
  const code = await child.exited;
  clearTimeout(timer);
  return { code, stdout, text: new TextDecoder().decode(stdout), stderr, ms: performance.now() - startedMs };
}

/** A server process that has said that it is ready. */
export class ServerProcess {
  readonly args: readonly string[];
  readonly ready: Readonly<Record<string, string>>;
  readonly #child: Bun.Subprocess;
  readonly #stderr: () => string;

  private constructor(
    args: readonly string[],
    child: Bun.Subprocess,
    ready: Readonly<Record<string, string>>,
    stderr: () => string,
  ) {
    this.args = args;
    this.#child = child;
    this.ready = ready;
    this.#stderr = stderr;
  }

  /** @throws Error with what it wrote, where it ends or is silent for `timeoutMs`. */
  static async start(
    args: readonly string[],
    options: { readonly timeoutMs?: number; readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<ServerProcess> {
    if (!existsSync(gfsPath)) throw new Error(`${gfsPath} is missing: run the build first`);
    const child = Bun.spawn([gfsPath, ...args, "--json"], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: cleanEnvironment(options.env),
    });
    running.add(child);
    child.exited.finally(() => running.delete(child)).catch(() => {});
    let stderr = "";
    const collect = async (): Promise<void> => {
      const decoder = new TextDecoder();
      for await (const piece of child.stderr)
        stderr = (stderr + decoder.decode(piece, { stream: true })).slice(-200_000);
    };
    collect().catch(() => {});
    const line = await firstLine(child, options.timeoutMs ?? 20_000);
    if (line === undefined) {
      child.kill("SIGKILL");
      await child.exited;
      throw new Error(`gfs ${args.join(" ")} did not get ready: ${stderr}`);
    }
    const ready: unknown = JSON.parse(line);
    if (typeof ready !== "object" || ready === null || !("ready" in ready))
      throw new Error(`gfs ${args.join(" ")} said ${line}`);
    const addresses = Object.fromEntries(Object.entries(ready).map(([name, value]) => [name, String(value)]));
    return new ServerProcess(args, child, addresses, () => stderr);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get stderr(): string {
    return this.#stderr();
  }

  get exited(): Promise<number> {
    return this.#child.exited;
  }

  /** Kills it the hard way and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  signal(name: "SIGSTOP" | "SIGCONT" | "SIGTERM" | "SIGINT"): void {
    this.#child.kill(name);
  }

  /** The exit code after SIGTERM; SIGKILL where it takes more than `timeoutMs`. */
  async stop(timeoutMs = 10_000): Promise<number> {
    this.#child.kill("SIGCONT");
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), timeoutMs);
    const code = await this.#child.exited;
    clearTimeout(timer);
    return code;
  }
}

const running = new Set<Bun.Subprocess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

async function firstLine(
  child: Bun.Subprocess<"ignore", "pipe", "pipe">,
  timeoutMs: number,
): Promise<string | undefined> {
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      text += decoder.decode(value, { stream: true });
      const end = text.indexOf("\n");
      if (end >= 0) return text.slice(0, end);
    }
  } finally {
    clearTimeout(timer);
    reader.releaseLock();
  }
}

export interface ClusterOptions {
  readonly chunkservers?: number;
  readonly masterArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Of chunkserver i, from 1. */
  readonly chunkArgs?: (i: number) => readonly string[];
  readonly directory?: string;
}

/** A master and chunkservers at different places, each a process, in a temporary folder. */
export class TestCluster implements AsyncDisposable {
  readonly directory: string;
  readonly #options: ClusterOptions;
  readonly #ownsDirectory: boolean;
  master: ServerProcess;
  readonly chunkservers: ServerProcess[] = [];

  private constructor(directory: string, options: ClusterOptions, master: ServerProcess) {
    this.directory = directory;
    this.#options = options;
    this.#ownsDirectory = options.directory === undefined;
    this.master = master;
  }

  static async start(options: ClusterOptions = {}): Promise<TestCluster> {
    const directory = options.directory ?? mkdtempSync(join(tmpdir(), "gfs-e2e-"));
    const master = await startMaster(directory, options, "127.0.0.1:0");
    const cluster = new TestCluster(directory, options, master);
    try {
      const count = options.chunkservers ?? 3;
      cluster.chunkservers.push(
        ...(await Promise.all(Array.from({ length: count }, (_, i) => cluster.#startChunkserver(i + 1)))),
      );
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  get address(): string {
    return this.master.ready["control"] ?? "";
  }

  /** Starts the master again on its directory and its old port. */
  async restartMaster(): Promise<void> {
    this.master = await startMaster(this.directory, this.#options, this.address);
  }

  /** Starts chunkserver i (from 1) again, at any port. */
  async restartChunkserver(i: number): Promise<void> {
    this.chunkservers[i - 1] = await this.#startChunkserver(i);
  }

  chunkDirectory(i: number): string {
    return join(this.directory, `chunk-${i}`);
  }

  /** `gfs VERB … --master …` */
  run(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return gfs([...args, "--master", this.address], { env: this.#options.env ?? {}, ...options });
  }

  /** The JSON value that a verb printed. @throws Error where it failed. */
  async json(args: readonly string[], options: RunOptions = {}): Promise<unknown> {
    const result = await this.run([...args, "--json"], options);
    if (result.code !== 0) throw new Error(`gfs ${args.join(" ")} ended with ${result.code}: ${result.stderr}`);
    return JSON.parse(result.text);
  }

  #startChunkserver(i: number): Promise<ServerProcess> {
    const place = ["--location", `${10 * (i - 1)},0`, "--id", `chunk-${i}`];
    // The usual ones may be those of other clusters, here or of other tests.
    const anyPorts = ["--listen", "127.0.0.1:0"];
    const own = this.#options.chunkArgs?.(i) ?? [];
    const args = [
      "chunk",
      "--master",
      this.address,
      "--data-dir",
      this.chunkDirectory(i),
      ...anyPorts,
      ...place,
      ...own,
    ];
    return ServerProcess.start(args, { env: this.#options.env ?? {} });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.chunkservers, this.master].map((server) => server.kill()));
    if (this.#ownsDirectory) rmSync(this.directory, { recursive: true, force: true });
  }
}

function startMaster(directory: string, options: ClusterOptions, listen: string): Promise<ServerProcess> {
  const args = ["master", "--data-dir", join(directory, "master"), "--listen", listen, ...(options.masterArgs ?? [])];
  return ServerProcess.start(args, { env: options.env ?? {} });
}

/** The fields of a JSON object that gfs printed; none of another value. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

/** The elements of a JSON list that gfs printed. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** How many drafts the master has. */
export async function draftCount(cluster: TestCluster): Promise<unknown> {
  return fieldsOf(await cluster.json(["status"]))["drafts"];
}
