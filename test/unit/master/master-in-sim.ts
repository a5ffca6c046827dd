/** A master on a simulated machine, with chunkservers that only answer, for the tests of src/master. */
import type { z } from "zod";
import type { GfsError } from "../../../src/base/errors.ts";
import type { Limits } from "../../../src/limits.ts";
import { runCheckpoint } from "../../../src/master/checkpoint.ts";
import type { ReplyOf, RequestOf } from "../../../src/master/core/decision.ts";
import { type Master, startMaster } from "../../../src/master/master.ts";
import { ControlClient } from "../../../src/net/control-client.ts";
import { type Route, route, serveControl } from "../../../src/net/control-server.ts";
import { sleep } from "../../../src/net/deadline.ts";
import * as commands from "../../../src/wire/control/commands.ts";
import {
  heartbeat,
  type OpenReplica,
  register,
  type ReplicaReport,
  report,
} from "../../../src/wire/control/chunkservers.ts";
import { metadataDrop, metadataFinish, metadataHeld, metadataWrite } from "../../../src/wire/control/metadata.ts";
import type { MessageType } from "../../../src/wire/control/common.ts";
import { sessionOpen } from "../../../src/wire/control/files.ts";
import {
  type ChunkHandle,
  chunkVersion,
  type Epoch,
  type SessionId,
  sequence,
  type VolumeId,
  volumeId,
} from "../../../src/wire/ids.ts";
import { packReport } from "../../../src/wire/report.ts";
import { simLimits } from "../../sim/sim-limits.ts";
import { noFaults } from "../../sim/world/fault-settings.ts";
import type { Machine } from "../../sim/world/machine.ts";
import { Simulation } from "../../sim/world/simulation.ts";
import type { Task } from "../../sim/world/task.ts";
import type { World } from "../../../src/io.ts";

const masterPort = 4_370;
const serverPort = 4_371;

/** What a fake chunkserver was told, in order: "fence 7" … */
export interface FakeServer {
  readonly machine: Machine;
  readonly volume: VolumeId;
  readonly told: string[];
  /** Answers `open` with a refusal. */
  refusesOpen: boolean;
  /** Durable prepared bytes that it answers a fence with. */
  readonly prepared: Map<ChunkHandle, number>;
  readonly open: OpenReplica[];
  /** Told with the next heartbeat, once. */
  bad: RequestOf<typeof heartbeat>["bad"];
  /** What it answers a verification with. */
  verdict: ReplyOf<typeof commands.verify>["result"];
  /** After so long. */
  verdictMs: number;
  /** Entries of its full reports. */
  readonly reported: ReplicaReport[];
  highestHandle: number;
  epoch: Epoch | undefined;
  /** Of the copy of the master's metadata that it says it keeps. */
  metadata: RequestOf<typeof register>["metadata"];
  /** What it refuses all that concerns a copy of the master's metadata with. */
  refusesMetadata: GfsError | undefined;
}

export interface ClusterChanges {
  readonly limits?: Partial<Limits>;
  readonly dataDirs?: readonly string[];
}

export interface StartOptions {
  readonly dataDirs?: readonly string[];
  readonly lostDataDirs?: readonly string[];
}

export class MasterInSim {
  readonly simulation: Simulation;
  readonly machine: Machine;
  readonly servers: FakeServer[] = [];
  readonly limits: Limits;
  readonly dataDirs: readonly string[];
  master: Master | undefined;
  #client: ControlClient | undefined;
  readonly #clientMachine: Machine;
  #sequence = 0;
  session: SessionId | undefined;

  constructor(seed: number, changes: ClusterChanges = {}) {
    this.simulation = new Simulation(seed, { faults: noFaults });
    this.limits = { ...simLimits, ...changes.limits };
    this.dataDirs = changes.dataDirs ?? ["/data"];
    this.machine = this.simulation.machine("master");
    this.#clientMachine = this.simulation.machine("client");
    this.simulation.program("checkpoint-master", async (world, args) => {
      await runCheckpoint(world, args.slice(1));
      return { exitCode: 0 };
    });
  }

  /** Starts the master in the machine's present process. */
  start(options: StartOptions = {}): void {
    this.master = this.simulation.complete(this.begins(options));
  }

  /** A start that is not waited for. */
  begins(options: StartOptions = {}): Task<Master> {
    const { limits } = this;
    return this.machine.run((world) =>
      startMaster(world, {
        dataDirs: options.dataDirs ?? this.dataDirs,
        lostDataDirs: options.lostDataDirs,
        listen: this.machine.address(masterPort),
        limits,
        insecure: true,
        version: "test",
      }),
    );
  }

  /** The process dies, or the power fails, and a new one starts. */
  restart(crash: { powerLoss: boolean; keep?: number } = { powerLoss: false }): void {
    this.crash(crash);
    this.start();
  }

  /** A new process without a master in it. */
  crash(crash: { powerLoss: boolean; keep?: number }): void {
    this.machine.crash(crash);
    this.machine.restart();
    // Connections to the old process are noticed to be dead by the first call only.
    this.#client = undefined;
  }

  /** One call to the master. @throws GfsError */
  call<Request extends z.ZodType, Reply extends z.ZodType>(
    message: MessageType<Request, Reply>,
    request: z.infer<Request>,
  ): z.infer<Reply> {
    return this.simulation.do(this.#clientMachine, (world) => this.#send(world, message, request));
  }

  /** A call that is not waited for. */
  begin<Request extends z.ZodType, Reply extends z.ZodType>(
    message: MessageType<Request, Reply>,
    request: z.infer<Request>,
  ): { readonly settled: boolean; readonly value: z.infer<Reply> } {
    return this.#clientMachine.run((world) => this.#send(world, message, request));
  }

  #send<Request extends z.ZodType, Reply extends z.ZodType>(
    world: World,
    message: MessageType<Request, Reply>,
    request: z.infer<Request>,
  ): Promise<z.infer<Reply>> {
    this.#client ??= new ControlClient(world, { role: "client", clusterId: () => undefined });
    return this.#client.call(this.machine.address(masterPort), message, request, { timeoutMs: 5_000 });
  }

  /** The id of the next mutation; its session is opened first. */
  nextId(): { session: SessionId; sequence: ReturnType<typeof sequence>; floor: ReturnType<typeof sequence> } {
    this.session ??= this.call(sessionOpen, { label: "test" }).session;
    return { session: this.session, sequence: sequence(++this.#sequence), floor: sequence(1) };
  }

  addServer(changes: Partial<Pick<FakeServer, "highestHandle" | "epoch" | "metadata">> = {}): FakeServer {
    const number = this.servers.length + 1;
    const server: FakeServer = {
      machine: this.simulation.machine(`server${number}`),
      volume: volumeId(String(number).padStart(32, "0")),
      told: [],
      refusesOpen: false,
      prepared: new Map(),
      open: [],
      bad: [],
      verdict: "healthy",
      verdictMs: 0,
      reported: [],
      highestHandle: 0,
      epoch: undefined,
      metadata: undefined,
      refusesMetadata: undefined,
      ...changes,
    };
    this.servers.push(server);
    this.beginServer(server);
    this.simulation.runFor(50);
    return server;
  }

  beginServer(server: FakeServer): void {
    server.machine.run((world) => this.#serve(world, server));
  }

  async #serve(world: World, server: FakeServer): Promise<void> {
    const { volume } = server;
    const control = server.machine.address(serverPort);
    await serveControl(world, {
      address: control,
      role: "chunkserver",
      identity: () => ({}),
      routes: fakeRoutes(server),
      healthz: () => ({ ok: true }),
    });
    const client = new ControlClient(world, { role: "chunkserver", clusterId: () => undefined });
    const incarnation = `${server.machine.world.clock.monotonicMs()}`;
    const space = { totalBytes: 1e9, freeBytes: 9e8, usedBytes: 1e8 };
    const address = this.machine.address(masterPort);
    let reports = 0;
    const tell = (factMark?: number) => {
      const entries = new Uint8Array(packReport(server.reported));
      const page = { volume, incarnation, report: ++reports, page: 0, last: true, entries };
      return client.call(address, report, { ...page, factMark }, { timeoutMs: 500 });
    };
    for (let known = false; ;) {
      try {
        if (!known) {
          await client.call(
            address,
            register,
            {
              volume,
              incarnation,
              label: server.machine.name,
              control,
              data: `${server.machine.name}:5371`,
              space,
              highestHandle: server.highestHandle,
              version: "test",
              ...(server.epoch === undefined ? {} : { epoch: server.epoch }),
              ...(server.metadata === undefined ? {} : { metadata: server.metadata }),
            },
            { timeoutMs: 500 },
          );
          known = true;
          await tell();
        }
        const beat = { volume, incarnation, space, streams: 0, open: [...server.open], bad: server.bad };
        const answer = await client.call(address, heartbeat, beat, { timeoutMs: 500 });
        ({ known } = answer);
        server.bad = server.bad.slice(beat.bad.length);
        if (answer.report) await tell(answer.factMark);
      } catch {
        // The master is down: the next beat tries again.
      }
      await sleep(world.clock, this.limits.heartbeatMs);
    }
  }
}

function fakeRoutes(server: FakeServer): Route[] {
  const ok = { kind: "ok" } as const;
  const note = (what: string, handle: ChunkHandle): void => {
    server.told.push(`${what} ${handle}`);
  };
  return [
    route(commands.open, async ({ chunks }) => ({
      results: chunks.map(({ handle, version, chain }) => {
        note("open", handle);
        if (server.refusesOpen) return { kind: "error", error: { code: "NoSpace", message: "no" } } as const;
        const role = chain[0]?.volume === server.volume ? "primary" : "secondary";
        server.open.push({ handle, version, role, committed: 0, prepared: 0 });
        return ok;
      }),
    })),
    route(commands.fence, async ({ items }) => ({
      answers: items.map(({ handle }) => {
        note("fence", handle);
        const at = server.open.findIndex((each) => each.handle === handle);
        if (at >= 0) server.open.splice(at, 1);
        const prepared = server.prepared.get(handle) ?? 0;
        const dataVersion = chunkVersion(1);
        return { kind: "fenced" as const, handle, prepared, committed: 0, crc: prepared, dataVersion, appendTable: [] };
      }),
    })),
    route(commands.fetchTail, async ({ handle, length }) => {
      note("fetch", handle);
      return { prepared: length };
    }),
    route(commands.finish, async ({ items }) => ({
      results: items.map(({ handle }) => {
        note("finish", handle);
        return ok;
      }),
    })),
    route(commands.deleteReplicas, async ({ items }) => ({
      results: items.map(({ handle }) => {
        note("delete", handle);
        return ok;
      }),
    })),
    route(commands.clone, async ({ handle }) => {
      note("clone", handle);
      return {};
    }),
    ...metadataRoutes(server),
    route(commands.committedLength, async ({ handle }) => ({ committed: server.prepared.get(handle) ?? 0 })),
    route(commands.verify, async () => {
      const result = server.verdict;
      await sleep(server.machine.world.clock, server.verdictMs);
      return { result };
    }),
  ];
}

/** It has no copy, and takes what it is sent. */
function metadataRoutes(server: FakeServer): Route[] {
  const take = (what: string): void => {
    server.told.push(what);
    if (server.refusesMetadata !== undefined) throw server.refusesMetadata;
  };
  return [
    route(metadataHeld, async () => {
      take("metadata-held");
      return { sets: [] };
    }),
    route(metadataWrite, async () => {
      take("metadata-write");
      return {};
    }),
    route(metadataFinish, async () => {
      take("metadata-finish");
      return {};
    }),
    route(metadataDrop, async () => {
      take("metadata-drop");
      return {};
    }),
  ];
}
