/** The processes of a run: a master, five chunkservers and the client programs, each on a host of its own. */
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { GfsClient } from "../../src/gfs.ts";
import { defaultLimits } from "../../src/limits.ts";
import { parseSecret } from "../../src/net/secret.ts";
import type { Prng } from "../sim/world/prng.ts";
import { gfsPath } from "../tools/processes.ts";
import { runGfs } from "./command-line.ts";
import { ClientProcess } from "./client-process.ts";
import { controlPort, dataPort, makeNetwork, masterPort, type Network } from "./network.ts";
import { RoleProcess } from "./role-process.ts";
import { must, type Surroundings } from "./surroundings.ts";

const serverCount = 5;
const clientCount = 3;
/** Of the volumes that lie on a tmpfs where there may be one: those disks can be filled. */
const tmpfsServers = 2;
const tmpfsSize = "500m";
export const clientTimeoutMs = 20_000;

export interface ThrashSettings {
  readonly chunkBytes: number;
  readonly heartbeatSeconds: number;
  readonly leaseSeconds: number;
  /** Data directories of the master, mirrors of each other. */
  readonly masterDirectories: number;
}

/** A plain object, printed with the report. */
export function drawThrashSettings(prng: Prng): ThrashSettings {
  return {
    chunkBytes: [262_144, 1_048_576, 4_194_304][prng.integer(0, 2)]!,
    heartbeatSeconds: [0.3, 0.5, 1][prng.integer(0, 2)]!,
    leaseSeconds: prng.integer(3, 10),
    masterDirectories: prng.integer(1, 2),
  };
}

export interface ClusterSituation {
  readonly folder: string;
  readonly surroundings: Surroundings;
  readonly settings: ThrashSettings;
  /** A role ended, and nobody had asked for that. */
  readonly onEnd: (name: string, code: number, log: string) => void;
}

export class ThrashCluster implements AsyncDisposable {
  readonly folder: string;
  readonly network: Network;
  readonly master: RoleProcess;
  readonly servers: readonly RoleProcess[];
  readonly clients: readonly ClientProcess[];
  readonly masterDirectories: readonly string[];
  readonly #masterCommand: (...args: readonly string[]) => readonly string[];
  readonly #secretPath: string;
  readonly #secret: Uint8Array;
  readonly #faketime: string | undefined;
  readonly #tmpfs: boolean;
  readonly #clientLog: number;

  private constructor(situation: ClusterSituation, network: Network, secret: string) {
    const { folder, surroundings, settings, onEnd } = situation;
    this.folder = folder;
    this.network = network;
    this.#faketime = surroundings.faketime;
    this.#tmpfs = surroundings.tmpfs;
    this.#secretPath = join(folder, "secret");
    this.#secret = parseSecret(secret, this.#secretPath);
    this.#clientLog = openSync(join(folder, "logs", "clients.log"), "a");
    const commandOf = (name: string, args: readonly string[]): readonly string[] => [
      ...network.on(name),
      gfsPath,
      ...args,
      "--json",
      "--secret-file",
      this.#secretPath,
    ];
    const role = (name: string, command: readonly string[]): RoleProcess => {
      const logPath = join(folder, "logs", `${name}.log`);
      const onEndOf = (code: number, log: string): void => onEnd(name, code, log);
      return new RoleProcess({ name, command, env: this.#environment(name, settings), logPath, onEnd: onEndOf });
    };
    const listen = `${network.bound("master")}:${masterPort}`;
    const mirrors = Array.from({ length: settings.masterDirectories }, (_, i) => join(folder, `master${i + 1}`));
    this.masterDirectories = mirrors;
    this.#masterCommand = (...args) => commandOf("master", ["master", "--listen", listen, ...args]);
    this.master = role("master", this.#masterCommand("--data-dir", mirrors.join(",")));
    this.servers = serverNames.map((name, i) => {
      const bound = network.bound(name);
      const addresses = ["--listen", `${bound}:${controlPort}`, "--data-listen", `${bound}:${dataPort}`];
      const place = ["--location", `${i},0`, "--rack", `rack${i % 3}`, "--id", name];
      const dialled = ["--advertise", network.dialled(name), "--master", this.masterAddress];
      const command = ["chunk", "--data-dir", this.volumeOf(name), ...addresses, ...dialled, ...place];
      return role(name, commandOf(name, command));
    });
    const program = resolve(import.meta.dirname, "client-child.ts");
    this.clients = clientNames.map((name) => {
      const seconds = String(clientTimeoutMs / 1_000);
      const args = [this.masterAddress, name, this.#secretPath, seconds, join(folder, "scratch")];
      const command = [...network.on(name), process.execPath, program, ...args];
      return new ClientProcess({ name, command, log: this.#clientLog, onEnd: (code) => onEnd(name, code, "") });
    });
  }

  static async make(situation: ClusterSituation): Promise<ThrashCluster> {
    const { folder, surroundings } = situation;
    for (const name of ["logs", "scratch", "clocks", "volumes"]) mkdirSync(join(folder, name), { recursive: true });
    const secret = crypto.getRandomValues(new Uint8Array(32)).toHex();
    writeFileSync(join(folder, "secret"), `${secret}\n`, { mode: 0o600 });
    const kind = surroundings.namespaces ? "namespaces" : "loopback";
    const network = await makeNetwork(kind, ["master", ...serverNames], clientNames);
    const cluster = new ThrashCluster(situation, network, secret);
    if (surroundings.tmpfs) for (const name of cluster.fillable) cluster.#mount(name);
    for (const role of cluster.roles) cluster.shiftClock(role.name, 0);
    return cluster;
  }

  get masterAddress(): string {
    return `${this.network.dialled("master")}:${masterPort}`;
  }

  /** The master first. */
  get roles(): readonly RoleProcess[] {
    return [this.master, ...this.servers];
  }

  /** Servers whose disk can be filled without harm to this machine. */
  get fillable(): readonly string[] {
    return this.#tmpfs ? serverNames.slice(-tmpfsServers) : [];
  }

  get hosts(): readonly string[] {
    return ["master", ...serverNames, ...clientNames];
  }

  get clocksMove(): boolean {
    return this.#faketime !== undefined;
  }

  /** Its own folder within the disk, which may be a mount. */
  volumeOf(server: string): string {
    return join(this.folder, "volumes", server, "volume");
  }

  diskOf(server: string): string {
    return join(this.folder, "volumes", server);
  }

  /** A new disk, with nothing on it; the server must be down. */
  replaceDisk(server: string): void {
    rmSync(this.volumeOf(server), { recursive: true, force: true });
  }

  /** Without a mirror that is lost for good, as an operator would; the master must be down. */
  startMasterWithout(lost: string): void {
    rmSync(lost, { recursive: true, force: true });
    const kept = this.masterDirectories.filter((directory) => directory !== lost).join(",");
    this.master.start("must serve", this.#masterCommand("--data-dir", kept, "--lost-data-dir", lost));
  }

  /** The wall clock of a role is `seconds` off from now on, within a second or so. */
  shiftClock(name: string, seconds: number): void {
    writeFileSync(this.#clockOf(name), `${seconds < 0 ? "" : "+"}${seconds}`);
  }

  /** A library client that no fault reaches by itself. */
  connect(): Promise<GfsClient> {
    return GfsClient.connect({
      master: this.masterAddress,
      label: "judge",
      secret: this.#secret,
      location: { x: 2, y: 0 },
      limits: { ...defaultLimits, clientTimeoutMs },
    });
  }

  /**
   * What an operator's command to the running cluster prints.
   *
   * @throws GfsError as it was refused
   */
  operate(args: readonly string[]): Promise<Uint8Array> {
    const seconds = String(clientTimeoutMs / 1_000);
    const common = ["--master", this.masterAddress, "--secret-file", this.#secretPath, "--timeout", seconds, "--quiet"];
    return runGfs([...args, ...common]);
  }

  get secret(): Uint8Array {
    return this.#secret;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.roles, ...this.clients].map((process) => process.kill()));
    this.network[Symbol.dispose]();
    closeSync(this.#clientLog);
  }

  #mount(server: string): void {
    mkdirSync(this.diskOf(server), { recursive: true });
    must("mount", "-t", "tmpfs", "-o", `size=${tmpfsSize}`, "tmpfs", this.diskOf(server));
  }

  #clockOf(name: string): string {
    return join(this.folder, "clocks", name);
  }

  #environment(name: string, settings: ThrashSettings): Record<string, string> {
    const clock: Record<string, string> =
      this.#faketime === undefined
        ? {}
        : {
            LD_PRELOAD: this.#faketime,
            FAKETIME_TIMESTAMP_FILE: this.#clockOf(name),
            FAKETIME_CACHE_DURATION: "1",
            FAKETIME_DONT_FAKE_MONOTONIC: "1",
            DONT_FAKE_MONOTONIC: "1",
            NO_FAKE_STAT: "1",
          };
    return {
      ...clock,
      GFS_MASTER_CHUNK_SIZE: String(settings.chunkBytes),
      GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: String(settings.heartbeatSeconds),
      GFS_MASTER_LEASE_SECONDS: String(settings.leaseSeconds),
      GFS_MASTER_LONE_SEAL_SECONDS: "10",
      GFS_MASTER_SAFE_MODE_SECONDS: "2",
      GFS_MASTER_DELETE_GRACE_SECONDS: "5",
      GFS_MASTER_TRASH_SECONDS: "30",
      GFS_MASTER_DRAFT_SECONDS: "30",
      GFS_CHUNK_SERVER_RESERVE_MB: "0",
      GFS_LOG_LEVEL: process.env["GFS_THRASH_LOG_LEVEL"] ?? "info",
    };
  }
}

const serverNames = Array.from({ length: serverCount }, (_, i) => `server${i + 1}`);
const clientNames = Array.from({ length: clientCount }, (_, i) => `client${i + 1}`);
