/**
 * What the library offers (DESIGN §8); `GfsClient` implements it, and the command line uses nothing else. Every call takes a signal; one that makes no progress for
 * the client's time-out ends with a typed error. Sizes and offsets are bytes.
 */
import type { z } from "zod";
import type { confirm, Entry, fsck, space, stat, status, TrashEntry, usage } from "../wire/control/namespace.ts";
import type { balanceStatus } from "../wire/control/balance.ts";
import type { decommission, decommissionCheck, drain, DrainReport, undrain } from "../wire/control/drains.ts";
import type { repairStatus } from "../wire/control/repair.ts";
import type { ScrubOrder, ScrubTarget } from "../wire/control/scrub-orders.ts";
import type { Setting } from "../wire/control/settings.ts";
import type { ClusterEvent } from "../wire/control/events.ts";
import type { BackupFacts } from "../wire/backup-file.ts";
import type { goalProgress } from "../wire/control/attributes.ts";
import type { InodeId } from "../wire/ids.ts";

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** `total` is undefined while nobody knows it. */
export type ProgressListener = (doneBytes: number, totalBytes: number | undefined) => void;

export interface TransferOptions extends CallOptions {
  readonly onProgress?: ProgressListener | undefined;
}

export interface BackupOptions extends TransferOptions {
  /** What the backup will hold, before its first byte. */
  readonly onBegun?: ((facts: BackupFacts) => void) | undefined;
}

export interface PutOptions extends TransferOptions {
  readonly replicas?: number | undefined;
  /** Lets the new content take the place of an existing file's. */
  readonly overwrite?: boolean | undefined;
  /** Only if the file there has this generation. @throws GenerationMismatch */
  readonly ifGeneration?: number | undefined;
  readonly chunkBytes?: number | undefined;
}

/** `shortChunks`: chunks that have fewer replicas than asked for, yet; repair finishes them. */
export interface PutResult {
  readonly path: string;
  readonly inode: number;
  readonly generation: number;
  readonly bytes: number;
  readonly chunks: number;
  readonly replicas: number;
  readonly shortChunks: number;
}

export interface ReadOptions extends CallOptions {
  readonly offset?: number | undefined;
  /** At most; to the end where it is left out. */
  readonly length?: number | undefined;
}

export interface DownloadOptions extends ReadOptions, TransferOptions {
  readonly overwrite?: boolean | undefined;
}

export interface DownloadResult {
  readonly bytes: number;
  /** The file that was written: in a directory, under the name that it has in gfs. */
  readonly localPath: string;
}

export interface AppendOptions extends TransferOptions {
  /** The same key and content take effect once, however often and from wherever they are sent, until nothing was heard of the key for a day: then it is forgotten. */
  readonly id?: string | undefined;
  /** False: the file must exist. Default true. */
  readonly create?: boolean | undefined;
}

export interface AppendResult {
  readonly path: string;
  /** Where the record begins in the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** A run of appends to one file: pipelined, each atomic, in the order of the calls. */
export interface Appender extends AsyncDisposable {
  /** Settles when this record is durable on every replica, or refused. At most `appendWindow` are unanswered: `ready` tells when there is room. */
  append(record: Uint8Array): Promise<AppendResult>;
  ready(): Promise<void>;
  close(): Promise<void>;
}

/** Bytes to put or append: read again from the start of a chunk when that must be sent again. */
export type Source =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "file"; readonly path: string }
  /** Spooled to a temporary file in `spoolDirectory` as it streams. */
  | { readonly kind: "stream"; readonly stream: AsyncIterable<Uint8Array>; readonly spoolDirectory: string };

export type { ClusterEvent, ScrubOrder, ScrubTarget };

/** `sinceMs`: no older than so many milliseconds. `limit`: the newest so many. `kinds`: beginnings of kinds; all where there is none. `follow`: go on with what happens then. */
export interface EventsOptions extends CallOptions {
  readonly sinceMs?: number | undefined;
  readonly limit?: number | undefined;
  readonly kinds?: readonly string[] | undefined;
  readonly follow?: boolean | undefined;
}
/** Of a change of replicas: `files` looked at, `changed` among them, with so many `chunks`. Below `minReplicas` copies nothing of them is acknowledged. */
export interface GoalReport {
  readonly files: number;
  readonly changed: number;
  readonly chunks: number;
  readonly minReplicas: number;
}
/** `reached` of the `chunks` have as many replicas as asked for; `otherwise` want another number. `servers` may hold replicas now; `waitsFor`: why nothing is copied. */
export type GoalProgress = Omit<z.infer<typeof goalProgress.reply>, "cursor">;

export type ClusterStatus = z.infer<typeof status.reply>;
export type SpaceReport = z.infer<typeof space.reply>;
export type FileStatus = z.infer<typeof stat.reply>;
export type FileExtent = FileStatus["extents"][number];
export type UsageReport = z.infer<typeof usage.reply>;
export type FsckPage = z.infer<typeof fsck.reply>;
export type CheckedFile = FsckPage["listed"][number];
export type RepairReport = z.infer<typeof repairStatus.reply>;
export type ConfirmReport = z.infer<typeof confirm.reply>;

/** Without a value: as the master is configured. */
export interface SettingChange {
  readonly name: string;
  readonly value: number | undefined;
}

export type DrainBegun = z.infer<typeof drain.reply>;
export type Undrained = z.infer<typeof undrain.reply>;
export type DecommissionCheck = z.infer<typeof decommissionCheck.reply>;
export type Decommissioned = z.infer<typeof decommission.reply>;

export type BalanceStatus = z.infer<typeof balanceStatus.reply>;

export interface DecommissionOptions extends CallOptions {
  readonly force?: boolean | undefined;
  readonly lostMax?: number | undefined;
}

/** `stillMs`: for so long nothing has moved. */
export interface AwaitDrainOptions extends CallOptions {
  readonly onProgress?: ((report: DrainReport, stillMs: number) => void) | undefined;
}

/** What operators ask of a running cluster, and change in it. */
export interface OperatorApi {
  /** What can be changed while the cluster runs. */
  settings(options?: CallOptions): Promise<readonly Setting[]>;
  /** All of them or none; they last through restarts of the master. @throws Usage for an unknown name, and a value out of its bounds */
  changeSettings(changes: readonly SettingChange[], options?: CallOptions): Promise<void>;
  /** Has all replicas of the files under a path, or of a server, read and checked now; the order's id. The same again while it is being read is the same order. @throws NotFound, Usage (several servers have the name), Busy */
  scrub(target: ScrubTarget, options?: CallOptions): Promise<string>;
  /** One order, or all that the master remembers, the newest last. @throws NotFound: the master may have been started anew */
  scrubOrders(id: string | undefined, options?: CallOptions): Promise<readonly ScrubOrder[]>;
  /** Until all was read, and what was found is repaired, lost, or nobody repaired anything for the client's time-out; `onProgress` now and then. @throws NotFound */
  awaitScrub(
    id: string,
    options?: CallOptions & { readonly onProgress?: ((order: ScrubOrder) => void) | undefined },
  ): Promise<ScrubOrder>;
  /** Nothing more is read for it. @throws NotFound */
  scrubStop(id: string, options?: CallOptions): Promise<void>;
  /** What the master has kept of what happened, the oldest first. */
  events(options?: EventsOptions): AsyncIterable<ClusterEvent>;
  /** Begins to empty a server, named by label, volume id or address. False: it was being drained. @throws NotFound, Usage where several have the name */
  drain(server: string, options?: CallOptions): Promise<DrainBegun>;
  /** Its replicas count again. */
  undrain(server: string, options?: CallOptions): Promise<Undrained>;
  /** How evenly the disks are filled, and what is moved; changed by the settings `balance`, `balance-threshold` and `balance-rate`. */
  balance(options?: CallOptions): Promise<BalanceStatus>;
  /** How far one server is, or all that are being drained. */
  drains(server?: string, options?: CallOptions): Promise<readonly DrainReport[]>;
  /** Until a server that is being drained, named by its whole volume id, is safe to stop; `onProgress` now and then. @throws NotFound where somebody cancelled it; Timeout where it can't be finished, and nothing has moved for the client's time-out: it stays being drained */
  awaitDrain(volume: string, options?: AwaitDrainOptions): Promise<DrainReport>;
  /** What forgetting a server would cost now. */
  decommissionCheck(server: string, options?: CallOptions): Promise<DecommissionCheck>;
  /** Forgets a server that is safe to stop; with `force` also one that is not, where no more than `lostMax` chunks are lost. @throws Denied with the reason */
  decommission(server: string, options?: DecommissionOptions): Promise<Decommissioned>;
  repairStatus(options?: CallOptions): Promise<RepairReport>;
  /** Repair goes on without the servers that were lost at once. Why it was held; undefined: it was not. */
  repairResume(options?: CallOptions): Promise<string | undefined>;
  /** The rest of the reports won't come. What safe mode was waiting for; undefined: it was over. */
  safeModeLeave(options?: CallOptions): Promise<string | undefined>;
}

/** `offset`: the extents from the one on that holds this byte. */
export interface StatOptions extends CallOptions {
  readonly offset?: number | undefined;
}

/** Bytes from `offset` (default 0) on, at most `length`. */
export interface LocateOptions extends StatOptions {
  readonly length?: number | undefined;
}

/** `list`: every file is told, the good ones too. */
export interface FsckOptions extends CallOptions {
  readonly list?: boolean | undefined;
}

export interface GfsApi extends AsyncDisposable {
  uploadFile(localPath: string, gfsPath: string, options?: PutOptions): Promise<PutResult>;
  put(source: Source, gfsPath: string, options?: PutOptions): Promise<PutResult>;
  downloadFile(gfsPath: string, localPath: string, options?: DownloadOptions): Promise<DownloadResult>;
  /** Verified bytes in order, in pieces of up to 1 MiB; ends where the file ended at one moment after the read began, and so has all that was acknowledged before. @throws GfsError("ChunkLost") at a chunk that no server has any more */
  read(gfsPath: string, options?: ReadOptions & TransferOptions): AsyncIterable<Uint8Array>;
  /** One atomic append, whatever its size. */
  appendToFile(gfsPath: string, data: Uint8Array | Source, options?: AppendOptions): Promise<AppendResult>;
  /** Makes the file, empty at first, where it is missing. */
  appender(gfsPath: string, options?: AppendOptions): Promise<Appender>;

  makeDirectory(path: string, options?: CallOptions & { readonly parents?: boolean | undefined }): Promise<void>;
  /** Where it went: into `to` if that is a directory. */
  move(from: string, to: string, options?: CallOptions & { readonly overwrite?: boolean | undefined }): Promise<string>;
  remove(
    path: string,
    options?: CallOptions & { readonly recursive?: boolean | undefined; readonly skipTrash?: boolean | undefined },
  ): Promise<{ readonly trashed: boolean }>;
  /** Of a directory its entries, in no particular order; of a file itself. */
  list(path: string, options?: CallOptions): AsyncIterable<Entry>;
  /** `entry.bytes` is exact, for a file that is being appended to as well. */
  stat(path: string, options?: StatOptions): Promise<FileStatus>;
  /** A file's extents in order, however many, with every replica that is known, good or bad, the nearest first, those on dead servers last. @throws GfsError("RangeInvalid") where it ends before `offset` */
  locate(path: string, options?: LocateOptions): AsyncIterable<FileExtent>;
  /** With `trash`: of what the trash holds that was removed from there or below, too. */
  usage(path: string, options?: CallOptions & { readonly trash?: boolean | undefined }): Promise<UsageReport>;

  /** Of a file, or with `recursive` of all files below a directory. `onProgress`: files looked at so far. */
  setReplicas(
    path: string,
    replicas: number,
    options?: CallOptions & {
      readonly recursive?: boolean | undefined;
      readonly onProgress?: ((files: number) => void) | undefined;
    },
  ): Promise<GoalReport>;
  /** Until every chunk at or below the path that wants so many replicas has them. @throws TooFewServers, Timeout (nothing was gained for the client's time-out) */
  awaitReplicas(
    path: string,
    replicas: number,
    options?: CallOptions & { readonly onProgress?: ((progress: GoalProgress) => void) | undefined },
  ): Promise<GoalProgress>;
  /** Of files made below a directory that ask for no number; undefined: as the directory above says. */
  setDefaultReplicas(path: string, replicas: number | undefined, options?: CallOptions): Promise<void>;
  /** How long what is removed below a directory can be restored, in milliseconds; 0: not at all; undefined: as the directory above says. */
  setTrashRetention(path: string, trashMs: number | undefined, options?: CallOptions): Promise<void>;

  /** All, or what was removed from `path` or below it. */
  trashList(options?: CallOptions & { readonly path?: string | undefined }): AsyncIterable<TrashEntry>;
  /** The entry of a number, or the newest of a path: where it was or `to`, into it where that is a directory. `others`: entries of the same path that stay. */
  trashRestore(
    entry: InodeId | string,
    options?: CallOptions & { readonly to?: string | undefined },
  ): Promise<{ readonly path: string; readonly others: number }>;
  /**
   * How many entries were purged: the one of a number, all of a path (`below`: and what was removed below it), or all where none is named; with `olderThanMs` only what was removed so
   * long ago.
   */
  trashPurge(
    entry: InodeId | string | undefined,
    options?: CallOptions & { readonly below?: boolean | undefined; readonly olderThanMs?: number | undefined },
  ): Promise<number>;

  status(options?: CallOptions): Promise<ClusterStatus>;
  space(options?: CallOptions): Promise<SpaceReport>;
  fsck(path: string, options?: FsckOptions): AsyncIterable<FsckPage>;
  confirm(options?: CallOptions): Promise<ConfirmReport>;
  readonly operator: OperatorApi;
  /** The bytes of a file with all that the master has durable when it begins (docs/DISK-FORMAT.md); whole only when all have come. */
  backup(options?: BackupOptions): AsyncIterable<Uint8Array>;
}
