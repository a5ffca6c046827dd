/** The lines of records of one client: one for each file, in a session that no other line of that file has used (DESIGN §4.1). */
import type { InodeId, SessionId } from "../wire/ids.ts";
import { AppendLine } from "./append-line.ts";
import type { ClientContext, Operation } from "./context.ts";
import type { MutationSession } from "./session.ts";

/** Files whose place in the session is remembered; beyond it another session begins. */
const linesMax = 4_096;

export class AppendLines {
  readonly #ctx: ClientContext;
  readonly #session: MutationSession;
  readonly #lines = new Map<InodeId, AppendLine>();
  readonly #opening = new Map<InodeId, Promise<AppendLine>>();
  /** In which new lines begin with sequence 1; undefined once some line in it is gone. */
  #current: Promise<SessionId> | undefined;
  #first = true;

  constructor(ctx: ClientContext, session: MutationSession) {
    this.#ctx = ctx;
    this.#session = session;
  }

  /** The file's line. @throws GfsError where no session can be opened */
  async take(op: Operation, inode: InodeId): Promise<AppendLine> {
    const known = this.#lines.get(inode);
    if (known !== undefined && !known.broken) return known;
    let opening = this.#opening.get(inode);
    if (opening === undefined) {
      opening = this.#open(op, inode).finally(() => this.#opening.delete(inode));
      this.#opening.set(inode, opening);
    }
    return opening;
  }

  /** What is unanswered is told that nobody knows. */
  close(): void {
    for (const line of this.#lines.values()) line.close();
    this.#lines.clear();
  }

  async #open(op: Operation, inode: InodeId): Promise<AppendLine> {
    if (this.#lines.size >= linesMax) this.#dropIdle();
    const session = await this.#sessionFor(op);
    const line = new AppendLine(this.#ctx, {
      inode,
      session,
      first: 1,
      onBroken: (unknown) => {
        if (this.#lines.get(inode) === line) this.#lines.delete(inode);
        if (unknown) this.#session.abandon(session);
        // An ended one would be given out again otherwise.
        this.#first = false;
        this.#current = undefined;
      },
    });
    this.#lines.set(inode, line);
    return line;
  }

  async #sessionFor(op: Operation): Promise<SessionId> {
    if (this.#current === undefined) {
      const opening = this.#first ? this.#session.current(op) : this.#session.openAnother(op);
      this.#first = false;
      this.#current = opening;
      opening.catch(() => {
        if (this.#current === opening) this.#current = undefined;
      });
    }
    return this.#current;
  }

  /** Their files get lines in another session, should they be appended to again. */
  #dropIdle(): void {
    this.#current = undefined;
    for (const [inode, line] of this.#lines) {
      if (!line.idle) continue;
      this.#lines.delete(inode);
      line.close();
    }
  }
}
