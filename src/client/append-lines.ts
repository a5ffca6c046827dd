/** The lines of records of one client: one for each file, in a session that no other line of that file has used (DESIGN §4.1). */
import type { InodeId, SessionId } from "../wire/ids.ts";
import { AppendLine } from "./append-line.ts";
import type { ClientContext, Operation } from "./context.ts";
import type { MutationSession } from "./session.ts";
import { SharedOpening } from "./shared-opening.ts";

/** Files whose place in the session is remembered; beyond it another session begins. */
const linesMax = 4_096;

export class AppendLines {
  readonly #ctx: ClientContext;
  readonly #session: MutationSession;
  readonly #lines = new Map<InodeId, AppendLine>();
  /** In which new lines begin with sequence 1; another one once some line in it is gone. */
  readonly #current = new SharedOpening<SessionId>();
  /** How often that was. */
  #turn = 0;

  constructor(ctx: ClientContext, session: MutationSession) {
    this.#ctx = ctx;
    this.#session = session;
  }

  /** The file's line. @throws GfsError where no session can be opened */
  async take(op: Operation, inode: InodeId): Promise<AppendLine> {
    if (this.#lines.size >= linesMax && !this.#lines.has(inode)) this.#dropIdle();
    for (;;) {
      const known = this.#lines.get(inode);
      if (known !== undefined && !known.broken) return known;
      const turn = this.#turn;
      const session = await this.#current.get(op, () =>
        turn === 0 ? this.#session.current(op) : this.#session.openAnother(op),
      );
      // Others may have made the line meanwhile, or lost one that was in this session.
      if (turn === this.#turn && !this.#lines.has(inode)) return this.#begin(inode, session);
    }
  }

  /** What is unanswered is told that nobody knows. */
  close(): void {
    for (const line of this.#lines.values()) line.close();
    this.#lines.clear();
  }

  #begin(inode: InodeId, session: SessionId): AppendLine {
    const line = new AppendLine(this.#ctx, {
      inode,
      session,
      first: 1,
      onBroken: (unknown) => {
        if (this.#lines.get(inode) === line) this.#lines.delete(inode);
        if (unknown) this.#session.abandon(session);
        this.#endTurn();
      },
    });
    this.#lines.set(inode, line);
    return line;
  }

  /** A session in which a line was would be given out again otherwise. */
  #endTurn(): void {
    this.#turn++;
    this.#current.forget();
  }

  /** Their files get lines in another session, should they be appended to again. */
  #dropIdle(): void {
    this.#endTurn();
    for (const [inode, line] of this.#lines) {
      if (!line.idle) continue;
      this.#lines.delete(inode);
      line.close();
    }
  }
}
