/** The data port: who may connect, how many, and which stream a frame opens (DESIGN §4.6). */
import { GfsError } from "../base/errors.ts";
import type { Connection, Timer } from "../io.ts";
import { acceptFrames } from "../net/frame-connection.ts";
import type { Role } from "../wire/control/handshake.ts";
import { encodeFrame, type Frame } from "../wire/data/frame.ts";
import { AppendStream } from "./append-stream.ts";
import { ChainStream } from "./chain-stream.ts";
import type { Context } from "./context.ts";
import { DataConnection } from "./data-connection.ts";
import { errorHeader, type DataStream, type StreamReply } from "./data-stream.ts";
import { ReadStream } from "./read-stream.ts";
import type { Roles } from "./roles.ts";
import { WholeWrites } from "./whole-writes.ts";
import { WriteStream } from "./write-chain.ts";

/** Bytes on their way through puts and reads, in all. */
const bytesInFlightMax = 64 * 1_048_576;
/** Of one stream, where few are open. */
const streamBytesMax = 2 * 1_048_576;
/** Puts and reads at a time, above which new ones are told to come back. */
const transfersMax = 1_024;
/** Of frames that wait for the rest of them, in all: above it those that have waited longest are given up. */
const partBytesMax = 256 * 1_048_576;
/** How long a stranger may take to say hello. */
const helloMs = 5_000;

export interface DataServerOptions {
  readonly address: string;
  readonly secret: Uint8Array | undefined;
  readonly roles: Roles;
}

export class DataServer implements AsyncDisposable {
  readonly #context: Context;
  readonly #options: DataServerOptions;
  readonly #connections = new Set<DataConnection>();
  /** Connections that have not said hello yet. */
  readonly #strangers = new Set<Connection>();
  readonly #wholeWrites: WholeWrites;
  #transfers = 0;
  #listener: (AsyncDisposable & { readonly address: string }) | undefined;
  #timer: Timer | undefined;

  private constructor(context: Context, options: DataServerOptions) {
    this.#context = context;
    this.#options = options;
    this.#wholeWrites = new WholeWrites(context, bytesInFlightMax);
  }

  /** @throws GfsError("Usage") where the address can't be bound */
  static async listen(context: Context, options: DataServerOptions): Promise<DataServer> {
    const server = new DataServer(context, options);
    server.#listener = await context.world.stream.listen(options.address, (connection) =>
      server.#connected(connection),
    );
    server.#watch();
    return server;
  }

  get address(): string {
    return this.#listener?.address ?? this.#options.address;
  }

  /** Puts and reads in progress: the volume's load. */
  get transfers(): number {
    return this.#transfers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.cancel();
    for (const connection of this.#connections) connection.close();
    for (const connection of this.#strangers) connection.close();
    await this.#listener?.[Symbol.asyncDispose]();
  }

  /** What one stream may have in flight: less where there are many. */
  #window(): number {
    return Math.min(streamBytesMax, Math.floor(bytesInFlightMax / Math.max(1, this.#transfers)));
  }

  #connected(connection: Connection): void {
    const { connectionsMax } = this.#context.limits;
    if (this.#connections.size + this.#strangers.size >= connectionsMax && !this.#closeLeastMissed()) {
      const error = new GfsError("Busy", `Cannot take a connection: ${connectionsMax} are open`, {
        retryAfterMs: 1_000,
      });
      connection.send(encodeFrame("error", 0, errorHeader(error)));
      connection.end();
      return;
    }
    this.#serve(connection).catch((thrown: unknown) => {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      this.#context.world.events.emit("info", "data.refused", { remote: connection.remote, reason });
    });
  }

  /** Makes room: the oldest connection that has not said hello, else the one on which nothing is open for longest. False where something is open on all. */
  #closeLeastMissed(): boolean {
    const [stranger] = this.#strangers;
    if (stranger !== undefined) {
      this.#strangers.delete(stranger);
      stranger.close();
      return true;
    }
    let idle: { readonly served: DataConnection; readonly sinceMs: number } | undefined;
    for (const served of this.#connections) {
      const sinceMs = served.idleSinceMs;
      if (sinceMs !== undefined && (idle === undefined || sinceMs < idle.sinceMs)) idle = { served, sinceMs };
    }
    if (idle === undefined) return false;
    this.#connections.delete(idle.served);
    idle.served.close();
    return true;
  }

  async #serve(connection: Connection): Promise<void> {
    const { world, store } = this.#context;
    this.#strangers.add(connection);
    let frames;
    let role: Role;
    try {
      ({ frames, role } = await acceptFrames(world, connection, {
        volume: store.volume,
        clusterId: () => store.clusterId,
        timeoutMs: helloMs,
        ...(this.#options.secret === undefined ? {} : { secret: this.#options.secret }),
      }));
    } finally {
      this.#strangers.delete(connection);
    }
    const served = new DataConnection(this.#context, frames, (frame, reply) => this.#open(frame, reply, role));
    this.#connections.add(served);
    try {
      await served.run();
    } finally {
      this.#connections.delete(served);
    }
  }

  #open(frame: Frame, reply: StreamReply, role: Role): DataStream | undefined {
    const { roles } = this.#options;
    if (frame.type === "writeWhole") return this.#transfer(reply, () => this.#wholeWrites.begin(frame, reply));
    if (frame.type === "writeOpen")
      return this.#transfer(reply, () => new WriteStream(this.#context, reply, frame, () => this.#window()));
    if (frame.type === "read") {
      return this.#transfer(reply, () => {
        const stream = new ReadStream(this.#context, reply, () => this.#window());
        stream.start(frame, (handle) => roles.get(handle));
        return stream;
      });
    }
    if (frame.type === "appendOpen") return new AppendStream(this.#context, reply, frame, roles);
    if (frame.type !== "chainOpen") return undefined;
    if (role !== "chunkserver")
      throw new GfsError("Denied", `Cannot let a ${role} into a chain: only its members speak there`);
    return new ChainStream(this.#context, reply, frame, roles);
  }

  #transfer(reply: StreamReply, make: () => DataStream | undefined): DataStream | undefined {
    if (this.#transfers >= transfersMax)
      throw new GfsError("Busy", `Cannot begin a transfer: ${transfersMax} are in progress`, { retryAfterMs: 200 });
    this.#transfers++;
    reply.onEnd(() => this.#transfers--);
    return make();
  }

  /** One timer for all deadlines of all streams. */
  #watch(): void {
    const { clock } = this.#context.world;
    const everyMs = Math.max(10, Math.min(1_000, this.#context.limits.putStallMs / 10));
    this.#timer = clock.after(everyMs, () => {
      const nowMs = clock.monotonicMs();
      for (const connection of this.#connections) connection.check(nowMs);
      this.#boundParts();
      this.#watch();
    });
  }

  #boundParts(): void {
    const parts = [...this.#connections].flatMap((connection) => {
      const { part } = connection;
      return part === undefined ? [] : [{ connection, ...part }];
    });
    let bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
    if (bytes <= partBytesMax) return;
    for (const part of parts.toSorted((a, b) => a.sinceMs - b.sinceMs)) {
      if (bytes <= partBytesMax) return;
      part.connection.giveUpFrame();
      bytes -= part.bytes;
    }
  }
}
