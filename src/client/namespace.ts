/** The tree of paths and the state of the cluster, as the library offers them: one call to the master each, or a page after the other. */
import { GfsError, hasCode } from "../base/errors.ts";
import { counted } from "../config/units.ts";
import { protocol } from "../limits.ts";
import { fileLength } from "../wire/control/files.ts";
import * as messages from "../wire/control/namespace.ts";
import type { Entry, TrashEntry } from "../wire/control/namespace.ts";
import { type InodeId, inodeId } from "../wire/ids.ts";
import { formatPath, parsePath } from "../wire/path.ts";
import type {
  CallOptions,
  ClusterStatus,
  ConfirmReport,
  FileExtent,
  FileStatus,
  FsckOptions,
  FsckPage,
  LocateOptions,
  GfsApi,
  SpaceReport,
  StatOptions,
  UsageReport,
} from "./api.ts";
import { type ClientContext, Operation } from "./context.ts";
import { askMaster } from "./retry.ts";
import type { MutationSession } from "./session.ts";

/** A path whose file is replaced each time it is looked at is not looked at longer. */
const looksMax = 16;
const pageEntries = Math.min(2_048, protocol.listEntriesMax);

function clean(path: string): string {
  return formatPath(parsePath(path));
}

export class Namespace {
  readonly #ctx: ClientContext;
  readonly #session: MutationSession;

  constructor(ctx: ClientContext, session: MutationSession) {
    this.#ctx = ctx;
    this.#session = session;
  }

  async makeDirectory(path: string, parents: boolean, { signal }: CallOptions): Promise<void> {
    const at = clean(path);
    using op = new Operation(this.#ctx, `make directory ${at}`, signal);
    await this.#session.mutate(op, messages.mkdir, (id) => ({ id, path: at, parents }));
  }

  async move(from: string, to: string, overwrite: boolean, { signal }: CallOptions): Promise<string> {
    const paths = { from: clean(from), to: clean(to) };
    using op = new Operation(this.#ctx, `move ${paths.from} to ${paths.to}`, signal);
    const { path } = await this.#session.mutate(op, messages.move, (id) => ({ id, ...paths, overwrite }));
    return path;
  }

  async remove(
    path: string,
    how: { readonly recursive: boolean; readonly skipTrash: boolean },
    { signal }: CallOptions,
  ): Promise<{ readonly trashed: boolean }> {
    const at = clean(path);
    using op = new Operation(this.#ctx, `remove ${at}`, signal);
    const { trashed } = await this.#session.mutate(op, messages.remove, (id) => ({ id, path: at, ...how }));
    return { trashed };
  }

  async *list(path: string, { signal }: CallOptions): AsyncGenerator<Entry> {
    const at = clean(path);
    using op = new Operation(this.#ctx, `list ${at}`, signal);
    let cursor: string | undefined;
    do {
      const page = { path: at, limit: pageEntries, ...(cursor === undefined ? {} : { cursor }) };
      const reply = await askMaster(this.#ctx, op, messages.list, page);
      yield* reply.entries;
      op.progress();
      ({ cursor } = reply);
    } while (cursor !== undefined);
  }

  /** The length is exact: of a file that is being appended to the primary is asked, by the master. */
  async stat(path: string, { signal, offset }: StatOptions): Promise<FileStatus> {
    const at = clean(path);
    using op = new Operation(this.#ctx, `stat ${at}`, signal);
    for (let looks = 1; ; looks++) {
      const request = { path: at, ...(offset === undefined ? {} : { offset }), ...this.#ctx.whereabouts };
      const reply = await askMaster(this.#ctx, op, messages.stat, request);
      try {
        return await this.#withTail(op, reply);
      } catch (error) {
        // Replaced or removed since, and kept by no trash: the path says what is there now.
        if (looks === looksMax || !hasCode(error, "NotFound")) throw error;
      }
    }
  }

  async #withTail(op: Operation, reply: FileStatus): Promise<FileStatus> {
    const { entry } = reply;
    if (entry.kind !== "file" || !entry.open) return reply;
    const told = await askMaster(this.#ctx, op, fileLength, { inode: entry.inode });
    const bytes = Math.max(told.bytes, entry.bytes);
    const extents = reply.extents.map((extent) =>
      extent.state === "open" ? { ...extent, length: Math.max(0, bytes - extent.fileOffset) } : extent,
    );
    return { ...reply, entry: { ...entry, bytes }, extents };
  }

  /** Page by page; each as of another moment. @throws GfsError("RangeInvalid") where the file ends before `offset` */
  async *locate(path: string, { signal, offset = 0, length }: LocateOptions): AsyncGenerator<FileExtent> {
    const end = length === undefined ? Number.MAX_SAFE_INTEGER : offset + length;
    for (let from = offset; ;) {
      const { entry, extents } = await this.stat(path, { signal, offset: from });
      if (entry.kind === "directory")
        throw new GfsError("IsDirectory", `Cannot locate ${clean(path)}: it is a directory`);
      if (from === offset && offset > 0 && offset >= entry.bytes)
        throw new GfsError(
          "RangeInvalid",
          `Cannot locate byte ${offset} of ${clean(path)}: it has ${counted(entry.bytes, "byte")}`,
        );
      for (const extent of extents) {
        if (extent.fileOffset >= end) return;
        yield extent;
      }
      const last = extents.at(-1);
      if (last === undefined || last.state !== "sealed" || extents.length < protocol.locateExtentsMax) return;
      from = last.fileOffset + last.length;
    }
  }

  async usage(path: string, trash: boolean, { signal }: CallOptions): Promise<UsageReport> {
    const at = clean(path);
    using op = new Operation(this.#ctx, `measure ${at}`, signal);
    return await askMaster(this.#ctx, op, messages.usage, { path: at, ...(trash ? { trash } : {}) });
  }

  async *trashList(path: string | undefined, { signal }: CallOptions): AsyncGenerator<TrashEntry> {
    const under = path === undefined ? {} : { path: clean(path) };
    using op = new Operation(this.#ctx, "list the trash", signal);
    let cursor: string | undefined;
    do {
      const page = { ...under, limit: pageEntries, ...(cursor === undefined ? {} : { cursor }) };
      const reply = await askMaster(this.#ctx, op, messages.trashList, page);
      yield* reply.entries;
      op.progress();
      ({ cursor } = reply);
    } while (cursor !== undefined);
  }

  async trashRestore(
    entry: InodeId | string,
    to: string | undefined,
    { signal }: CallOptions,
  ): Promise<{ readonly path: string; readonly others: number }> {
    using op = new Operation(this.#ctx, `restore ${entry} from the trash`, signal);
    const target = to === undefined ? {} : { to: clean(to) };
    const named = trashName(entry);
    return await this.#session.mutate(op, messages.trashRestore, (id) => ({ id, entry: named, ...target }));
  }

  async trashPurge(
    entry: InodeId | string | undefined,
    { signal, below, olderThanMs }: Parameters<GfsApi["trashPurge"]>[1] = {},
  ): Promise<number> {
    using op = new Operation(this.#ctx, `purge ${entry ?? "all"} from the trash`, signal);
    const named = {
      ...(entry === undefined ? {} : { entry: trashName(entry) }),
      ...(below === true ? { below } : {}),
      ...(olderThanMs === undefined ? {} : { olderThanMs }),
    };
    const { entries } = await this.#session.mutate(op, messages.trashPurge, (id) => ({ id, ...named }));
    return entries;
  }

  async status({ signal }: CallOptions): Promise<ClusterStatus> {
    using op = new Operation(this.#ctx, "get the cluster's status", signal);
    return await askMaster(this.#ctx, op, messages.status, {});
  }

  async space({ signal }: CallOptions): Promise<SpaceReport> {
    using op = new Operation(this.#ctx, "get the cluster's space", signal);
    return await askMaster(this.#ctx, op, messages.space, {});
  }

  async *fsck(path: string, { signal, list = false }: FsckOptions): AsyncGenerator<FsckPage> {
    const at = clean(path);
    using op = new Operation(this.#ctx, `check ${at}`, signal);
    let cursor: string | undefined;
    do {
      const from = { path: at, list, ...(cursor === undefined ? {} : { cursor }) };
      const reply = await askMaster(this.#ctx, op, messages.fsck, from);
      yield reply;
      op.progress();
      ({ cursor } = reply);
    } while (cursor !== undefined);
  }

  async confirm({ signal }: CallOptions): Promise<ConfirmReport> {
    using op = new Operation(this.#ctx, "confirm the cluster's state", signal);
    return await this.#session.mutate(op, messages.confirm, (id) => ({ id }));
  }
}

/** A path that was removed, or the number of an entry. @throws GfsError("PathInvalid") */
function trashName(entry: InodeId | string): InodeId | string {
  if (typeof entry === "number") {
    if (Number.isSafeInteger(entry) && entry >= 1) return inodeId(entry);
    throw new GfsError("PathInvalid", `Cannot find ${entry} in the trash: it is no number of an entry`);
  }
  return clean(entry);
}
