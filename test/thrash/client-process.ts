/** A client program as the run sees it: commands go in, answers come out, until it is killed. */
import type { Subprocess } from "bun";
import { cleanEnvironment } from "../tools/processes.ts";
import { Answer, type Command } from "./client-commands.ts";
import { residentBytes, withParent } from "./role-process.ts";

/** The program died before it answered: nobody knows what became of the command. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";
}

interface Pending {
  readonly more: (answer: Answer) => void;
  readonly done: (answer: Answer) => void;
  readonly gone: (error: ClientGone) => void;
}

export interface ClientOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly log: number;
  readonly onEnd: (code: number) => void;
}

export class ClientProcess {
  readonly name: string;
  readonly #options: ClientOptions;
  readonly #pending = new Map<number, Pending>();
  #child: Subprocess<"pipe", "pipe", number> | undefined;
  #requests = 0;
  #wanted = false;
  #pausedAtMs: number | undefined;
  #pausedMs = 0;
  /** How often it was started. */
  starts = 0;
  memoryBytes = 0;

  constructor(options: ClientOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get alive(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get paused(): boolean {
    return this.#pausedAtMs !== undefined;
  }

  /** How long it has stood still since it was made, all in all. */
  get pausedMs(): number {
    return this.#pausedMs + (this.#pausedAtMs === undefined ? 0 : performance.now() - this.#pausedAtMs);
  }

  start(): void {
    if (this.alive) return;
    this.starts++;
    this.#wanted = true;
    const child = Bun.spawn([...withParent, ...this.#options.command], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: this.#options.log,
      env: cleanEnvironment(),
    });
    this.#child = child;
    this.#listen(child.stdout).catch(() => {});
    const end = async (): Promise<void> => {
      const code = await child.exited;
      this.#forsake();
      if (this.#child === child && this.#wanted) this.#options.onEnd(code);
    };
    end().catch(() => {});
  }

  /**
   * The last answer to a command; earlier ones of a run go to `more`.
   *
   * @throws ClientGone
   */
  ask(command: Command, more: (answer: Answer) => void = () => {}): Promise<Answer> {
    const child = this.#child;
    if (child === undefined || !this.alive) return Promise.reject(new ClientGone(`${this.name} is down`));
    const request = ++this.#requests;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#pending.set(request, { more, done: resolve, gone: reject });
    const send = async (): Promise<void> => {
      await child.stdin.write(`${JSON.stringify({ request, command })}\n`);
      await child.stdin.flush();
    };
    send().catch(() => {}); // it is dying: its end is told to all who wait
    return promise;
  }

  async kill(): Promise<void> {
    this.#wanted = false;
    this.#notePause();
    this.#child?.kill("SIGKILL");
    await this.#child?.exited;
    this.#forsake();
  }

  pause(): void {
    if (!this.alive || this.paused) return;
    this.#pausedAtMs = performance.now();
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    if (!this.paused) return;
    this.#notePause();
    this.#child?.kill("SIGCONT");
  }

  measure(): void {
    const bytes = residentBytes(this.alive ? this.#child?.pid : undefined);
    if (bytes > this.memoryBytes) this.memoryBytes = bytes;
  }

  #notePause(): void {
    this.#pausedMs = this.pausedMs;
    this.#pausedAtMs = undefined;
  }

  #forsake(): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { gone } of pending) gone(new ClientGone(`${this.name} died`));
  }

  async #listen(stdout: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const piece of stdout) {
      rest += decoder.decode(piece, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(Answer.parse(JSON.parse(line)));
    }
  }

  #take(answer: Answer): void {
    const pending = this.#pending.get(answer.request);
    if (answer.more === true) return pending?.more(answer);
    this.#pending.delete(answer.request);
    pending?.done(answer);
  }
}
