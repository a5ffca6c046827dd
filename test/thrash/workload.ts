/**
 * What clients do, decided here by the seed and done by their programs: several operations at a time each, all of them in the history. A call is noted before
 * the command is sent and an answer after it came, so the history's intervals hold the true ones.
 */
import { GfsError, isErrorCode } from "../../src/base/errors.ts";
import { crc32 } from "../../src/base/checksum.ts";
import { parseContent, type ParsedContent, recordBytesMin, recordOf } from "../sim/content.ts";
import {
  type AppendCall,
  type History,
  isDone,
  isUnknown,
  type ListCall,
  type MoveCall,
  type Operation,
  type PutCall,
  type ReadCall,
  type RemoveCall,
  type StatCall,
} from "../sim/history.ts";
import type { Prng } from "../sim/world/prng.ts";
import type { Answer, Command } from "./client-commands.ts";
import { ClientGone, type ClientProcess } from "./client-process.ts";

export interface WorkloadShape {
  readonly hotFiles: number;
  readonly appendsPerHotFile: number;
  readonly groups: number;
  readonly filesPerGroup: number;
  readonly operationsPerGroup: number;
  readonly lanes: number;
  /** Mean rest of a lane between two operations. */
  readonly restMs: number;
  readonly largestPut: number;
}

export const standardShape: WorkloadShape = {
  hotFiles: 5,
  appendsPerHotFile: 500,
  groups: 30,
  filesPerGroup: 2,
  operationsPerGroup: 60,
  lanes: 6,
  restMs: 30,
  largestPut: 3_000_000,
};

interface Lane {
  readonly client: ClientProcess;
  readonly name: string;
  readonly prng: Prng;
}

/** How long an operation took, for the figures. */
export interface Timing {
  readonly operation: Operation;
  readonly calledMs: number;
  readonly tookMs: number;
  /** How much of that its client was made to stand still. */
  readonly pausedMs: number;
}

export class ThrashWorkload {
  readonly history: History;
  readonly timings: Timing[] = [];
  readonly #clients: readonly ClientProcess[];
  readonly #prng: Prng;
  readonly #shape: WorkloadShape;
  /** Directory of all that this workload does. */
  readonly root: string;
  readonly #perGroup = new Map<string, number>();
  readonly #perHotFile = new Map<string, number>();
  #running = 0;
  #lanes: Promise<void>[] = [];
  #over = false;

  constructor(options: {
    readonly history: History;
    readonly clients: readonly ClientProcess[];
    readonly prng: Prng;
    readonly shape: WorkloadShape;
    readonly root: string;
  }) {
    this.history = options.history;
    this.#clients = options.clients;
    this.#prng = options.prng;
    this.#shape = options.shape;
    this.root = options.root;
  }

  get running(): number {
    return this.#running;
  }

  get groups(): readonly string[] {
    return Array.from({ length: this.#shape.groups }, (_, i) => `${this.root}/group${i}`);
  }

  get hotPaths(): readonly string[] {
    return Array.from({ length: this.#shape.hotFiles }, (_, i) => `${this.root}/hot/f${i}`);
  }

  /** Every path that was perhaps written to. */
  get paths(): readonly string[] {
    const files = Array.from({ length: this.#shape.filesPerGroup }, (_, i) => i);
    return [...this.hotPaths, ...this.groups.flatMap((group) => files.map((i) => `${group}/f${i}`))];
  }

  start(): void {
    for (const client of this.#clients) {
      for (let i = 0; i < this.#shape.lanes; i++)
        this.#lanes.push(this.#runLane(client, `${client.name}/${i}`, this.#prng.fork(`${client.name}/${i}`)));
    }
  }

  /** No new operations; resolves when those in flight have ended. */
  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#lanes);
  }

  /** Content that somebody read of a whole file, by other ways than a client program. */
  noteRead(name: string, path: string): { done: (bytes: Uint8Array | undefined) => ReadCall } {
    const call = this.history.add<ReadCall>({ ...this.history.call(name, path), kind: "read", content: undefined });
    return {
      done: (bytes) => {
        call.content = bytes === undefined ? undefined : parseContent(bytes);
        this.history.done(call);
        return call;
      },
    };
  }

  async #runLane(client: ClientProcess, name: string, prng: Prng): Promise<void> {
    while (!this.#over) {
      const rest = prng.chance(0.1) ? 5 : 0.5;
      await Bun.sleep(prng.fraction() * 2 * rest * this.#shape.restMs);
      if (this.#over) return;
      if (!client.alive) {
        await Bun.sleep(100);
        continue;
      }
      this.#running++;
      await this.#operate({ client, name: `${name}.${client.starts}`, prng });
      this.#running--;
    }
  }

  async #operate(lane: Lane): Promise<void> {
    const { prng } = lane;
    const hot = prng.chance(0.6);
    const draw = prng.fraction();
    if (hot) {
      const path = this.hotPaths[prng.integer(0, this.#shape.hotFiles - 1)]!;
      const more = (this.#perHotFile.get(path) ?? 0) < this.#shape.appendsPerHotFile;
      if (more && draw < 0.15) return this.#appendRun(lane, path);
      if (more && draw < 0.75) return this.#append(lane, path, true);
      if (draw < 0.85) return this.#range(lane, path);
      return draw < 0.95 ? this.#read(lane, path) : this.#stat(lane, path);
    }
    const directory = this.groups[prng.integer(0, this.#shape.groups - 1)]!;
    const count = this.#perGroup.get(directory) ?? 0;
    if (count >= this.#shape.operationsPerGroup) return;
    this.#perGroup.set(directory, count + 1);
    const fileOf = (): string => `${directory}/f${prng.integer(0, this.#shape.filesPerGroup - 1)}`;
    const path = fileOf();
    if (draw < 0.3) return this.#put(lane, path);
    if (draw < 0.5) return this.#append(lane, path, prng.chance(0.7));
    if (draw < 0.55) return this.#appendRun(lane, path);
    if (draw < 0.78) return this.#read(lane, path);
    if (draw < 0.83) return this.#stat(lane, path);
    if (draw < 0.9) return this.#remove(lane, path);
    if (draw < 0.95) return this.#list(lane, directory);
    const to = fileOf();
    if (to !== path) return this.#move(lane, path, to);
  }

  /** Sends a command; undefined where its client died. */
  async #ask(lane: Lane, command: Command, more?: (answer: Answer) => void): Promise<Answer | undefined> {
    try {
      return await lane.client.ask(command, more);
    } catch (error) {
      if (error instanceof ClientGone) return undefined;
      throw error;
    }
  }

  /** Notes how it ended; `look` takes what an answer without error tells. */
  #settle(operation: Operation, answer: Answer | undefined, look: (answer: Answer) => void): void {
    if (answer === undefined) return;
    if (answer.error === undefined) {
      look(answer);
      this.history.done(operation);
    } else {
      const error = errorOf(answer.error);
      const looks = operation.kind === "read" || operation.kind === "stat" || operation.kind === "list";
      if (looks && error.code === "NotFound") this.history.done(operation);
      else this.history.failed(operation, error);
    }
  }

  async #timed(lane: Lane, operation: Operation, perform: () => Promise<void>): Promise<void> {
    const beganMs = performance.now();
    const pausedBefore = lane.client.pausedMs;
    await perform();
    if (operation.ending === undefined) return;
    const pausedMs = lane.client.pausedMs - pausedBefore;
    this.timings.push({ operation, calledMs: beganMs, tookMs: performance.now() - beganMs, pausedMs });
  }

  /** One command, one answer. */
  #simple(lane: Lane, operation: Operation, command: Command, look: (answer: Answer) => void): Promise<void> {
    return this.#timed(lane, operation, async () => {
      this.#settle(operation, await this.#ask(lane, command), look);
    });
  }

  #giveUpMs({ prng }: Lane): number | undefined {
    return prng.chance(0.04) ? Math.floor(prng.fraction() ** 2 * 2_000) : undefined;
  }

  #put(lane: Lane, path: string): Promise<void> {
    const { prng } = lane;
    const draw = prng.fraction();
    const most = draw < 0.6 ? 20_000 : draw < 0.9 ? 700_000 : this.#shape.largestPut;
    const bytes = draw < 0.05 ? 0 : recordBytesMin + Math.floor(prng.fraction() * most);
    const overwrite = prng.chance(0.8);
    const base = this.history.call(lane.name, path);
    const call = this.history.add<PutCall>({ ...base, kind: "put", bytes, overwrite });
    const how = { tool: prng.chance(0.08), giveUpMs: this.#giveUpMs(lane) };
    return this.#simple(lane, call, { kind: "put", path, call: call.id, bytes, overwrite, ...how }, () => {});
  }

  #newAppend(lane: Lane, path: string, create: boolean, found: number | undefined): AppendCall {
    const { prng } = lane;
    const draw = prng.fraction();
    const most = draw < 0.02 ? 1_500_000 : draw < 0.2 ? 60_000 : 2_000;
    const bytes = recordBytesMin + Math.floor(prng.fraction() * most);
    this.#perHotFile.set(path, (this.#perHotFile.get(path) ?? 0) + 1);
    const base = this.history.call(lane.name, path);
    const at = found ?? base.called;
    return this.history.add<AppendCall>({
      ...base,
      kind: "append",
      bytes,
      create,
      found: at,
      lane: lane.name,
      offsets: [],
    });
  }

  /** One record; under a key it is sent again while its outcome is unknown, by another client where its own died. */
  async #append(lane: Lane, path: string, create: boolean): Promise<void> {
    const { prng } = lane;
    const call = this.#newAppend(lane, path, create, undefined);
    const keyed = path.startsWith(`${this.root}/hot/`) && prng.chance(0.3);
    const key = keyed ? `${this.root} ${call.id}` : undefined;
    const command: Command = {
      kind: "append",
      path,
      call: call.id,
      bytes: call.bytes,
      create,
      key,
      tool: create && prng.chance(0.05),
      giveUpMs: this.#giveUpMs(lane),
    };
    await this.#timed(lane, call, async () => {
      let doubt: GfsError | undefined;
      let gone = false;
      for (let attempt = 0; attempt < 5; attempt++) {
        const client = attempt === 0 ? lane.client : this.#clients[prng.integer(0, this.#clients.length - 1)]!;
        const answer = await this.#ask({ ...lane, client }, command);
        gone ||= answer === undefined;
        if (answer?.offset !== undefined) {
          call.offsets.push(answer.offset);
          // An id repeated after its answer gets the same answer.
          if (keyed && call.offsets.length < 2 && prng.chance(0.1)) continue;
        }
        if (call.offsets.length > 0) return this.history.done(call);
        const error = answer?.error === undefined ? undefined : errorOf(answer.error);
        if (error !== undefined && isUnknown(error)) doubt = error;
        const again = keyed && (answer === undefined || doubt === error) && !this.#over;
        if (again) {
          if (answer === undefined) await Bun.sleep(300);
          continue;
        }
        // What a later attempt is refused with says nothing about an earlier one.
        const told = doubt ?? error;
        if (told !== undefined && !(gone && !isUnknown(told))) this.history.failed(call, told);
        return;
      }
    });
  }

  async #appendRun(lane: Lane, path: string): Promise<void> {
    const { prng } = lane;
    const hot = path.startsWith(`${this.root}/hot/`);
    const found = this.history.tick();
    const calls = new Map<number, AppendCall>();
    for (let i = prng.integer(1, hot ? 30 : 5); i > 0; i--) {
      const call = this.#newAppend(lane, path, hot, found);
      calls.set(call.id, call);
    }
    const records = [...calls.values()].map(({ id, bytes }) => ({ call: id, bytes }));
    const restMs = prng.chance(0.7) ? 0 : prng.fraction() * 300;
    const beganMs = performance.now();
    const pausedBefore = lane.client.pausedMs;
    const last = await this.#ask(lane, { kind: "run", path, create: hot, restMs, records }, (answer) => {
      const call = calls.get(answer.call ?? -1);
      if (call === undefined) return;
      calls.delete(call.id);
      this.#settle(call, answer, ({ offset }) => call.offsets.push(offset ?? -1));
      const tookMs = performance.now() - beganMs;
      const pausedMs = lane.client.pausedMs - pausedBefore;
      this.timings.push({ operation: call, calledMs: beganMs, tookMs, pausedMs });
    });
    // What was never sent: the appender was refused, or failed before.
    if (last?.error === undefined) return;
    for (const call of calls.values()) this.history.failed(call, errorOf(last.error));
  }

  #read(lane: Lane, path: string): Promise<void> {
    const base = this.history.call(lane.name, path);
    const call = this.history.add<ReadCall>({ ...base, kind: "read", content: undefined });
    const tool = lane.prng.chance(0.05);
    return this.#simple(lane, call, { kind: "read", path, tool }, ({ content }) => {
      call.content = contentOf(content);
    });
  }

  /** A part of a record whose place is known. */
  async #range(lane: Lane, path: string): Promise<void> {
    const { prng, client } = lane;
    const known = this.history.operations.filter(
      (one): one is AppendCall => one.kind === "append" && one.path === path && isDone(one),
    );
    const append = known[prng.integer(0, Math.max(0, known.length - 1))];
    if (append === undefined) return;
    const from = prng.integer(0, append.bytes - 1);
    const length = prng.integer(1, append.bytes - from);
    const answer = await this.#ask(lane, { kind: "range", path, offset: (append.offsets[0] ?? 0) + from, length });
    if (answer === undefined || answer.error !== undefined) return;
    const wanted = recordOf(append.id, append.bytes).subarray(from, from + length);
    if (answer.bytes === length && answer.crc === crc32(wanted)) return;
    this.history.violations.push({
      promise: "P2",
      what: `${client.name} read ${answer.bytes} bytes of ${path} from byte ${from} of append #${append.id} at ${append.offsets.join(", ")}: not the ${length} that were written`,
    });
  }

  #stat(lane: Lane, path: string): Promise<void> {
    const base = this.history.call(lane.name, path);
    const call = this.history.add<StatCall>({ ...base, kind: "stat", bytes: undefined });
    return this.#simple(lane, call, { kind: "stat", path }, ({ bytes }) => {
      call.bytes = bytes;
    });
  }

  #remove(lane: Lane, path: string): Promise<void> {
    const skipTrash = lane.prng.chance(0.5);
    const base = this.history.call(lane.name, path);
    const call = this.history.add<RemoveCall>({ ...base, kind: "remove", recursive: false, skipTrash });
    const how = { skipTrash, giveUpMs: this.#giveUpMs(lane) };
    return this.#simple(lane, call, { kind: "remove", path, ...how }, () => {});
  }

  #move(lane: Lane, path: string, to: string): Promise<void> {
    const overwrite = lane.prng.chance(0.5);
    const base = this.history.call(lane.name, path);
    const call = this.history.add<MoveCall>({ ...base, kind: "move", to, overwrite });
    const giveUpMs = this.#giveUpMs(lane);
    return this.#simple(lane, call, { kind: "move", path, to, overwrite, giveUpMs }, () => {});
  }

  #list(lane: Lane, path: string): Promise<void> {
    const base = this.history.call(lane.name, path);
    const call = this.history.add<ListCall>({ ...base, kind: "list", names: undefined });
    return this.#simple(lane, call, { kind: "list", path }, ({ names }) => {
      call.names = names ?? [];
    });
  }
}

function errorOf({ code, message }: { readonly code: string; readonly message: string }): GfsError {
  return new GfsError(isErrorCode(code) ? code : "Bug", message);
}

function contentOf(content: Answer["content"]): ParsedContent | undefined {
  if (content === undefined) return undefined;
  const records = content.records.map(([operation, offset, bytes]) => ({ operation, offset, bytes }));
  if (content.kind === "broken") return { kind: "broken", records, why: content.why };
  return { kind: "whole", records, bytes: records.reduce((sum, { bytes }) => sum + bytes, 0) };
}
