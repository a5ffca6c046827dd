/** Calls to the control planes of other servers (DESIGN §4.6). */
import type { z } from "zod";
import { GfsError, hasCode } from "../base/errors.ts";
import { type ControlChannel, ControlError, type ControlResponse, type World } from "../io.ts";
import { protocol } from "../limits.ts";
import { encodeCbor } from "../wire/cbor.ts";
import type { MessageType } from "../wire/control/common.ts";
import { headers, hello, type Role } from "../wire/control/handshake.ts";
import type { ClusterId } from "../wire/ids.ts";
import { parseCbor } from "../wire/message-reader.ts";
import { agreedVersion, checkCluster } from "./agreement.ts";
import { errorOfResponse, unknownConnection } from "./control-errors.ts";
import { helloProof, requestKey, requestMac } from "./control-proof.ts";
import { abortError, throwIfAborted, withTimeout } from "./deadline.ts";
import { equalSecretBytes } from "./secret.ts";

export interface ControlClientOptions {
  readonly role: Role;
  readonly secret?: Uint8Array | undefined;
  /** Servers of another cluster are refused; undefined as long as it is not known. */
  readonly clusterId: () => ClusterId | undefined;
}

export interface ControlCallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** What a hello agreed. */
interface Agreed {
  readonly connection: string;
  readonly key: Uint8Array | undefined;
  counter: number;
}

interface Peer {
  readonly address: string;
  readonly channel: ControlChannel;
  agreed: Agreed | undefined;
  greeting: Promise<Agreed> | undefined;
  inFlight: number;
}

const peersMax = 4_096;
/** A hello serves all calls that wait for it: it may take longer than the most impatient of them would. */
const helloMs = 5_000;

/**
 * One channel for each address; says hello at the first call, and again when a server does not know us any more (it restarted), unseen by the caller.
 */
export class ControlClient {
  readonly #world: World;
  readonly #options: ControlClientOptions;
  /** In the order of first use since the last pruning. */
  readonly #peers = new Map<string, Peer>();
  #closed = false;

  constructor(world: World, options: ControlClientOptions) {
    this.#world = world;
    this.#options = options;
  }

  /**
   * One request, and its answer.
   *
   * @throws GfsError with the server's own code where it refused; `Unavailable` where the request was surely not sent or not read, `Timeout` where nobody knows what became of it;
   * `ProtocolError` where the answer can't be understood: all name the address, and `details.outcome` is "none" or "unknown"; `Interrupted` on abort; `Denied`, `WrongCluster`,
   * `VersionUnsupported` where hello failed.
   */
  async call<Request extends z.ZodType, Reply extends z.ZodType>(
    address: string,
    message: MessageType<Request, Reply>,
    request: z.infer<Request>,
    options: ControlCallOptions,
  ): Promise<z.infer<Reply>> {
    const body = encodeCbor(request);
    if (body.length > protocol.controlRequestBytesMax)
      throw new GfsError(
        "ProtocolError",
        `Cannot send ${message.name}: ${body.length} bytes are more than the ${protocol.controlRequestBytesMax} allowed`,
      );
    const peer = this.#peer(address);
    peer.inFlight++;
    try {
      const response = await this.#post(peer, message.name, body, options);
      if (response.body.length > protocol.controlResponseBytesMax)
        throw garbled(address, message.name, "it is too long", "unknown");
      const reply = parseCbor(message.reply, response.body);
      if (reply.success) return reply.data;
      const issue = reply.error.issues[0];
      throw garbled(address, message.name, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`, "unknown");
    } finally {
      peer.inFlight--;
    }
  }

  /** Ends all channels; calls in flight fail. */
  close(): void {
    this.#closed = true;
    for (const peer of this.#peers.values()) peer.channel.close();
    this.#peers.clear();
  }

  #peer(address: string): Peer {
    if (this.#closed) throw new GfsError("Unavailable", `Cannot call ${address}: this side is stopping`);
    const known = this.#peers.get(address);
    if (known !== undefined) return known;
    if (this.#peers.size >= peersMax) this.#prune();
    const channel = this.#world.control.channel(address);
    const peer: Peer = { address, channel, agreed: undefined, greeting: undefined, inFlight: 0 };
    this.#peers.set(address, peer);
    return peer;
  }

  /** Half of those that nobody uses, the oldest first. */
  #prune(): void {
    let left = peersMax / 2;
    for (const [address, peer] of this.#peers) {
      if (left === 0) return;
      if (peer.inFlight > 0) continue;
      peer.channel.close();
      this.#peers.delete(address);
      left--;
    }
  }

  /** An answer of status 200. */
  async #post(peer: Peer, name: string, body: Uint8Array, options: ControlCallOptions): Promise<ControlResponse> {
    const { clock } = this.#world;
    const endMs = clock.monotonicMs() + options.timeoutMs;
    for (let greetings = 0; ; greetings++) {
      const agreed = peer.agreed ?? (await this.#agree(peer, name, endMs - clock.monotonicMs(), options.signal));
      const timeoutMs = Math.max(1, endMs - clock.monotonicMs());
      const response = await this.#send(peer, agreed, { name, body, timeoutMs, signal: options.signal });
      if (response.status === 200) return response;
      const error = errorOfResponse(response, { address: peer.address, outcome: "unknown" });
      // The server did nothing: it has forgotten us, or was started anew. Whoever notices first says hello for all.
      if (error.details["connection"] !== unknownConnection || greetings === 2) throw error;
      if (peer.agreed === agreed) peer.agreed = undefined;
    }
  }

  async #send(
    peer: Peer,
    agreed: Agreed,
    {
      name,
      body,
      timeoutMs,
      signal,
    }: { name: string; body: Uint8Array; timeoutMs: number; signal?: AbortSignal | undefined },
  ): Promise<ControlResponse> {
    const path = `/v1/${name}`;
    const counter = `${++agreed.counter}`;
    const proof: Record<string, string> = {
      [headers.connection]: agreed.connection,
      [headers.counter]: counter,
      "content-length": `${body.length}`,
    };
    if (agreed.key !== undefined)
      proof[headers.mac] = requestMac(this.#world.crypto, agreed.key, { path, counter, body });
    try {
      return await peer.channel.post({ path, headers: proof, body, timeoutMs, signal });
    } catch (error) {
      throw this.#failure(peer.address, name, error, signal);
    }
  }

  #failure(address: string, name: string, error: unknown, signal: AbortSignal | undefined): unknown {
    if (!(error instanceof ControlError)) return error;
    if (error.kind === "aborted" && signal !== undefined) return abortError(`call ${name} at ${address}`, signal);
    const outcome = error.notSent ? "none" : "unknown";
    return new GfsError(
      error.notSent ? "Unavailable" : "Timeout",
      `Cannot call ${name} at ${address}: ${error.message}`,
      {
        details: { address, outcome },
        cause: error,
      },
    );
  }

  /** The hello under way, or a new one, waited for no longer than `ms`. */
  async #agree(peer: Peer, name: string, ms: number, signal: AbortSignal | undefined): Promise<Agreed> {
    const what = `call ${name} at ${peer.address}`;
    throwIfAborted(what, signal);
    if (peer.greeting === undefined) {
      const greeting = this.#greet(peer).finally(() => (peer.greeting = undefined));
      greeting.catch(() => {}); // those who wait for it hear of it
      peer.greeting = greeting;
    }
    const { greeting } = peer;
    try {
      return await withTimeout(this.#world.clock, Math.max(1, ms), what, () => greeting, signal);
    } catch (error) {
      if (!hasCode(error, "Timeout")) throw error;
      // The message itself was not sent.
      throw new GfsError("Unavailable", error.message, { details: { address: peer.address, outcome: "none" } });
    }
  }

  async #greet(peer: Peer): Promise<Agreed> {
    const { crypto, random } = this.#world;
    const { role, secret } = this.#options;
    const { address } = peer;
    const clusterId = this.#options.clusterId();
    const nonce = new Uint8Array(random.bytes(32));
    const { versionMin, versionMax } = protocol;
    const body = encodeCbor({ versionMin, versionMax, role, nonce, ...(clusterId === undefined ? {} : { clusterId }) });
    const response = await peer.channel
      .post({
        path: `/v1/${hello.name}`,
        headers: { "content-length": `${body.length}` },
        body,
        timeoutMs: helloMs,
      })
      .catch((error: unknown) => {
        throw this.#failure(address, hello.name, error, undefined);
      });
    if (response.status !== 200) throw errorOfResponse(response, { address, outcome: "none" });
    const parsed = parseCbor(hello.reply, response.body);
    if (!parsed.success) throw garbled(address, hello.name, "it is not a gfs server's", "none");
    const reply = parsed.data;
    agreedVersion(address, { versionMin: reply.version, versionMax: reply.version });
    checkCluster(address, clusterId, reply.clusterId);
    const facts = {
      callerNonce: nonce,
      serverNonce: reply.nonce,
      callerRole: role,
      serverRole: reply.role,
      connection: reply.connection,
    };
    if (reply.secure && secret === undefined)
      throw new GfsError("Denied", `Cannot use ${address}: its cluster has a secret, and none is given here`);
    if (!reply.secure && secret !== undefined)
      throw new GfsError("Denied", `Cannot use ${address}: it has no secret, and one is given here`);
    if (
      secret !== undefined &&
      (reply.proof === undefined || !equalSecretBytes(reply.proof, helloProof(crypto, secret, facts)))
    )
      throw new GfsError("Denied", `Cannot use ${address}: it has another secret`);
    const key = secret === undefined ? undefined : requestKey(crypto, secret, facts);
    const agreed = { connection: reply.connection, key, counter: 0 };
    peer.agreed = agreed;
    return agreed;
  }
}

/** `outcome`: of what the call was to do. */
function garbled(address: string, name: string, why: string, outcome: "none" | "unknown"): GfsError {
  return new GfsError("ProtocolError", `Cannot understand the answer of ${address} to ${name}: ${why}`, {
    details: { address, outcome },
  });
}
