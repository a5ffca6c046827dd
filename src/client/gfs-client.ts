/** The library (DESIGN §8): one client of one cluster. */
import { assert } from "../base/assert.ts";
import { GfsError, hasCode } from "../base/errors.ts";
import type { World } from "../io.ts";
import { defaultLimits, type Limits, protocol } from "../limits.ts";
import { ControlClient } from "../net/control-client.ts";
import { Deadline } from "../net/deadline.ts";
import { FrameCalls } from "../net/frame-calls.ts";
import { FramePool } from "../net/frame-pool.ts";
import type { z } from "zod";
import type { Location } from "../wire/control/common.ts";
import { clusterInfo } from "../wire/control/files.ts";
import type { Entry, TrashEntry } from "../wire/control/namespace.ts";
import type { ClusterId, InodeId } from "../wire/ids.ts";
import type * as api from "./api.ts";
import { appendOnce } from "./append.ts";
import { backupBytes } from "./backup.ts";
import { AppendLines } from "./append-lines.ts";
import { type ClientContext, Operation } from "./context.ts";
import { HedgeBudget } from "./core/hedge-budget.ts";
import { ServerSpeeds } from "./core/server-speeds.ts";
import { downloadFile } from "./download.ts";
import { FileAppender } from "./file-appender.ts";
import { readFile } from "./get.ts";
import { startHeartbeats } from "./heartbeats.ts";
import { Namespace } from "./namespace.ts";
import { type Appending, appendRefusal, openFile } from "./one-append.ts";
import { Operator } from "./operator.ts";
import { putFile } from "./put.ts";
import { Replication } from "./replication.ts";
import { backOff, isMasterRetry } from "./retry.ts";
import { MutationSession } from "./session.ts";
import { formatPath, parsePath } from "../wire/path.ts";

export interface ConnectOptions {
  /** "host:port" of the master. */
  readonly master: string;
  /** The setting that the address came from, for error texts. */
  readonly masterOrigin?: string | undefined;
  /** What status shows of this client; no key to anything. At most 64 characters. */
  readonly label?: string | undefined;
  /** Servers near to it are chosen. */
  readonly location?: Location | undefined;
  readonly rack?: string | undefined;
  /** The cluster's secret, where it has one. */
  readonly secret?: Uint8Array | undefined;
  /** Time-outs, retries and parallelism; the defaults where left out. */
  readonly limits?: Limits | undefined;
  /** Largest size of the chunks of what is put; the cluster's own where left out. */
  readonly chunkBytes?: number | undefined;
  /** Ends the connecting only. */
  readonly signal?: AbortSignal | undefined;
}

type ClusterInfo = z.infer<typeof clusterInfo.reply>;

/** How long closing waits for what nobody waits for. */
const closeMs = 1_000;

export class GfsClient implements api.GfsApi {
  readonly operator: api.OperatorApi;
  readonly #ctx: ClientContext;
  readonly #info: ClusterInfo;
  readonly #chunkBytes: number;
  readonly #session: MutationSession;
  readonly #lines: AppendLines;
  readonly #namespace: Namespace;
  readonly #replication: Replication;
  readonly #heartbeats: Disposable;
  #closing: Promise<void> | undefined;

  private constructor(ctx: ClientContext, info: ClusterInfo, chunkBytes: number | undefined) {
    this.#ctx = ctx;
    this.#info = info;
    this.#chunkBytes = chunkBytes ?? info.chunkBytes;
    this.#session = new MutationSession(ctx);
    this.#lines = new AppendLines(ctx, this.#session);
    this.#namespace = new Namespace(ctx, this.#session);
    this.#replication = new Replication(ctx, this.#session);
    this.operator = new Operator(ctx, this.#session);
    this.#heartbeats = startHeartbeats(ctx, Math.min(ctx.limits.clientHeartbeatMs, info.clientHeartbeatMs));
  }

  /**
   * A client that has reached the master.
   *
   * @throws GfsError: Unavailable with the address and its origin where no master answers for `firstContactMs`; Denied, WrongCluster, VersionUnsupported; Usage for an address that is none
   */
  static async connect(world: World, options: ConnectOptions): Promise<GfsClient> {
    const { master, location, rack, secret, label = "gfs", limits = defaultLimits } = options;
    let cluster: ClusterId | undefined;
    const clusterId = (): ClusterId | undefined => cluster;
    const pool = new FramePool(world, { role: "client", secret, clusterId });
    const ctx: ClientContext = {
      world,
      limits,
      master,
      control: new ControlClient(world, { role: "client", secret, clusterId }),
      pool,
      calls: new FrameCalls(world, pool),
      speeds: new ServerSpeeds(),
      hedges: new HedgeBudget(limits.hedgeShare),
      whereabouts: { ...(location === undefined ? {} : { location }), ...(rack === undefined ? {} : { rack }) },
      label: label.slice(0, protocol.labelBytesMax),
      alive: { sessions: new Set(), drafts: new Set() },
      operations: new Set(),
      background: new Set(),
    };
    try {
      const info = await firstContact(ctx, options);
      cluster = info.clusterId;
      return new GfsClient(ctx, info, options.chunkBytes);
    } catch (error) {
      ctx.control.close();
      ctx.pool.close();
      throw error;
    }
  }

  uploadFile(localPath: string, gfsPath: string, options: api.PutOptions = {}): Promise<api.PutResult> {
    return this.put({ kind: "file", path: localPath }, gfsPath, options);
  }

  put(source: api.Source, gfsPath: string, options: api.PutOptions = {}): Promise<api.PutResult> {
    return putFile(this.#ctx, this.#session, { source, path: gfsPath, chunkBytes: this.#chunkBytes }, options);
  }

  downloadFile(gfsPath: string, localPath: string, options: api.DownloadOptions = {}): Promise<api.DownloadResult> {
    return downloadFile(this.#ctx, gfsPath, localPath, options);
  }

  read(gfsPath: string, options: api.ReadOptions & api.TransferOptions = {}): AsyncIterable<Uint8Array> {
    return readFile(this.#ctx, gfsPath, options);
  }

  appendToFile(
    gfsPath: string,
    data: Uint8Array | api.Source,
    options: api.AppendOptions = {},
  ): Promise<api.AppendResult> {
    const source = data instanceof Uint8Array ? ({ kind: "bytes", bytes: data } as const) : data;
    return appendOnce(this.#appending(), { path: gfsPath, source }, options);
  }

  async appender(gfsPath: string, options: api.AppendOptions = {}): Promise<api.Appender> {
    const path = formatPath(parsePath(gfsPath));
    if (options.id !== undefined)
      throw new GfsError("Usage", `Cannot append many records to ${path} under one id: an id is for one append`);
    const appending = this.#appending();
    using op = new Operation(this.#ctx, `append to ${path}`, options.signal);
    const lookup = { ...appending, op, path, create: options.create !== false };
    const inode = await openFile(lookup).catch((error: unknown) => {
      throw appendRefusal(path, error);
    });
    const held = await this.#lines.take(op, inode);
    return new FileAppender(appending, held, { path, options });
  }

  makeDirectory(
    path: string,
    options: api.CallOptions & { readonly parents?: boolean | undefined } = {},
  ): Promise<void> {
    return this.#namespace.makeDirectory(path, options.parents === true, options);
  }

  move(
    from: string,
    to: string,
    options: api.CallOptions & { readonly overwrite?: boolean | undefined } = {},
  ): Promise<string> {
    return this.#namespace.move(from, to, options.overwrite === true, options);
  }

  remove(
    path: string,
    options: api.CallOptions & {
      readonly recursive?: boolean | undefined;
      readonly skipTrash?: boolean | undefined;
    } = {},
  ): Promise<{ readonly trashed: boolean }> {
    const how = { recursive: options.recursive === true, skipTrash: options.skipTrash === true };
    return this.#namespace.remove(path, how, options);
  }

  list(path: string, options: api.CallOptions = {}): AsyncIterable<Entry> {
    return this.#namespace.list(path, options);
  }

  stat(path: string, options: api.StatOptions = {}): Promise<api.FileStatus> {
    return this.#namespace.stat(path, options);
  }

  locate(path: string, options: api.LocateOptions = {}): AsyncIterable<api.FileExtent> {
    return this.#namespace.locate(path, options);
  }

  usage(
    path: string,
    options: api.CallOptions & { readonly trash?: boolean | undefined } = {},
  ): Promise<api.UsageReport> {
    return this.#namespace.usage(path, options.trash === true, options);
  }

  setReplicas(
    path: string,
    replicas: number,
    options: Parameters<api.GfsApi["setReplicas"]>[2] = {},
  ): Promise<api.GoalReport> {
    return this.#replication.setReplicas(path, replicas, { ...options, recursive: options.recursive === true });
  }

  awaitReplicas(
    path: string,
    replicas: number,
    options: Parameters<api.GfsApi["awaitReplicas"]>[2] = {},
  ): Promise<api.GoalProgress> {
    return this.#replication.awaitReplicas(path, replicas, options);
  }

  setDefaultReplicas(path: string, replicas: number | undefined, options: api.CallOptions = {}): Promise<void> {
    return this.#replication.setDefaultReplicas(path, replicas, options);
  }

  setTrashRetention(path: string, trashMs: number | undefined, options: api.CallOptions = {}): Promise<void> {
    return this.#replication.setTrashRetention(path, trashMs, options);
  }

  trashList(options: api.CallOptions & { readonly path?: string | undefined } = {}): AsyncIterable<TrashEntry> {
    return this.#namespace.trashList(options.path, options);
  }

  trashRestore(
    entry: InodeId | string,
    options: api.CallOptions & { readonly to?: string | undefined } = {},
  ): Promise<{ readonly path: string; readonly others: number }> {
    return this.#namespace.trashRestore(entry, options.to, options);
  }

  trashPurge(
    entry: InodeId | string | undefined,
    options: Parameters<api.GfsApi["trashPurge"]>[1] = {},
  ): Promise<number> {
    return this.#namespace.trashPurge(entry, options);
  }

  status(options: api.CallOptions = {}): Promise<api.ClusterStatus> {
    return this.#namespace.status(options);
  }

  space(options: api.CallOptions = {}): Promise<api.SpaceReport> {
    return this.#namespace.space(options);
  }

  fsck(path: string, options: api.FsckOptions = {}): AsyncIterable<api.FsckPage> {
    return this.#namespace.fsck(path, options);
  }

  confirm(options: api.CallOptions = {}): Promise<api.ConfirmReport> {
    return this.#namespace.confirm(options);
  }

  backup(options: api.BackupOptions = {}): AsyncIterable<Uint8Array> {
    return backupBytes(this.#ctx, options);
  }

  /** Ends what is in progress, closes the session and all connections. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { operations, background, world, control, pool, calls } = this.#ctx;
    this.#heartbeats[Symbol.dispose]();
    for (const operation of operations)
      operation.stop(new GfsError("Interrupted", `Cannot ${operation.what}: the client was closed`));
    this.#lines.close();
    // The session is closed after what ends in it; none of that is waited for long.
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = world.clock.after(closeMs, resolve);
    await Promise.race([Promise.allSettled(background), late]);
    timer.cancel();
    await this.#session.close();
    calls.close();
    pool.close();
    control.close();
  }

  #appending(): Appending {
    assert(this.#closing === undefined, "a closed client appends nothing");
    return { ctx: this.#ctx, session: this.#session, lines: this.#lines, chunkBytes: this.#info.chunkBytes };
  }
}

/** Of a message that names the address again, what follows it. */
function reasonOf({ message }: GfsError, address: string): string {
  const at = message.lastIndexOf(address);
  const reason = at < 0 ? message : message.slice(at + address.length).replace(/^\S*: /, "");
  return reason === "" ? message : reason;
}

/** Outlives a restart of the master; that there is none is told soon, with the setting that named it. */
async function firstContact(
  ctx: ClientContext,
  { master, masterOrigin, signal }: ConnectOptions,
): Promise<ClusterInfo> {
  using op = new Operation(ctx, `reach the master at ${master}`, signal);
  const patience = Deadline.in(ctx.world.clock, ctx.limits.firstContactMs);
  for (let failures = 1; ; failures++) {
    try {
      const options = { timeoutMs: op.within(ctx.limits.controlMs), signal: op.signal };
      return await ctx.control.call(master, clusterInfo, {}, options);
    } catch (error) {
      const origin = masterOrigin === undefined ? "" : ` (${masterOrigin})`;
      if (hasCode(error, "ProtocolError")) {
        const text = `Cannot use ${master}${origin} as the master: ${error.message}`;
        throw new GfsError("ProtocolError", text, { cause: error, details: { address: master } });
      }
      if (!isMasterRetry(error) || !(error instanceof GfsError)) throw error;
      const told = new GfsError(
        error.code,
        `Cannot reach the master at ${master}${origin}: ${reasonOf(error, master)}`,
        {
          cause: error,
          details: { address: master },
        },
      );
      if (patience.expired && !hasCode(error, "Busy")) throw told;
      await backOff(ctx, op, { failures }, told);
    }
  }
}
