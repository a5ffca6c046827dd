/** One role that is started again and again: its process, its log, what it needs of memory, and how it ended. */
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { cleanEnvironment } from "../tools/processes.ts";

export interface RoleOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logPath: string;
  /** Called when it ends and nobody had asked for that. */
  readonly onEnd: (code: number, log: string) => void;
}

/** Where it is killed together with its parent, however that dies. */
export const withParent: readonly string[] =
  Bun.which("setpriv") === null ? [] : ["setpriv", "--pdeathsig", "KILL", "--"];

export class RoleProcess {
  readonly name: string;
  readonly #options: RoleOptions;
  #child: Bun.Subprocess | undefined;
  #wanted = false;
  #paused = false;
  #logFrom = 0;
  /** How often it was started. */
  starts = 0;
  ready = false;
  /** Largest resident memory seen, in bytes. */
  memoryBytes = 0;

  constructor(options: RoleOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.alive ? this.#child?.pid : undefined;
  }

  get alive(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** What it logged since it was last started. */
  get log(): string {
    if (!existsSync(this.#options.logPath)) return "";
    return readFileSync(this.#options.logPath).subarray(this.#logFrom).toString();
  }

  /** Of the last process that ended. */
  exitCode: number | undefined;

  /** `may refuse`: that it ends by itself is nobody's fault, until it is started again. With another command: this once. */
  start(trust: "must serve" | "may refuse" = "must serve", command = this.#options.command): void {
    if (this.alive) return;
    const { env, logPath, onEnd } = this.#options;
    this.#logFrom = existsSync(logPath) ? statSync(logPath).size : 0;
    const log = openSync(logPath, "a");
    const child = Bun.spawn([...withParent, ...command], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: log,
      env: cleanEnvironment(env),
    });
    closeSync(log);
    this.#child = child;
    this.#wanted = trust === "must serve";
    this.#paused = false;
    this.ready = false;
    this.starts++;
    const listen = async (): Promise<void> => {
      for await (const piece of child.stdout) {
        if (this.#child === child && new TextDecoder().decode(piece).includes('"ready"')) this.ready = true;
      }
    };
    listen().catch(() => {});
    const end = async (): Promise<void> => {
      const code = await child.exited;
      if (this.#child !== child) return;
      this.exitCode = code;
      if (this.#wanted) onEnd(code, this.log);
    };
    end().catch(() => {});
  }

  /** At once, however it is. */
  async kill(): Promise<void> {
    this.#wanted = false;
    this.#paused = false;
    this.#child?.kill("SIGKILL");
    await this.#child?.exited;
  }

  /** The way an operator stops it; the exit code, 137 where it had to be killed. */
  async terminate(limitMs: number): Promise<number> {
    this.#wanted = false;
    this.resume();
    this.#child?.kill("SIGTERM");
    const timer = setTimeout(() => this.#child?.kill("SIGKILL"), limitMs);
    const code = (await this.#child?.exited) ?? 0;
    clearTimeout(timer);
    return code;
  }

  pause(): void {
    if (!this.alive) return;
    this.#paused = true;
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    if (this.#paused) this.#child?.kill("SIGCONT");
    this.#paused = false;
  }

  /** Notes how much memory it holds now. */
  measure(): void {
    const bytes = residentBytes(this.pid);
    if (bytes > this.memoryBytes) this.memoryBytes = bytes;
  }
}

/** 0 where it is not known. */
export function residentBytes(pid: number | undefined): number {
  if (pid === undefined) return 0;
  try {
    const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return Number(kib ?? 0) * 1024;
  } catch {
    return 0;
  }
}
