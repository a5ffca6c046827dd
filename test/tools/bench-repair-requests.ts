/**
 * What requests wait while a master with a million chunks finds that a server which holds a fifth of them is dead, and repairs: the master is a process, the chunkservers are played
 * here (a clone is answered after a few milliseconds, nothing is copied), and bench-asker.ts asks. Chunks are small, so no limit of bytes slows repair: this is the most that it ever
 * asks of the master. Linux only.
 */
import { join, resolve } from "node:path";
import { makeHostWorld } from "../../src/host/world.ts";
import { ControlClient } from "../../src/net/control-client.ts";
import { route, type Route, serveControl } from "../../src/net/control-server.ts";
import { clone, deleteReplicas, steerClones, verify } from "../../src/wire/control/commands.ts";
import { type Waits, WaitsByPhase } from "./bench-asker.ts";
import { peakMib } from "./bench-load.ts";
import { atMost, type Row, told } from "./bench-rows.ts";
import { makeDataDirectory } from "./bench-start.ts";
import { Teller } from "./bench-teller.ts";
import { volumeOf } from "./million-files.ts";
import { cleanEnvironment, fieldsOf, TestCluster } from "./processes.ts";

const chunks = Number(process.env["CHUNKS"] ?? 1_000_000);
/** Three replicas of each chunk on fifteen servers: a fifth of the chunks is on each. */
const servers = 15;
const racks = 5;
const dying = 3;
const quietMs = 30_000;
const repairMs = 30_000;
/** Of one clone: about what three syncs take. */
const cloneMs = 5;

/** In three racks: server n is in rack n modulo `racks`. */
function membersOf(i: number): readonly number[] {
  const turn = Math.floor(i / servers);
  const second = i + 1 + racks * (turn % 3);
  const third = i + 2 + racks * (Math.floor(turn / 3) % 3);
  return [i % servers, second % servers, third % servers];
}

/** Files by server. */
function heldBy(): readonly (readonly number[])[] {
  const held = Array.from({ length: servers }, (): number[] => []);
  for (let i = 0; i < chunks; i++) for (const server of membersOf(i)) held[server]?.push(i);
  return held;
}

/** What the played chunkservers are told. */
class Told {
  clones = 0;
  lastCloneMs = 0;
  readonly #first = Promise.withResolvers<number>();
  /** When it came. */
  readonly firstClone = this.#first.promise;

  routes(): Route[] {
    return [
      route(clone, async () => {
        this.#first.resolve(performance.now());
        await Bun.sleep(cloneMs);
        this.clones++;
        this.lastCloneMs = performance.now();
        return {};
      }),
      route(steerClones, () => Promise.resolve({ running: [] })),
      route(verify, () => Promise.resolve({ result: "healthy" as const })),
      route(deleteReplicas, ({ items }) => Promise.resolve({ results: items.map(() => ({ kind: "ok" as const })) })),
    ];
  }
}

/** bench-asker.ts as a process. */
class Asker implements Disposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;

  constructor(cluster: TestCluster) {
    const script = resolve(import.meta.dirname, "bench-asker.ts");
    const args = [script, cluster.address, String(cluster.master.pid), String(chunks)];
    const io = { stdin: "pipe", stdout: "pipe", stderr: "inherit" } as const;
    this.#child = Bun.spawn([process.execPath, ...args], { ...io, env: cleanEnvironment() });
  }

  async begin(phase: string): Promise<void> {
    await this.#child.stdin.write(`${phase}\n`);
    await this.#child.stdin.flush();
  }

  async end(): Promise<Readonly<Record<string, Waits>>> {
    await this.#child.stdin.end();
    const text = await new Response(this.#child.stdout).text();
    if ((await this.#child.exited) !== 0) throw new Error("bench-asker.ts failed");
    return WaitsByPhase.parse(JSON.parse(text));
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

async function chunkCount(cluster: TestCluster, name: string): Promise<number> {
  return Number(fieldsOf(fieldsOf(await cluster.json(["status"]))["chunks"])[name]);
}

/** quiet: nothing is dead. death: a server is silent, then dead, until the first clone begins. repair: from then on. */
const phases = ["quiet", "death", "repair"] as const;

export async function repairRequestRows(directory: string): Promise<Row[]> {
  await makeDataDirectory(join(directory, "master"), { files: chunks, filesInLog: 0, volumes: servers, membersOf });
  // Nobody is there to keep copies of the metadata.
  const env = { GFS_MASTER_METADATA_COPIES: "0" };
  await using cluster = await TestCluster.start({ directory, chunkservers: 0, env });
  const world = makeHostWorld({ logLevel: "error", logFormat: "text" });
  const hears = new Told();
  await using listener = await serveControl(world, {
    address: "127.0.0.1:0",
    role: "chunkserver",
    identity: () => ({}),
    routes: hears.routes(),
    healthz: () => ({ ok: true }),
  });
  const control = new ControlClient(world, { role: "chunkserver", clusterId: () => undefined });
  const held = heldBy();
  const tellers = held.map((files, n) => {
    const at = (nth: number) => ({ handle: (files[nth] ?? 0) + 1, file: files[nth] ?? 0 });
    const where = { master: cluster.address, control: listener.address, rack: `rack-${n % racks}` };
    return new Teller(control, { ...where, volume: volumeOf(n), held: { count: files.length, at } });
  });
  try {
    for (const each of tellers) await each.begin();
    for (const each of tellers) await each.tell();
    while ((await chunkCount(cluster, "healthy")) < chunks) await Bun.sleep(500);
    using asker = new Asker(cluster);
    await asker.begin("warming up");
    await Bun.sleep(5_000);
    await asker.begin("quiet");
    await Bun.sleep(quietMs);
    await asker.begin("death");
    tellers[dying]?.end();
    const repairedFromMs = await hears.firstClone;
    await asker.begin("repair");
    await Bun.sleep(repairMs);
    const { clones, lastCloneMs } = hears;
    const waits = await asker.end();
    return [
      told("chunks that the dead server leaves short", held[dying]?.length ?? 0, ""),
      told("of them cloned in this time", clones, ""),
      told("clones a second", (1_000 * clones) / (lastCloneMs - repairedFromMs), "/s"),
      ...phases.flatMap((phase) => rowsOf(phase, waits)),
      told("most memory of the master", peakMib(cluster.master.pid) ?? Number.NaN, "MiB"),
      told("most memory of the played chunkservers", peakMib("self") ?? Number.NaN, "MiB"),
    ];
  } finally {
    for (const each of tellers) each.end();
    control.close();
  }
}

function rowsOf(phase: string, waits: Readonly<Record<string, Waits>>): Row[] {
  const { [phase]: here, quiet } = waits;
  if (here === undefined || quiet === undefined) throw new Error(`nobody asked in phase ${phase}`);
  const clock = (name: string, key: keyof Waits["clock"]): Row => {
    const share = here === quiet ? "" : `${(here.clock[key] / quiet.clock[key]).toFixed(1)} x quiet, `;
    const ratio = `${share}a timer ${here.tick[key].toFixed(1)}`;
    return { ...told(`${phase}: a request waits, ${name}`, here.clock[key], "ms"), ratio };
  };
  return [
    told(`${phase}: requests`, here.requests, ""),
    clock("p50", "p50"),
    clock("p99", "p99"),
    clock("p99.9", "p999"),
    clock("longest", "longest"),
    told(`${phase}: of the longest the master worked`, here.longest.onMs, "ms"),
    told(`${phase}: of the longest the master had no processor`, here.longest.waitedMs, "ms"),
    atMost(`${phase}: a request waits for the master, longest`, here.master.longest, "ms", 50),
  ];
}
