/** The chain stream that comes down from the member above (DESIGN §4.3): records and committed lengths in, votes out. */
import { GfsError } from "../base/errors.ts";
import type { Frame } from "../wire/data/frame.ts";
import { ChainOpen, decodeHeader } from "../wire/data/headers.ts";
import { decodeChainAppend, decodeLength, encodeLength } from "../wire/data/records.ts";
import type { Context } from "./context.ts";
import type { DataStream, StreamReply } from "./data-stream.ts";
import type { OpenSecondary, Upstream } from "./open-secondary.ts";
import type { Roles } from "./roles.ts";

export class ChainStream implements DataStream, Upstream {
  readonly #context: Context;
  readonly #reply: StreamReply;
  readonly #secondary: OpenSecondary;

  /** @throws GfsError ReplicaMissing | VersionStale | ChunkClosed */
  constructor(context: Context, reply: StreamReply, frame: Frame, roles: Roles) {
    const open = decodeHeader(ChainOpen, frame.header);
    const what = `Cannot join the chain of chunk ${open.handle} at version ${open.version}`;
    if (open.chain[0]?.volume !== context.store.volume)
      throw new GfsError("ReplicaMissing", `${what}: this is volume ${context.store.volume}`);
    const role = roles.get(open.handle);
    if (role?.kind !== "secondary") throw new GfsError("ChunkClosed", `${what}: this volume is no member of it now`);
    this.#context = context;
    this.#reply = reply;
    this.#secondary = role;
    role.attach(this, open.version);
    reply.send("chainOpened", new Uint8Array(0));
  }

  accept(frame: Frame): Promise<void> | undefined {
    if (frame.type === "chainAppend") {
      const record = decodeChainAppend(frame);
      if (!this.#context.store.hasRoom)
        return this.#context.store.room().then(() => this.#secondary.append(record, frame.header));
      this.#secondary.append(record, frame.header);
      return undefined;
    }
    if (frame.type !== "chainCommitted")
      throw new GfsError("ProtocolError", `Cannot take a ${frame.type} frame in a chain`);
    this.#secondary.learn(decodeLength(frame));
    return undefined;
  }

  vote(length: number): void {
    this.#reply.send("chainPrepared", encodeLength(length));
  }

  fail(error: GfsError): void {
    this.#reply.fail(error, this.#context.store.volume);
  }

  /** An idle chain may stay: the primary has a deadline for every record. */
  check(): void {}

  abandon(): void {
    this.#secondary.detach(this);
  }
}
