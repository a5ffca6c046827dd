/** A client's append stream at the primary (DESIGN §4.3): records in, answers out, as many unanswered as the window allows. */
import { GfsError } from "../base/errors.ts";
import type { AppendAnswer } from "../wire/control/common.ts";
import type { Frame } from "../wire/data/frame.ts";
import { AppendOpen, AppendOpened, decodeHeader, encodeHeader } from "../wire/data/headers.ts";
import { decodeAppend, encodeAppendAnswer, encodeAppendRefusal } from "../wire/data/records.ts";
import type { Sequence, SessionId } from "../wire/ids.ts";
import type { Context } from "./context.ts";
import type { DataStream, StreamReply } from "./data-stream.ts";
import type { Asker, OpenPrimary } from "./open-primary.ts";
import type { Roles } from "./roles.ts";

/** Answers waiting for a client that does not read them, beyond which it is not listened to. */
const answerBytesMax = 1_048_576;

export class AppendStream implements DataStream, Asker {
  readonly #context: Context;
  readonly #reply: StreamReply;
  readonly #primary: OpenPrimary;
  readonly #session: SessionId;
  readonly #id: number;
  /** After a refusal the stream takes no more records; earlier ones are still answered. */
  #refused = false;

  /** @throws GfsError ReplicaMissing | NotPrimary | VersionStale | InodeChanged */
  constructor(context: Context, reply: StreamReply, frame: Frame, roles: Roles) {
    const open = decodeHeader(AppendOpen, frame.header);
    const what = `Cannot append to chunk ${open.handle} at version ${open.version}`;
    if (open.volume !== context.store.volume)
      throw new GfsError("ReplicaMissing", `${what}: this is volume ${context.store.volume}`);
    const role = roles.get(open.handle);
    if (role?.kind !== "primary") throw new GfsError("NotPrimary", `${what}: this volume is not its primary`);
    if (role.version !== open.version) throw new GfsError("VersionStale", `${what}: this primary has ${role.version}`);
    if (role.inode !== open.inode)
      throw new GfsError("InodeChanged", `${what}: it belongs to inode ${role.inode}, not ${open.inode}`);
    this.#context = context;
    this.#reply = reply;
    this.#primary = role;
    this.#session = open.session;
    this.#id = role.join(this);
    reply.send("appendOpened", encodeHeader(AppendOpened, { answers: role.answersOf(open.session) }));
  }

  accept(frame: Frame): Promise<void> | undefined {
    if (frame.type === "append") {
      if (this.#refused) return undefined;
      const record = decodeAppend(frame);
      if (!this.#context.store.hasRoom || this.#reply.queuedBytes > answerBytesMax) return this.#later(frame);
      this.#primary.append(this.#id, this.#session, record);
      return this.#primary.room();
    }
    if (frame.type !== "appendClose")
      throw new GfsError("ProtocolError", `Cannot take a ${frame.type} frame in an append stream`);
    this.#primary.leave(this.#id);
    this.#reply.end();
    return undefined;
  }

  answered(answer: AppendAnswer): void {
    this.#reply.send("appendAnswer", encodeAppendAnswer(answer));
  }

  refused(sequence: Sequence, error: GfsError): void {
    this.#refused = true;
    this.#reply.send("appendAnswer", encodeAppendRefusal(sequence, error));
  }

  /** Nothing to give up by time: the primary has a deadline for every record, and an idle client may stay. */
  check(): void {}

  abandon(): void {
    this.#primary.leave(this.#id);
  }

  /** When the volume log has room, and the client reads its answers. */
  async #later(frame: Frame): Promise<void> {
    await this.#context.store.room();
    await this.#reply.sent(answerBytesMax);
    if (this.#refused) return;
    this.#primary.append(this.#id, this.#session, decodeAppend(frame));
    await this.#primary.room();
  }
}
