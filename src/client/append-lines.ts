/** The lines of records of one client: one for each file, in a session that no other line of that file has used (DESIGN §4.1). */
import type { InodeId, SessionId } from "../wire/ids.ts";
import { AppendLine } from "./append-line.ts";
import type { ClientContext, Operation } from "./context.ts";
import type { MutationSession } from "./session.ts";
import { SharedOpening } from "./shared-opening.ts";

/** A session in which lines begin with sequence 1. */
interface LineSession {
  readonly id: SessionId;
  lines: number;
  /** A line in it is gone: no other begins in it, for it could be the same file's. */
  over: boolean;
}

/** A file's line, which makes no room for others before this is disposed. */
export interface HeldLine extends Disposable {
  readonly line: AppendLine;
}

interface KnownLine {
  readonly line: AppendLine;
  holders: number;
}

export class AppendLines {
  readonly #ctx: ClientContext;
  readonly #session: MutationSession;
  readonly #lines = new Map<InodeId, KnownLine>();
  /** In which new lines begin; never one that is over. */
  readonly #current = new SharedOpening<LineSession>();
  #opened = false;

  constructor(ctx: ClientContext, session: MutationSession) {
    this.#ctx = ctx;
    this.#session = session;
  }

  /** The file's line. @throws GfsError where no session can be opened */
  async take(op: Operation, inode: InodeId): Promise<HeldLine> {
    if (this.#lines.size >= this.#ctx.limits.appendLinesPerClientMax && !this.#lines.has(inode)) this.#dropUnheld();
    for (;;) {
      const known = this.#lines.get(inode);
      if (known !== undefined && !known.line.broken) return hold(known);
      const session = await this.#current.get(op, () => this.#open(op));
      // Others may have made the line meanwhile, or lost one that was in this session.
      if (!session.over && !this.#lines.has(inode)) return hold(this.#begin(inode, session));
    }
  }

  /** What is unanswered is told that nobody knows. */
  close(): void {
    for (const { line } of this.#lines.values()) line.close();
    this.#lines.clear();
  }

  async #open(op: Operation): Promise<LineSession> {
    // The first one has the client's mutations too.
    const id = this.#opened ? await this.#session.openAnother(op) : await this.#session.share(op);
    this.#opened = true;
    return { id, lines: 0, over: false };
  }

  #begin(inode: InodeId, session: LineSession): KnownLine {
    const line = new AppendLine(this.#ctx, {
      inode,
      session: session.id,
      first: 1,
      onBroken: (unknown) => {
        if (this.#lines.get(inode) === known) this.#lines.delete(inode);
        if (unknown) this.#session.abandon(session.id);
        this.#leave(session);
      },
    });
    const known = { line, holders: 0 };
    session.lines++;
    this.#lines.set(inode, known);
    return known;
  }

  #leave(session: LineSession): void {
    session.lines--;
    if (!session.over) this.#current.forget();
    session.over = true;
    if (session.lines === 0) this.#session.end(session.id);
  }

  /** Their files get lines in another session, should they be appended to again. */
  #dropUnheld(): void {
    for (const { line, holders } of this.#lines.values())
      if (holders === 0 && line.idle) line.close("the appender was closed");
  }
}

function hold(known: KnownLine): HeldLine {
  known.holders++;
  let held = true;
  return {
    line: known.line,
    [Symbol.dispose]: () => {
      if (held) known.holders--;
      held = false;
    },
  };
}
