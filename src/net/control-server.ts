/** The control plane of any server (DESIGN §4.6): `POST /v1/<message>`, CBOR bodies, typed errors, `/healthz`. */
import { type Context, Hono } from "hono";
import type { z } from "zod";
import { Deadlines, type Expiring } from "../base/deadlines.ts";
import { asGfsError, GfsError } from "../base/errors.ts";
import type { Listener, World } from "../io.ts";
import { protocol } from "../limits.ts";
import { encodeCbor } from "../wire/cbor.ts";
import type { MessageType } from "../wire/control/common.ts";
import { headers, hello, type Role } from "../wire/control/handshake.ts";
import type { ClusterId, Epoch } from "../wire/ids.ts";
import { parseCbor } from "../wire/message-reader.ts";
import { agreedVersion, checkCluster } from "./agreement.ts";
import { type ControlConnection, ControlConnections, ReplayWindow } from "./control-connections.ts";
import { errorResponse, unknownConnection } from "./control-errors.ts";
import { equalMacs, helloProof, requestKey, requestMac } from "./control-proof.ts";

export interface Caller {
  readonly role: Role;
}

/** One message and what answers it. */
export interface Route {
  readonly message: MessageType;
  readonly answer: (body: Uint8Array, caller: Caller) => Promise<unknown>;
}

/** Binds a message to its handler, which gets requests that fit the schema only. What it throws is the answer. */
export function route<Request extends z.ZodType, Reply extends z.ZodType>(
  message: MessageType<Request, Reply>,
  handler: (request: z.infer<Request>, caller: Caller) => Promise<z.infer<Reply>>,
): Route {
  const { name, request: schema } = message;
  return {
    message,
    answer: (body, caller) => {
      const parsed = parseCbor(schema, body);
      if (parsed.success) return handler(parsed.data, caller);
      const issue = parsed.error.issues[0];
      throw new GfsError(
        "ProtocolError",
        `Cannot answer ${name}: ${issue?.path.join(".") || "the request"}: ${issue?.message ?? "it is invalid"}`,
      );
    },
  };
}

export interface Health {
  readonly ok: boolean;
  readonly [fact: string]: unknown;
}

export interface ControlServerOptions {
  /** To bind; port 0: any. */
  readonly address: string;
  readonly role: Role;
  readonly secret?: Uint8Array | undefined;
  readonly identity: () => { readonly clusterId?: ClusterId | undefined; readonly epoch?: Epoch | undefined };
  readonly routes: readonly Route[];
  readonly healthz: () => Health | Promise<Health>;
  /** A handler threw what is no operating error: a bug. It has been answered and logged. */
  readonly onBug?: ((error: unknown) => void) | undefined;
  /** Requests in work at a time, beyond which callers get `Busy`. */
  readonly requestsMax?: number | undefined;
}

interface Env {
  readonly Bindings: { readonly remote: () => string };
}

const busyRetryMs = 100;
const requestsMaxDefault = 8_192;
/** Of the bodies of requests in work. */
const bytesInWorkMax = 256 * 1_048_576;
/** A hello is far shorter, and comes from anybody. */
const helloBytesMax = 8_192;
const cborAnswer: ResponseInit = { headers: { "content-type": "application/cbor" } };
/** How long a body may take to arrive: what is set aside for it is held no longer. */
const bodyMs = 30_000;

/** Serves until disposed. @throws GfsError("Usage") where the address can't be bound. */
export async function serveControl(world: World, options: ControlServerOptions): Promise<Listener> {
  const app = new ControlApp(world, options);
  return world.control.serve(options.address, (request, remote) => app.fetch(request, remote));
}

class ControlApp {
  readonly #world: World;
  readonly #options: ControlServerOptions;
  readonly #hono = new Hono<Env>();
  readonly #connections = new ControlConnections();
  /** Bodies that are not whole yet. */
  readonly #arrivals: Deadlines;
  #requests = 0;
  #bytes = 0;

  constructor(world: World, options: ControlServerOptions) {
    this.#world = world;
    this.#options = options;
    this.#arrivals = new Deadlines(world.clock);
    this.#hono.post(`/v1/${hello.name}`, (c) => {
      const greet = route(hello, async (request) => this.#greet(request, c.env.remote()));
      return this.#serve(c, greet, "greeting");
    });
    for (const served of options.routes)
      this.#hono.post(`/v1/${served.message.name}`, (c) => this.#serve(c, served, "known"));
    this.#hono.get("/healthz", async () => {
      const health = await options.healthz();
      return Response.json(health, { status: health.ok ? 200 : 503 });
    });
    this.#hono.notFound((c) => {
      const what = `${c.req.method} ${c.req.path}`.slice(0, 128);
      return errorResponse(new GfsError("ProtocolError", `Cannot answer ${what}: a ${options.role} has no such route`));
    });
    this.#hono.onError((error) => errorResponse(error));
  }

  fetch(request: Request, remote: () => string): Response | Promise<Response> {
    return this.#hono.fetch(request, { remote });
  }

  async #serve(c: Context<Env>, served: Route, caller: "greeting" | "known"): Promise<Response> {
    let bytes = 0;
    this.#requests++;
    try {
      bytes = this.#admit(c, caller === "greeting" ? helloBytesMax : protocol.controlRequestBytesMax);
      this.#bytes += bytes;
      const from = caller === "known" ? this.#connectionOf(c) : undefined;
      const body = await this.#read(c);
      if (body.length > bytes) throw tooLong(c.req.path, body.length, bytes);
      if (from !== undefined) this.#verify(c, from, body);
      const role = from?.connection.role ?? "tool";
      const reply = await served.answer(body, { role });
      return new Response(encodeCbor(reply), cborAnswer);
    } catch (thrown) {
      return this.#refuse(served.message.name, thrown);
    } finally {
      this.#requests--;
      this.#bytes -= bytes;
    }
  }

  /** The length of the body, which no request may leave out: it bounds what is read before anything is known about the caller. */
  #admit(c: Context<Env>, bytesMax: number): number {
    const declared = c.req.raw.headers.get("content-length");
    const bytes = declared === null ? Number.NaN : Number(declared);
    if (!Number.isSafeInteger(bytes))
      throw new GfsError("ProtocolError", `Cannot answer ${c.req.path}: the request does not say how long it is`);
    if (bytes > bytesMax) throw tooLong(c.req.path, bytes, bytesMax);
    if (this.#requests > (this.#options.requestsMax ?? requestsMaxDefault) || this.#bytes + bytes > bytesInWorkMax)
      throw new GfsError("Busy", `Cannot answer ${c.req.path} now: too many requests are in work`, {
        retryAfterMs: busyRetryMs,
      });
    return bytes;
  }

  /** A caller that goes away, or stalls, before its request is whole: an operating error, and no bug. */
  #read(c: Context<Env>): Promise<Uint8Array> {
    const { path } = c.req;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const arrival: Expiring = {
      dueMs: this.#world.clock.monotonicMs() + bodyMs,
      expire: () =>
        reject(new GfsError("Timeout", `Cannot get the rest of a request for ${path}: no answer within ${bodyMs} ms`)),
    };
    this.#arrivals.add(arrival);
    const arrived = (): void => this.#arrivals.remove(arrival);
    c.req.raw.arrayBuffer().then(
      (body) => {
        arrived();
        return resolve(new Uint8Array(body));
      },
      (cause: unknown) => {
        arrived();
        const why = `Cannot answer ${path}: its caller ended within the request`;
        reject(new GfsError("ProtocolError", why, { cause }));
      },
    );
    return promise;
  }

  #connectionOf(c: Context<Env>): { readonly id: string; readonly connection: ControlConnection } {
    const id = c.req.raw.headers.get(headers.connection) ?? "";
    const connection = this.#connections.find(id);
    if (connection === undefined) throw sayHelloFirst(c.req.path);
    return { id, connection };
  }

  /** @throws GfsError("Denied"), or what makes the client say hello again. */
  #verify(
    c: Context<Env>,
    { id, connection }: { readonly id: string; readonly connection: ControlConnection },
    body: Uint8Array,
  ): void {
    const { clock, crypto } = this.#world;
    const { key, window } = connection;
    const path = c.req.path;
    const counter = c.req.raw.headers.get(headers.counter) ?? "";
    const number = Number(counter);
    if (!(number >= 1)) throw new GfsError("Denied", `Cannot answer ${path}: the request has no counter`);
    if (key !== undefined) {
      const mac = c.req.raw.headers.get(headers.mac) ?? "";
      if (!equalMacs(mac, requestMac(crypto, key, { path, counter, body })))
        throw new GfsError(
          "Denied",
          `Cannot answer ${path}: the request does not prove that its sender has the secret`,
        );
    }
    // Also without a secret: what was refused once must not take effect when it comes again, late.
    switch (window.accept(number)) {
      case "new":
        break;
      case "replayed":
        throw new GfsError("Denied", `Cannot answer ${path}: request ${number} of this connection came before`);
      case "old":
        throw sayHelloFirst(path);
    }
    this.#connections.use(id, connection, clock.monotonicMs());
  }

  #greet(request: z.infer<typeof hello.request>, remote: string): z.infer<typeof hello.reply> {
    const { world, options } = { world: this.#world, options: this.#options };
    const version = agreedVersion(remote, request);
    const { clusterId, epoch } = options.identity();
    checkCluster(remote, clusterId, request.clusterId);
    const connection = world.random.bytes(16).toHex();
    const nonce = new Uint8Array(world.random.bytes(32));
    const { role, secret } = options;
    const facts = {
      callerNonce: request.nonce,
      serverNonce: nonce,
      callerRole: request.role,
      serverRole: role,
      connection,
    };
    const key = secret === undefined ? undefined : requestKey(world.crypto, secret, facts);
    const usedMs = world.clock.monotonicMs();
    this.#connections.add(connection, { role: request.role, key, window: new ReplayWindow(), usedMs });
    return {
      version,
      role,
      connection,
      nonce,
      secure: secret !== undefined,
      ...(clusterId === undefined ? {} : { clusterId }),
      ...(epoch === undefined ? {} : { epoch }),
      ...(secret === undefined ? {} : { proof: helloProof(world.crypto, secret, facts) }),
    };
  }

  #refuse(name: string, thrown: unknown): Response {
    const error = asGfsError(thrown);
    if (error.code === "Bug") {
      const stack = thrown instanceof Error ? (thrown.stack ?? "") : "";
      this.#world.events.emit("error", "control.bug", { message: name, error: error.message, stack });
      this.#options.onBug?.(thrown);
    }
    return errorResponse(error);
  }
}

function tooLong(path: string, bytes: number, bytesMax: number): GfsError {
  return new GfsError(
    "ProtocolError",
    `Cannot answer ${path}: a request of ${bytes} bytes is too long, ${bytesMax} are allowed`,
  );
}

function sayHelloFirst(path: string): GfsError {
  return new GfsError("Unavailable", `Cannot answer ${path}: its connection is unknown here, say hello first`, {
    details: { connection: unknownConnection },
  });
}
