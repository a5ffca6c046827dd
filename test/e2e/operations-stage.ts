/**
 * docs/OPERATIONS.md as a script, and the stage on which operations-doc.test.ts plays it.
 *
 * Only places change: `10.0.0.N:PORT` is that server's port here, paths of machines lie in a temporary folder.
 */
import { expect } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { eventually } from "../tools/eventually.ts";
import { fieldsOf, gfs, listOf, type RunResult, ServerProcess } from "../tools/processes.ts";

export const root = resolve(import.meta.dirname, "../..");
export const page = readFileSync(join(root, "docs/OPERATIONS.md"), "utf8");

/** Of each section that has some: its blocks of commands, a line each. */
export const procedures: ReadonlyMap<string, readonly (readonly string[])[]> = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section): [string, string[][]] => [
      section.slice(0, section.indexOf("\n")),
      [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = ""]) =>
        block
          .split("\n")
          .map((line) => line.replace(/\s+#.*$/, "").trim())
          .filter((line) => line !== ""),
      ),
    ])
    .filter(([, blocks]) => blocks.length > 0),
);

/** Quick deaths, repairs and copies. */
const quick = {
  GFS_MASTER_CHUNK_SIZE: "1MiB",
  GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: "0.3",
  GFS_MASTER_LEASE_SECONDS: "5",
  GFS_MASTER_SAFE_MODE_SECONDS: "1",
  GFS_MASTER_DELETE_GRACE_SECONDS: "1",
  GFS_MASTER_METADATA_COPY_SECONDS: "0.2",
  // Here servers die within seconds that do so within weeks elsewhere: two of four are many, one after another is not.
  GFS_MASTER_MASS_FAILURE_SHARE: "0.45",
};

const content = new Uint8Array(2_500_000).map((_, i) => (i * 7 + (i >> 8)) & 0xff);

export const cluster = "The cluster of this page";

/** The cluster of the page, and somebody who follows the page. */
export class Stage implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  readonly env: Record<string, string> = { ...quick };
  readonly #servers = new Map<string, ServerProcess>();
  readonly #at = new Map<string, number>();

  constructor() {
    for (const folder of ["etc/gfs", "backup", "m/disk1", "m/disk2"])
      mkdirSync(join(this.directory, folder), { recursive: true });
  }

  /** Starts servers as at first: the master, or chunkservers. */
  async start(kind: "gfs master" | "gfs chunk"): Promise<void> {
    for (const line of procedures.get(cluster)?.[0] ?? []) if (line.startsWith(kind)) await this.follow(line);
  }

  /** Runs the next block of a procedure; what its commands printed. */
  next(title: string): Promise<string> {
    const at = this.#at.get(title) ?? 0;
    this.#at.set(title, at + 1);
    return this.block(title, at);
  }

  async block(title: string, at: number): Promise<string> {
    const lines = procedures.get(title)?.[at];
    if (lines === undefined) throw new Error(`the page has no block ${at} in ${title}`);
    let text = "";
    for (const line of lines) text += await this.follow(line);
    return text;
  }

  /** Commands of a procedure that were not run. */
  left(title: string): readonly (readonly string[])[] {
    return (procedures.get(title) ?? []).slice(this.#at.get(title) ?? 0);
  }

  /** One line of the page, which works; what it printed. */
  async follow(line: string): Promise<string> {
    const words = this.#here(line).split(/\s+/);
    const [program, verb = ""] = words;
    if (program === "export") {
      for (const word of words.slice(1)) {
        const [name = "", value = ""] = word.split("=");
        if (name !== "GFS_MASTER") this.env[name] = value;
      }
      return "";
    }
    if (program !== "gfs") throw new Error(`the page has a line that is no command: ${line}`);
    const id = verb === "master" ? "m" : (/--id (\S+)/.exec(line)?.[1] ?? "");
    if (verb === "chunk" || (verb === "master" && words[2]?.startsWith("--") === true)) {
      await this.#start(id, words.slice(1));
      return "";
    }
    const result = await this.run(words.slice(1));
    expect([line, result.code, result.code === 0 ? "" : result.stderr]).toEqual([line, 0, ""]);
    return result.text;
  }

  async #start(id: string, args: readonly string[]): Promise<void> {
    const server = await ServerProcess.start(args, { env: this.env });
    this.#servers.set(id, server);
    if (id === "m") this.env["GFS_MASTER"] = server.ready["control"] ?? "";
  }

  /** What a line of the page is on this machine. */
  #here(line: string): string {
    const id = /--id (\S+)/.exec(line)?.[1] ?? "m";
    return line
      .replaceAll(/\/mnt\/(s\d)\/|\/(disk\d)\//g, (_, server, disk) =>
        server === undefined ? `${this.directory}/${id}/${disk}/` : `${this.directory}/${server}/disk1/`,
      )
      .replaceAll(/\/etc\/gfs\//g, `${this.directory}/etc/gfs/`)
      .replaceAll(/\/backup\//g, `${this.directory}/backup/`)
      .replaceAll(/--listen 10\.0\.0\.(\d+):\d+/g, (_, n) =>
        n === "1" ? `--listen ${this.env["GFS_MASTER"] ?? "127.0.0.1:0"}` : "--listen 127.0.0.1:0",
      )
      .replaceAll(
        /10\.0\.0\.(\d+):\d+/g,
        (_, n) => this.#servers.get(n === "1" ? "m" : `s${n}`)?.ready["control"] ?? "",
      );
  }

  run(args: readonly string[], stdin?: Uint8Array): Promise<RunResult> {
    return gfs(args, { env: this.env, timeoutMs: 100_000, ...(stdin === undefined ? {} : { stdin }) });
  }

  async json(...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
    const result = await this.run([...args, "--json"]);
    expect([args, result.code, result.stderr]).toEqual([args, 0, ""]);
    return fieldsOf(JSON.parse(result.text));
  }

  async servers(): Promise<Readonly<Record<string, unknown>>[]> {
    return listOf((await this.json("status"))["servers"]).map(fieldsOf);
  }

  /** Waits until the first line of status begins so. */
  async until(word: string): Promise<void> {
    await eventually(`status says ${word}`, async () => (await this.run(["status"])).text.startsWith(word));
  }

  async untilLive(count: number): Promise<void> {
    await eventually(`${count} servers are live`, async () => {
      const live = (await this.servers()).filter(({ liveness }) => liveness === "live");
      return live.length === count;
    });
  }

  async untilLiveness(label: string, wanted: string): Promise<void> {
    await eventually(`${label} is ${wanted}`, async () =>
      (await this.servers()).some((server) => server["label"] === label && server["liveness"] === wanted),
    );
  }

  /** Two copies, with all that the master has logged. */
  async untilCopied(): Promise<void> {
    await eventually("the copies of the metadata are complete", async () => {
      const copies = listOf(fieldsOf((await this.json("status"))["metadataCopies"])["copies"]).map(fieldsOf);
      return copies.length === 2 && copies.every(({ behindMs }) => behindMs === 0);
    });
  }

  async put(path: string, data: Uint8Array = content): Promise<void> {
    const { code, stderr } = await this.run(["put", "-", path, "--quiet", "--overwrite"], data);
    expect([path, code, stderr]).toEqual([path, 0, ""]);
  }

  async same(path: string, data: Uint8Array = content): Promise<void> {
    const got = await this.run(["get", path, "-"]);
    expect([path, got.code, got.stderr]).toEqual([path, 0, ""]);
    expect(Buffer.compare(got.stdout, data)).toBe(0);
  }

  async stop(id: string): Promise<void> {
    expect([id, await this.#servers.get(id)?.stop()]).toEqual([id, 0]);
  }

  async kill(...ids: readonly string[]): Promise<void> {
    const servers = ids.flatMap((id) => this.#servers.get(id) ?? []);
    await Promise.all(servers.map((server) => server.kill()));
  }

  /** A new, empty disk at its place. */
  replaceDisk(id: string, disk = "disk1"): void {
    rmSync(join(this.directory, id, disk), { recursive: true });
    mkdirSync(join(this.directory, id, disk), { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill(...this.#servers.keys());
    rmSync(this.directory, { recursive: true, force: true });
  }
}
