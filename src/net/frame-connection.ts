/** A data connection as frames, and how it begins: versions, cluster, and proof of the secret on both sides (DESIGN §4.6). */
import { GfsError, isErrorCode } from "../base/errors.ts";
import { type Connection, StreamError, type World } from "../io.ts";
import { protocol } from "../limits.ts";
import type { Role } from "../wire/control/handshake.ts";
import { encodeFrame, type Frame, FrameParser, type FrameType } from "../wire/data/frame.ts";
import { Authenticate, decodeHeader, encodeHeader, ErrorHeader, Hello, HelloReply } from "../wire/data/headers.ts";
import type { ClusterId, VolumeId } from "../wire/ids.ts";
import { agreedVersion, checkCluster } from "./agreement.ts";
import { withTimeout } from "./deadline.ts";
import { equalSecretBytes, proofOf } from "./secret.ts";

/** What a peer may send before it has proven who it is: the handshake is far shorter. */
const unprovenBytesMax = 8_192;

/** What a server said of itself in its handshake. */
export interface DataServer {
  readonly volume: VolumeId;
  readonly clusterId: ClusterId;
}

export class FrameConnection {
  readonly #connection: Connection;
  readonly #parser = new FrameParser();
  #ready: Frame[] = [];
  #next = 0;
  /** A read of the connection that nobody has taken yet: how an idle connection learns of its end. */
  #reading: Promise<Uint8Array | null> | undefined;
  #unprovenBytes = unprovenBytesMax;
  #server: DataServer | undefined;

  /** Until `prove` the peer may send only a few KiB. */
  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Which volume was reached, on the caller's side. */
  get volume(): VolumeId | undefined {
    return this.#server?.volume;
  }

  /** Of the server reached, on the caller's side. */
  get clusterId(): ClusterId | undefined {
    return this.#server?.clusterId;
  }

  /** Of the other side, "host:port". */
  get remote(): string {
    return this.#connection.remote;
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  /** The handshake is over: the other side may send whole frames from now on. */
  prove(server?: DataServer): void {
    this.#server = server;
    this.#unprovenBytes = Number.POSITIVE_INFINITY;
  }

  /** A frame that is here already, without waiting; undefined where `read` would have to wait. Pings are answered here and not returned. */
  take(): Frame | undefined {
    for (;;) {
      const frame = this.takeAny();
      if (frame?.type !== "ping") return frame;
      this.pong(frame);
    }
  }

  /** As `take`, with pings: for whoever bounds what waits to be sent. */
  takeAny(): Frame | undefined {
    const frame = this.#ready[this.#next];
    if (frame === undefined) return undefined;
    this.#next++;
    if (this.#next === this.#ready.length) {
      this.#ready = [];
      this.#next = 0;
    }
    return frame;
  }

  /** As `next`, but pings are answered here and not returned. */
  async read(): Promise<Frame | null> {
    for (;;) {
      const frame = await this.next();
      if (frame?.type !== "ping") return frame;
      this.pong(frame);
    }
  }

  /** Answers a ping. */
  pong({ stream, header }: Frame): void {
    this.send("pong", stream, header);
  }

  /**
   * The next frame; null after the other side ended cleanly, between frames. What can't be a frame is answered with an error frame, and the connection ended. One reader at a time.
   *
   * @throws GfsError("ProtocolError" | "VersionUnsupported"); StreamError("closed") after a reset, `close()`, or an end within a frame.
   */
  async next(): Promise<Frame | null> {
    for (;;) {
      const frame = this.takeAny();
      if (frame !== undefined) return frame;
      const bytes = await (this.#reading ?? this.#connection.read());
      this.#reading = undefined;
      if (bytes === null) {
        if (this.#parser.idle) return null;
        throw new StreamError("closed", `The connection to ${this.remote} ended within a frame`);
      }
      this.#feed(bytes);
    }
  }

  /** Queues one frame. The header and payload must not be changed until it is sent. Frames queued in one turn leave together. */
  send(type: FrameType, stream: number, header: Uint8Array, payload?: readonly Uint8Array[]): void {
    this.#connection.send(encodeFrame(type, stream, header, payload));
  }

  /** Resolves when at most `bytes` (default 0) are still queued here. @throws StreamError("closed") */
  sent(bytes?: number): Promise<void> {
    return this.#connection.sent(bytes);
  }

  /** Tells the other side why (on stream 0), and ends. */
  refuse(error: GfsError): void {
    this.send("error", 0, encodeHeader(ErrorHeader, { code: error.code, message: error.message.slice(0, 4_096) }));
    this.end();
  }

  /** Sends what is queued, then ends both directions. */
  end(): void {
    this.#connection.end();
  }

  /** Drops the connection and what is queued. */
  close(): void {
    this.#connection.close();
  }

  /** Nothing is under way in either direction. */
  get quiet(): boolean {
    return !this.closed && this.queuedBytes === 0 && this.#ready.length === 0 && this.#parser.idle;
  }

  /** Held of a frame that waits for the rest of it. */
  get partBytes(): number {
    return this.#parser.partBytes;
  }

  /**
   * Watches a connection that nobody uses: calls `onEnd` once it ends, breaks or speaks out of turn. Over with the next `read`. The caller
   * must have made sure that no read is pending.
   */
  watch(onEnd: () => void): void {
    const reading = (this.#reading ??= this.#connection.read());
    reading.then(onEnd, onEnd);
  }

  #feed(bytes: Uint8Array): void {
    try {
      this.#unprovenBytes -= bytes.length;
      if (this.#unprovenBytes < 0)
        throw new GfsError("ProtocolError", `Cannot go on with ${this.remote}: it sends data before its handshake`);
      this.#ready = this.#parser.feed(bytes);
      this.#next = 0;
    } catch (error) {
      if (error instanceof GfsError) this.refuse(error);
      throw error;
    }
  }
}

/** Who calls. */
export interface DialIdentity {
  readonly role: Role;
  readonly secret?: Uint8Array | undefined;
  /** A server of another one is refused; undefined takes any. */
  readonly clusterId?: ClusterId | undefined;
}

export interface DialOptions extends DialIdentity {
  /** For the connection and the handshake together. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface AcceptOptions {
  readonly volume: VolumeId;
  /** Undefined as long as the volume belongs to no cluster: callers are sent away with `Unavailable`. */
  readonly clusterId: () => ClusterId | undefined;
  readonly secret?: Uint8Array | undefined;
  readonly timeoutMs: number;
}

const serverLabel = "gfs data server";
const callerLabel = "gfs data caller";
const nothing = new Uint8Array(0);

/**
 * A connection to a chunkserver, ready for streams; its `volume` and `clusterId` are known.
 *
 * @throws StreamError("refused" | "timeout" | "closed") before the handshake is answered; GfsError("Timeout"), or what refused: Denied, WrongCluster, VersionUnsupported, Unavailable,
 * ProtocolError. All say that nothing was done.
 */
export async function dialFrames(world: World, address: string, options: DialOptions): Promise<FrameConnection> {
  const startMs = world.clock.monotonicMs();
  const connection = await world.stream.connect(address, { timeoutMs: options.timeoutMs });
  const frames = new FrameConnection(connection);
  const ms = Math.max(1, options.timeoutMs - (world.clock.monotonicMs() - startMs));
  try {
    const run = () => greet(world, frames, address, options);
    await withTimeout(world.clock, ms, `begin with ${address}`, run, options.signal);
    return frames;
  } catch (error) {
    frames.close();
    throw error;
  }
}

async function greet(world: World, frames: FrameConnection, address: string, options: DialOptions): Promise<void> {
  const { crypto } = world;
  const { role, secret, clusterId } = options;
  const nonce = new Uint8Array(world.random.bytes(32));
  const { versionMin, versionMax } = protocol;
  const hello = { versionMin, versionMax, role, nonce, ...(clusterId === undefined ? {} : { clusterId }) };
  frames.send("hello", 0, encodeHeader(Hello, hello));
  const reply = decodeHeader(HelloReply, (await expect(frames, "helloReply", address)).header);
  agreedVersion(address, { versionMin: reply.version, versionMax: reply.version });
  checkCluster(address, clusterId, reply.clusterId);
  if (secret === undefined && reply.mac !== undefined)
    throw new GfsError("Denied", `Cannot use ${address}: its cluster has a secret, and none is given here`);
  if (secret !== undefined) {
    const facts = [nonce, reply.nonce, reply.clusterId, reply.volume, role];
    if (reply.mac === undefined)
      throw new GfsError("Denied", `Cannot use ${address}: it has no secret, and one is given here`);
    if (!equalSecretBytes(reply.mac, proofOf(crypto, secret, serverLabel, facts)))
      throw new GfsError("Denied", `Cannot use ${address}: it has another secret`);
    frames.send("authenticate", 0, encodeHeader(Authenticate, { mac: proofOf(crypto, secret, callerLabel, facts) }));
    await expect(frames, "authenticated", address);
  }
  frames.prove({ volume: reply.volume, clusterId: reply.clusterId });
}

/**
 * The server's side of the handshake. What fails it is told to the caller where that is possible, and the connection ended.
 *
 * @throws GfsError or StreamError as it was; the connection needs no further care.
 */
export async function acceptFrames(
  world: World,
  connection: Connection,
  options: AcceptOptions,
): Promise<{ readonly frames: FrameConnection; readonly role: Role }> {
  const frames = new FrameConnection(connection);
  try {
    const what = `begin with ${connection.remote}`;
    const role = await withTimeout(world.clock, options.timeoutMs, what, () => welcome(world, frames, options));
    return { frames, role };
  } catch (error) {
    if (error instanceof GfsError) frames.refuse(error);
    else frames.close();
    throw error;
  }
}

async function welcome(world: World, frames: FrameConnection, options: AcceptOptions): Promise<Role> {
  const { crypto } = world;
  const { volume, secret } = options;
  const hello = decodeHeader(Hello, (await expect(frames, "hello", frames.remote)).header);
  const version = agreedVersion(frames.remote, hello);
  const clusterId = options.clusterId();
  if (clusterId === undefined)
    throw new GfsError("Unavailable", `Cannot serve ${frames.remote}: volume ${volume} belongs to no cluster yet`);
  checkCluster(frames.remote, clusterId, hello.clusterId);
  const nonce = new Uint8Array(world.random.bytes(32));
  const facts = [hello.nonce, nonce, clusterId, volume, hello.role];
  const mac = secret === undefined ? undefined : proofOf(crypto, secret, serverLabel, facts);
  const reply = { version, clusterId, volume, nonce, ...(mac === undefined ? {} : { mac }) };
  frames.send("helloReply", 0, encodeHeader(HelloReply, reply));
  if (secret !== undefined) {
    const proof = decodeHeader(Authenticate, (await expect(frames, "authenticate", frames.remote)).header);
    if (!equalSecretBytes(proof.mac, proofOf(crypto, secret, callerLabel, facts)))
      throw new GfsError("Denied", `Cannot serve ${frames.remote}: it has another secret`);
    frames.send("authenticated", 0, nothing);
  }
  frames.prove();
  return hello.role;
}

/** The next frame, which must be of this type. An error frame is thrown as what it says. */
async function expect(frames: FrameConnection, type: FrameType, address: string): Promise<Frame> {
  const frame = await frames.read();
  if (frame === null) throw new StreamError("closed", `The connection to ${address} ended within its handshake`);
  if (frame.type === "error") throw errorOfFrame(frame, address);
  if (frame.type !== type || frame.stream !== 0 || frame.payloadBytes > 0)
    throw new GfsError("ProtocolError", `Cannot begin with ${address}: it sent ${frame.type} where ${type} belongs`);
  return frame;
}

/** What an error frame says, as the error it names. @throws GfsError("ProtocolError") for one that can't be read. */
export function errorOfFrame(frame: Frame, address: string): GfsError {
  const { code, message, volume, retryAfterMs } = decodeHeader(ErrorHeader, frame.header);
  return new GfsError(isErrorCode(code) ? code : "Bug", message, {
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    details: { address, ...(volume === undefined ? {} : { volume }) },
  });
}
