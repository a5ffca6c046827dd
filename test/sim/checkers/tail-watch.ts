/**
 * Judges open chunks as things happen, by the events that every role tells anyway: what a primary commits was prepared durably by every member (P1), one server only commits at a
 * version, and a seal is not shorter than what was committed.
 */
import type { Violation } from "../history.ts";

/** As roles emit them. */
export interface WatchedEvent {
  readonly machine: string;
  readonly name: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

interface Tail {
  readonly members: number;
  /** Server by server, the length that it has synced and voted for. */
  readonly prepared: Map<string, number>;
  primary: string | undefined;
  committed: number;
}

export class TailWatch {
  readonly #tails = new Map<string, Tail>();
  /** The most that was committed of a chunk, at any version. */
  readonly #committed = new Map<number, number>();
  readonly #violations: Violation[];

  constructor(violations: Violation[]) {
    this.#violations = violations;
  }

  see({ machine, name, fields }: WatchedEvent): void {
    if (!name.startsWith("mutation.")) return;
    const { chunk, version, length, members, inode } = fields;
    if (typeof chunk !== "number" || typeof version !== "number") return;
    const key = `${chunk}:${version}`;
    // The master's word of a new tail; chunks of puts have no inode yet.
    if (name === "mutation.START" && typeof inode === "number" && Array.isArray(members))
      this.#tails.set(key, { members: members.length, prepared: new Map(), primary: undefined, committed: 0 });
    if (typeof length !== "number") return;
    const tail = this.#tails.get(key);
    if (name === "mutation.PREPARE" && tail !== undefined)
      tail.prepared.set(machine, Math.max(length, tail.prepared.get(machine) ?? 0));
    if (name === "mutation.COMMIT" && tail !== undefined) this.#commit(tail, { machine, chunk, version, length });
    if (name === "mutation.SEAL" && Array.isArray(members)) this.#seal({ chunk, version, length });
  }

  #commit(
    tail: Tail,
    at: { readonly machine: string; readonly chunk: number; readonly version: number; readonly length: number },
  ): void {
    const { machine, chunk, version, length } = at;
    tail.primary ??= machine;
    if (tail.primary !== machine)
      this.#violate(
        "P2",
        `${machine} commits to chunk ${chunk} at version ${version}, of which ${tail.primary} is primary`,
      );
    if (length <= tail.committed) return;
    tail.committed = length;
    this.#committed.set(chunk, Math.max(length, this.#committed.get(chunk) ?? 0));
    const holders = [...tail.prepared.values()].filter((prepared) => prepared >= length).length;
    if (holders < tail.members)
      this.#violate(
        "P1",
        `${machine} commits ${length} bytes of chunk ${chunk} at version ${version}, which ${holders} of ${tail.members} members have synced`,
      );
  }

  #seal({
    chunk,
    version,
    length,
  }: {
    readonly chunk: number;
    readonly version: number;
    readonly length: number;
  }): void {
    const committed = this.#committed.get(chunk) ?? 0;
    if (length < committed)
      this.#violate(
        "P1",
        `chunk ${chunk} is sealed at version ${version} with ${length} bytes, after ${committed} were committed`,
      );
    this.#committed.delete(chunk);
  }

  #violate(promise: string, what: string): void {
    if (this.#violations.length < 20) this.#violations.push({ promise, what });
  }
}
