/** Three chunkservers in the simulated world, a master that only answers, and a client's side of the data plane: for tests of the shells. */
import { concatBytes } from "../../../src/base/bytes.ts";
import { crc32 } from "../../../src/base/checksum.ts";
import { GfsError } from "../../../src/base/errors.ts";
import { startChunkserver, type Chunkserver, type ChunkserverOptions } from "../../../src/chunkserver/chunkserver.ts";
import type { World } from "../../../src/io.ts";
import { blockBytes, defaultLimits, type Limits } from "../../../src/limits.ts";
import { ControlClient } from "../../../src/net/control-client.ts";
import { route, serveControl } from "../../../src/net/control-server.ts";
import { dialFrames, errorOfFrame, type FrameConnection } from "../../../src/net/frame-connection.ts";
import { heartbeat, register, report, type ReplicaReport } from "../../../src/wire/control/chunkservers.ts";
import { open } from "../../../src/wire/control/commands.ts";
import type { AppendTable, Chain, MessageType, VolumeAddress } from "../../../src/wire/control/common.ts";
import { decodeBlocks, encodeBlockHeader, partCrcs } from "../../../src/wire/data/blocks.ts";
import type { Frame } from "../../../src/wire/data/frame.ts";
import { decodeHeader, encodeHeader, Read, ReadEnd, WriteEnd, WriteOpen } from "../../../src/wire/data/headers.ts";
import { chunkHandle, chunkVersion, clusterId, inodeId, volumeId, type Epoch } from "../../../src/wire/ids.ts";
import { unpackReport } from "../../../src/wire/report.ts";
import type { z } from "zod";
import type { Machine } from "../../sim/world/machine.ts";
import { Simulation } from "../../sim/world/simulation.ts";

export const cluster = clusterId("c1".repeat(16));
export const secret = new Uint8Array(32).fill(7);
export const epoch: Epoch = { number: 5, startId: "a".repeat(16) };
export const origin = { inode: inodeId(42), path: "/a/b", fileOffset: 1_000 };
export const handle = chunkHandle(77);
export const version = chunkVersion(1);
export const limits: Limits = { ...defaultLimits, reserveBytes: 0, chunkBytes: 1_000_000 };

type Beat = z.infer<typeof heartbeat.request>;

/** Answers registrations and heartbeats; what it says can be changed at any time. */
export class AnsweringMaster {
  readonly beats: Beat[] = [];
  readonly reports: {
    readonly volume: string;
    readonly page: number;
    readonly last: boolean;
    readonly entries: ReplicaReport[];
  }[] = [];
  registrations = 0;
  epoch = epoch;
  known = true;
  /** What registrations are refused with. */
  refusal: GfsError | undefined;
  leaseMs = 60_000;
  wantReport = false;

  async serve(world: World): Promise<void> {
    await serveControl(world, {
      address: "master:1",
      role: "master",
      secret,
      identity: () => ({ clusterId: cluster, epoch: this.epoch }),
      healthz: () => ({ ok: true }),
      routes: [
        route(register, () => {
          this.registrations++;
          if (this.refusal !== undefined) return Promise.reject(this.refusal);
          const { epoch: now, leaseMs } = this;
          return Promise.resolve({
            clusterId: cluster,
            epoch: now,
            heartbeatMs: 1_000,
            leaseMs,
            reportIntervalMs: 600_000,
            factMark: 9,
          });
        }),
        route(heartbeat, (beat) => {
          this.beats.push(beat);
          const leases = beat.open.filter(({ role }) => role === "primary").map((replica) => replica.handle);
          return Promise.resolve({ known: this.known, epoch: this.epoch, leases, report: this.wantReport });
        }),
        route(report, ({ volume, page, last, entries }) => {
          this.reports.push({ volume, page, last, entries: unpackReport(entries) });
          return Promise.resolve({});
        }),
      ],
    });
  }

  /** What the volume's last heartbeat said of the chunk. */
  said(volume: string) {
    return this.beats.findLast((beat) => beat.volume === volume)?.open.find((replica) => replica.handle === handle);
  }
}

/** Machines "master", "s1", "s2", "s3" and "client". */
export class Trio {
  readonly simulation: Simulation;
  readonly master = new AnsweringMaster();
  readonly client: Machine;
  readonly machines: readonly Machine[];
  readonly servers = new Map<string, Chunkserver>();

  constructor(seed = 1, changed: Partial<Limits> = {}) {
    this.simulation = new Simulation(seed);
    this.client = this.simulation.machine("client");
    const home = this.simulation.machine("master");
    this.simulation.do(home, (world) => this.master.serve(world));
    this.machines = ["s1", "s2", "s3"].map((name) => this.simulation.machine(name));
    for (const machine of this.machines) this.start(machine, { limits: { ...limits, ...changed } });
  }

  start(machine: Machine, changed: Partial<ChunkserverOptions> = {}): void {
    const { name } = machine;
    const server = this.simulation.do(machine, async (world) => {
      const started = await startChunkserver(world, {
        master: "master:1",
        dataDir: "/data",
        listen: `${name}:1`,
        dataListen: `${name}:2`,
        label: name,
        limits,
        secret,
        insecure: false,
        version: "test",
        ...changed,
      });
      await started.registered;
      return started;
    });
    this.servers.set(name, server);
  }

  server(name: string): Chunkserver {
    const server = this.servers.get(name);
    if (server === undefined) throw new Error(`no server ${name}`);
    return server;
  }

  address(name: string): VolumeAddress {
    const { volume, dataAddress, controlAddress } = this.server(name);
    return { volume, label: name, data: dataAddress, control: controlAddress };
  }

  chain(...names: string[]): Chain {
    return (names.length === 0 ? ["s1", "s2", "s3"] : names).map((name) => this.address(name));
  }

  /** Runs a client's code to its end. */
  do<T>(code: (world: World) => Promise<T>): T {
    return this.simulation.do(this.client, code, 600_000);
  }

  /** One command of the master to a server. */
  command<Request extends z.ZodType, Reply extends z.ZodType>(
    name: string,
    message: MessageType<Request, Reply>,
    fields: Omit<z.infer<Request>, "clusterId" | "epoch" | "volume">,
    changed: Record<string, unknown> = {},
  ): z.infer<Reply> {
    return this.do(async (world) => {
      const caller = new ControlClient(world, { role: "master", secret, clusterId: () => cluster });
      try {
        const { volume, controlAddress } = this.server(name);
        const request = message.request.parse({ clusterId: cluster, epoch, volume, ...fields, ...changed });
        return await caller.call(controlAddress, message, request, { timeoutMs: 20_000 });
      } finally {
        caller.close();
      }
    });
  }

  /** Opens the chunk at all of the chain. */
  openChunk(chain: Chain = this.chain(), appendTable: AppendTable = [], chunkBytes = limits.chunkBytes): void {
    const chunk = { handle, version, chain, origin, chunkBytes, appendTable, leaseMs: this.master.leaseMs };
    for (const { label } of chain) {
      const [result] = this.command(label, open, { chunks: [chunk] }).results;
      if (result?.kind !== "ok") throw new Error(`cannot open at ${label}: ${JSON.stringify(result)}`);
    }
  }
}

export function dial(world: World, address: string): Promise<FrameConnection> {
  return dialFrames(world, address, { role: "client", secret, clusterId: cluster, timeoutMs: 1_000 });
}

/** The next frame of the stream; an error frame is thrown. */
export async function answer(frames: FrameConnection): Promise<Frame> {
  const frame = await frames.read();
  if (frame === null) throw new GfsError("Unavailable", "the connection ended");
  if (frame.type === "error") throw errorOfFrame(frame, frames.remote);
  return frame;
}

/** Bytes that differ from place to place. */
export function content(bytes: number, salt = 1): Uint8Array {
  const made = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) made[i] = (i * 31 + salt * 17 + (i >> 8)) & 0xff;
  return made;
}

export function sendOpen(frames: FrameConnection, chain: Chain, bytes: number | undefined): void {
  const known = bytes === undefined ? {} : { bytes };
  frames.send(
    "writeOpen",
    3,
    encodeHeader(WriteOpen, { handle, version, chain, chunkBytes: 1_073_741_824, origin, ...known }),
  );
}

export function sendBlocks(frames: FrameConnection, offset: number, bytes: Uint8Array, spoil = 0): void {
  const crcs = partCrcs(offset, [bytes]).map((crc) => (crc ^ spoil) >>> 0);
  frames.send("writeData", 3, encodeBlockHeader(offset, crcs), [bytes]);
}

/** A whole put; its answer. */
export async function put(frames: FrameConnection, chain: Chain, bytes: Uint8Array): Promise<Frame> {
  sendOpen(frames, chain, bytes.length);
  for (let at = 0; at < bytes.length; at += 16 * blockBytes)
    sendBlocks(frames, at, bytes.subarray(at, at + 16 * blockBytes));
  frames.send("writeEnd", 3, encodeHeader(WriteEnd, { length: bytes.length, crc: crc32(bytes) }));
  return answer(frames);
}

export interface ReadWish {
  readonly offset?: number;
  readonly length?: number;
  readonly purpose?: "read" | "tail" | "clone";
  readonly committed?: number;
  readonly version?: number;
  readonly volume?: string;
}

/** What a read of the chunk gives at one server. */
export async function readChunk(world: World, at: VolumeAddress, wish: ReadWish = {}) {
  const frames = await dial(world, at.data);
  const { offset = 0, length = 1_000_000_000, purpose = "read", committed } = wish;
  const brought = committed === undefined ? {} : { committed };
  const header = {
    volume: wish.volume === undefined ? at.volume : volumeId(wish.volume),
    handle,
    version: chunkVersion(wish.version ?? version),
    purpose,
    offset,
    length,
    ...brought,
  };
  frames.send("read", 9, encodeHeader(Read, header));
  const pieces: Uint8Array[] = [];
  try {
    for (;;) {
      const frame = await answer(frames);
      if (frame.type === "readEnd") return { ...decodeHeader(ReadEnd, frame.header), content: concatBytes(pieces) };
      pieces.push(...decodeBlocks(frame).payload);
    }
  } finally {
    frames.close();
  }
}
