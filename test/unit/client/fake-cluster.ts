import { concatBytes } from "../../../src/base/bytes.ts";
import { GfsError } from "../../../src/base/errors.ts";
import { GfsClient, type ConnectOptions } from "../../../src/client/gfs-client.ts";
import type { World } from "../../../src/io.ts";
import { defaultLimits, type Limits } from "../../../src/limits.ts";
import { type Route, route, serveControl } from "../../../src/net/control-server.ts";
import type { z } from "zod";
import type { MessageType, MutationId } from "../../../src/wire/control/common.ts";
import * as files from "../../../src/wire/control/files.ts";
import { crc32 } from "../../../src/base/checksum.ts";
import { decodeCbor, encodeCbor } from "../../../src/wire/cbor.ts";
import {
  type ChunkHandle,
  chunkHandle,
  chunkVersion,
  clusterId,
  draftId,
  generation,
  inodeId,
  type InodeId,
  type SessionId,
  sessionId,
} from "../../../src/wire/ids.ts";
import type { Machine } from "../../sim/world/machine.ts";
import { type FaultSettings, noFaults } from "../../sim/world/fault-settings.ts";
import { Simulation } from "../../sim/world/simulation.ts";
import { type FakeChunk, FakeChunkserver, newChunk } from "./fake-chunkserver.ts";

export const fakeClusterId = clusterId("c".repeat(32));
export const testLimits: Limits = {
  ...defaultLimits,
  chunkBytes: 65_536 * 4,
  /** So that whole chunks are streamed, and what is left of a file goes in one frame. */
  smallChunkBytesMax: 100_000,
  clientTimeoutMs: 5_000,
  controlMs: 1_000,
  connectMs: 200,
  putStallMs: 1_000,
  readStallMs: 500,
  prepareMs: 500,
};
const version = chunkVersion(1);

interface FakeFile {
  readonly inode: InodeId;
  readonly extents: { handle: ChunkHandle; length: number }[];
  tail: ChunkHandle | undefined;
}

interface FakeDraft {
  readonly target:
    { readonly kind: "put"; readonly path: string } | { readonly kind: "append"; readonly inode: InodeId };
  state: "live" | "ended";
  readonly lists: Map<ChunkHandle, readonly files.WrittenChunk[]>;
}

/** A master as a client sees it, in memory, that never forgets a mutation; and chunkservers. All replicas everywhere. */
export class FakeCluster {
  readonly simulation: Simulation;
  readonly client: Machine;
  readonly master: Machine;
  readonly servers: FakeChunkserver[] = [];
  readonly machines: Machine[] = [];
  readonly files = new Map<string, FakeFile>();
  readonly drafts = new Map<number, FakeDraft>();
  readonly suspects: string[] = [];
  /** Chunks that no server has any more, each with what became of its replicas. */
  readonly lost = new Map<ChunkHandle, string>();
  /** Messages in the order of their arrival. */
  readonly calls: string[] = [];
  /** Of a test's own: what the master answers besides. */
  readonly #others: readonly Route[];
  /** Throws, or does what it likes, before a message is answered. */
  before: (message: string, request: unknown) => void | Promise<void> = () => {};
  /** After it took effect: throwing loses the answer. */
  after: (message: string) => void | Promise<void> = () => {};
  /** The message that is executed, and answered with what nobody understands. */
  garbled: string | undefined;
  readonly #sessions = new Map<string, SessionId>();
  readonly #answers = new Map<string, { print: number; reply: Uint8Array }>();
  /** What the next tail of a file begins with. */
  readonly #tables = new Map<InodeId, FakeChunk["table"]>();
  #next = 10;
  #primary = 0;

  constructor(faults: FaultSettings = noFaults, others: readonly Route[] = []) {
    this.#others = others;
    this.simulation = new Simulation(11, { faults });
    this.master = this.simulation.machine("m");
    this.client = this.simulation.machine("c");
    for (const [i, name] of ["s1", "s2", "s3"].entries()) {
      const machine = this.simulation.machine(name);
      const server = new FakeChunkserver(name, { port: 1, digit: `${i + 1}`, peers: () => this.servers });
      this.servers.push(server);
      this.machines.push(machine);
      machine.run((world) => server.serve(world, fakeClusterId));
    }
    this.startMaster();
  }

  startMaster(): void {
    this.master.run((world) => this.serve(world));
    this.simulation.runFor(10);
  }

  /** Runs code with a connected client, which is closed afterwards. */
  with<T>(code: (client: GfsClient, world: World) => Promise<T>, options: Partial<ConnectOptions> = {}): T {
    return this.simulation.do(this.client, async (world) => {
      await using client = await GfsClient.connect(world, { master: "m:1", limits: testLimits, ...options });
      return await code(client, world);
    });
  }

  /** What a file is now, from any server that has its chunks. */
  content(path: string): Uint8Array {
    const file = this.files.get(path);
    if (file === undefined) throw new Error(`no ${path}`);
    const handles = [...file.extents.map(({ handle }) => handle), ...(file.tail === undefined ? [] : [file.tail])];
    const bytesOf = (handle: ChunkHandle): Uint8Array =>
      this.servers.find(({ chunks }) => chunks.has(handle))?.chunks.get(handle)?.bytes ?? new Uint8Array(0);
    return concatBytes(handles.map(bytesOf));
  }

  addFile(path: string, chunks: readonly Uint8Array[]): void {
    const extents = chunks.map((bytes) => {
      const handle = chunkHandle(this.#next++);
      for (const server of this.servers) server.chunks.set(handle, newChunk(bytes, "closed"));
      return { handle, length: bytes.length };
    });
    this.files.set(path, { inode: inodeId(this.#next++), extents, tail: undefined });
  }

  /** The primary of every tail moves to the next server; what is committed and the tables go along. */
  sealTail(file: FakeFile): void {
    if (file.tail === undefined) return;
    const chunk = this.servers[this.#primary]?.chunks.get(file.tail);
    if (chunk === undefined) throw new Error("no tail");
    chunk.closed = true;
    for (const server of this.servers) server.chunks.set(file.tail, { ...chunk, closed: true });
    if (chunk.bytes.length > 0) file.extents.push({ handle: file.tail, length: chunk.bytes.length });
    file.tail = undefined;
    this.#primary = (this.#primary + 1) % this.servers.length;
    this.#tables.set(file.inode, chunk.table);
  }

  #fileOf(inode: InodeId): FakeFile {
    for (const file of this.files.values()) if (file.inode === inode) return file;
    throw new GfsError("NotFound", `Cannot find inode ${inode}`);
  }

  #chain() {
    const order = [...this.servers.slice(this.#primary), ...this.servers.slice(0, this.#primary)];
    return order.map(({ address }) => address);
  }

  #once<Request extends z.ZodType, Reply extends z.ZodType>(
    { name, reply: schema }: MessageType<Request, Reply>,
    request: { readonly id: MutationId; readonly draft?: number },
    run: () => z.infer<Reply>,
  ): z.infer<Reply> {
    const { session, sequence } = request.id;
    const key = `${session}:${sequence}`;
    const identity = name === "draft-commit" ? { draft: request.draft } : request;
    const print = crc32(encodeCbor({ ...identity, id: undefined }));
    const known = this.#answers.get(key);
    if (known !== undefined) {
      if (known.print !== print) throw new GfsError("IdReused", `Cannot do ${name} again: ${key} was another`);
      return schema.parse(decodeCbor(known.reply));
    }
    const reply = run();
    this.#answers.set(key, { print, reply: encodeCbor(reply) });
    return reply;
  }

  #bound(target: z.infer<typeof files.draftCreate.request>["target"]) {
    if (target.kind !== "append-path") return target;
    const file = this.files.get(target.path);
    if (file !== undefined) return { kind: "append" as const, inode: file.inode };
    if (!target.create) throw new GfsError("NotFound", `Cannot append to ${target.path}`);
    return { kind: "put" as const, path: target.path, overwrite: false };
  }

  #commit(request: z.infer<typeof files.draftCommit.request>) {
    const draft = this.drafts.get(request.draft);
    if (draft?.state !== "live") throw new GfsError("DraftEnded", `Cannot commit draft ${request.draft}: it has ended`);
    draft.state = "ended";
    const listed = request.first === undefined ? [] : draft.lists.get(request.first);
    if (listed === undefined) throw new GfsError("ProtocolError", `Cannot commit draft ${request.draft}: no such list`);
    const extents = [...listed, ...request.chunks].map(({ handle, length }) => ({ handle, length }));
    const bytes = extents.reduce((sum, { length }) => sum + length, 0);
    const common = { generation: generation(1), bytes, shortChunks: 0, replicas: 3 };
    const made = draft.target.kind === "put" ? this.files.get(draft.target.path) : undefined;
    if (draft.target.kind === "put" && (made === undefined || request.ifExists === undefined)) {
      const file = { inode: inodeId(this.#next++), extents, tail: undefined };
      this.files.set(draft.target.path, file);
      return { ...common, inode: file.inode, fileOffset: 0 };
    }
    const file = made ?? this.#fileOf(draft.target.kind === "append" ? draft.target.inode : inodeId(1));
    this.sealTail(file);
    const fileOffset = file.extents.reduce((sum, { length }) => sum + length, 0);
    file.extents.push(...extents);
    return { ...common, inode: file.inode, fileOffset };
  }

  async serve(world: World): Promise<void> {
    const chunk = () => ({ handle: chunkHandle(this.#next++), version, chain: this.#chain() });
    const routes: Route[] = [
      route(files.clusterInfo, async () => ({
        clusterId: fakeClusterId,
        chunkBytes: testLimits.chunkBytes,
        replicas: 3,
        minReplicas: 2,
        clientHeartbeatMs: 1_000,
        draftMs: 10_000,
        insecure: true,
      })),
      route(files.sessionOpen, async ({ key }) => {
        const known = key === undefined ? undefined : this.#sessions.get(key);
        const session = known ?? sessionId(this.#next++);
        if (key !== undefined) this.#sessions.set(key, session);
        return { session };
      }),
      route(files.sessionClose, async () => ({})),
      route(files.clientHeartbeat, async () => ({ clusterId: fakeClusterId, endedDrafts: [] })),
      route(files.replicaSuspect, async ({ volume, reason }) => {
        this.suspects.push(`${volume[0]} ${reason}`);
        return {};
      }),
      route(files.createFile, async (request) =>
        this.#once(files.createFile, request, () => {
          const known = this.files.get(request.path);
          if (known !== undefined && request.mode === "new")
            throw new GfsError("Exists", `Cannot create ${request.path}`);
          if (known !== undefined && request.mode === "open")
            return { inode: known.inode, generation: generation(1), replicas: 3, created: false };
          this.addFile(request.path, []);
          return { inode: this.files.get(request.path)!.inode, generation: generation(1), replicas: 3, created: true };
        }),
      ),
      route(files.draftCreate, async (request) =>
        this.#once(files.draftCreate, request, () => {
          const target = this.#bound(request.target);
          if (target.kind === "append") this.#fileOf(target.inode);
          else if (this.files.has(target.path) && !target.overwrite)
            throw new GfsError("Exists", `Cannot put ${target.path}`);
          const draft = draftId(this.#next++);
          this.drafts.set(draft, { target, state: "live", lists: new Map() });
          const { chunkBytes = testLimits.chunkBytes, firstChunkBytes } = request;
          const inode = target.kind === "append" ? { inode: target.inode } : {};
          const plan = { draft, replicas: 3, minReplicas: 2, chunkBytes, ...inode };
          return firstChunkBytes === undefined ? plan : { ...plan, placement: chunk() };
        }),
      ),
      route(files.chunkAllocate, async ({ draft, excluded }) => {
        if (this.drafts.get(draft)?.state !== "live")
          throw new GfsError("DraftEnded", `Cannot write to draft ${draft}`);
        const chain = this.#chain().filter(({ volume }) => !excluded.includes(volume));
        if (chain.length < 2) throw new GfsError("TooFewServers", "Cannot place a chunk: 2 servers are needed");
        return { placement: { ...chunk(), chain } };
      }),
      route(files.draftCommit, async (request) => this.#once(files.draftCommit, request, () => this.#commit(request))),
      route(files.draftWritten, async ({ draft, first, from, chunks }) => {
        const lists = this.drafts.get(draft)?.lists;
        const list = lists?.get(first) ?? [];
        if (from > list.length) throw new GfsError("ProtocolError", "Cannot write to a draft: a page is missing");
        lists?.set(first, [...list.slice(0, from), ...chunks]);
        return {};
      }),
      route(files.draftAbort, async ({ draft }) => {
        const known = this.drafts.get(draft);
        if (known !== undefined) known.state = "ended";
        return {};
      }),
      route(files.appendTail, async ({ inode, failed }) => {
        const file = this.#fileOf(inode);
        if (failed !== undefined && failed.handle === file.tail) this.sealTail(file);
        file.tail ??= this.#openTail(file);
        const primary = this.servers[this.#primary]?.chunks.get(file.tail);
        return {
          inode,
          generation: generation(1),
          handle: file.tail,
          version,
          chain: this.#chain(),
          fileOffset: primary?.fileOffset ?? 0,
          chunkBytes: testLimits.chunkBytes,
        };
      }),
      route(files.locate, async (request) => this.#locate(request)),
      route(files.fileLength, async ({ inode }) => {
        const file = this.#fileOf(inode);
        const tail =
          file.tail === undefined ? 0 : (this.servers[this.#primary]?.chunks.get(file.tail)?.bytes.length ?? 0);
        return { bytes: file.extents.reduce((sum, { length }) => sum + length, tail), generation: generation(1) };
      }),
    ];
    await serveControl(world, {
      address: "m:1",
      role: "master",
      identity: () => ({ clusterId: fakeClusterId }),
      healthz: () => ({ ok: true }),
      routes: [...routes, ...this.#others].map(({ message, answer }) => ({
        message,
        answer: async (request, caller) => {
          this.calls.push(message.name);
          await this.before(message.name, request);
          const reply = await answer(request, caller);
          await this.after(message.name);
          return message.name === this.garbled ? "?" : reply;
        },
      })),
    });
    await new Promise(() => {});
  }

  #openTail(file: FakeFile): ChunkHandle {
    const handle = chunkHandle(this.#next++);
    const fileOffset = file.extents.reduce((sum, { length }) => sum + length, 0);
    this.servers[this.#primary]?.chunks.set(handle, {
      ...newChunk(new Uint8Array(0), "open"),
      fileOffset,
      table: this.#tables.get(file.inode) ?? newChunk(new Uint8Array(0), "open").table,
    });
    return handle;
  }

  #locate({ target, offset, length }: z.infer<typeof files.locate.request>): z.infer<typeof files.locate.reply> {
    const file = target.kind === "inode" ? this.#fileOf(target.inode) : this.files.get(target.path);
    if (file === undefined && target.kind === "path")
      throw new GfsError("NotFound", `Cannot read ${target.path}: no such file or directory`);
    if (file === undefined) throw new GfsError("NotFound", "Cannot read: there is no such file");
    const replicas = this.#chain();
    const extents: files.LocatedExtent[] = [];
    let at = 0;
    for (const extent of file.extents) {
      const lost = this.lost.get(extent.handle);
      const where = lost === undefined ? { replicas } : { replicas: [], lost };
      const common = { handle: extent.handle, version, offset: 0, length: extent.length, ...where };
      if (at < offset + length && at + extent.length > offset)
        extents.push({ ...common, fileOffset: at, state: "sealed" as const });
      at += extent.length;
    }
    if (file.tail !== undefined && offset + length >= at)
      extents.push({
        fileOffset: at,
        handle: file.tail,
        version,
        offset: 0,
        length: 0,
        state: "open" as const,
        replicas,
      });
    return {
      inode: file.inode,
      generation: generation(1),
      sealedBytes: at,
      extents,
      more: false,
      reportsPending: false,
    };
  }
}

/** Bytes that differ wherever they are looked at. */
export function sample(bytes: number, seed = 1): Uint8Array {
  const made = new Uint8Array(bytes);
  for (let i = 0, state = seed; i < bytes; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    made[i] = state >>> 24;
  }
  return made;
}

export async function readAll(client: GfsClient, path: string, range: { offset?: number; length?: number } = {}) {
  const pieces: Uint8Array[] = [];
  for await (const piece of client.read(path, range)) pieces.push(piece);
  return concatBytes(pieces);
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "done";
  } catch (error) {
    return error instanceof GfsError ? error.code : String(error);
  }
}
