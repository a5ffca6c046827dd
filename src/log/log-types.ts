/**
 * What a log is to those who use it (docs/ARCHITECTURE.md, src/log). A log is a sequence of entries, numbered from 1 without gaps. Entries that wait
 * at the same time are written and synced together, as one batch; a batch is durable in every directory before the next is written.
 */
import type { GfsError } from "../base/errors.ts";

/** Number of an entry, from 1, no gaps. 0: before the first. */
export type LogPosition = number;

/** An entry's bytes, one piece after the other; not to be changed until it is durable. Small pieces are copied, large ones are not. */
export type LogEntry = readonly Uint8Array[];

/** Where an entry's bytes lie; holds until the segment is trimmed. */
export interface EntryPlace {
  /** A segment is named by the position of its first entry. */
  readonly segment: LogPosition;
  /** Of the entry's first byte in the segment's file. */
  readonly offset: number;
  readonly bytes: number;
}

/** Called for every entry after `after`, in order. `entry` is a view that is valid during the call only (and until its promise settles). */
export type ReplayEntry = (position: LogPosition, entry: Uint8Array, place: EntryPlace) => void | Promise<void>;

export interface LogOptions {
  /** Each holds a whole copy; made where missing. The first is read from. */
  readonly directories: readonly string[];
  /** Of the log: 1 to 31 ASCII characters, in every segment's header. */
  readonly name: string;
  /** Of the cluster or volume that the log belongs to: 32 hex digits, in every segment's header. */
  readonly id: string;
  /** Of each file; all are preallocated. Must hold the largest entry. */
  readonly segmentBytes: number;
  /** What a checkpoint already has: replay begins after it. */
  readonly after: LogPosition;
  /** Segments kept ready beside the current one, so that a full disk can still take this many more. Default 1. */
  readonly spareSegments?: number;
  /** Most bytes of entries that are written and synced together; default 8 MiB. */
  readonly batchBytesMax?: number;
  /**
   * Asked about a copy that ends at entry `last`, where the log that goes on, in `best`, does not reach back so far: throws unless that copy surely is a beginning of it.
   * Left out: such a copy is refused.
   */
  readonly requireBeginning?: (copy: {
    readonly directory: string;
    readonly last: LogPosition;
    readonly best: string;
  }) => Promise<void>;
  /** Called once the copies are known to be of one log, and it is replayed, before anything is changed or made; of a new log too. What it throws leaves all as it was. */
  readonly beforeChange?: () => Promise<void>;
  /** The durable position rose to `position`; called before the promises of `durable` resolve. */
  readonly onDurable?: (position: LogPosition) => void;
  /** A directory failed and is not written to any more; others go on. What it lacks is brought up to date at the next open. */
  readonly onDirectoryFailed?: (directory: string, error: GfsError) => void;
  /** The last directory failed: nothing becomes durable any more. */
  readonly onFailed?: (error: GfsError) => void;
}

/** A log that is open for appending. */
export interface Log {
  /**
   * Queues one entry; its position. `onDurable` is called once it is durable (in order of positions, before `durable` resolves), with where it lies.
   * Never throws for a failed log: `durable` tells. An assertion fails for an entry above `entryBytesMax`.
   */
  append(entry: LogEntry, onDurable?: (place: EntryPlace) => void): LogPosition;
  /** Resolves once every entry up to `position` is durable in every directory. @throws GfsError("DiskFailed"), for ever, once the log has failed. */
  durable(position: LogPosition): Promise<void>;
  readonly durablePosition: LogPosition;
  /** Of the last entry appended. */
  readonly lastPosition: LogPosition;
  readonly entryBytesMax: number;
  /** Directories still written to, in the order of the options. */
  readonly directories: readonly string[];
  /** Set once the log has failed for ever. */
  readonly failure: GfsError | undefined;
  /** It waits for room on the disk, for a bounded time, and for no answer of the disk. */
  readonly lacksSpace: boolean;
  /** Bytes of all segments in use, as preallocated: what trimming can give back. */
  readonly heldBytes: number;
  /** Bytes of entries that fit without any new space on the disk, at least; a volume that nears 0 takes no more data, only fences and deletions. */
  readonly readyBytes: number;
  /** Reads `bytes` bytes from byte `from` of a durable entry (default: all of it). @throws GfsError("DiskFailed" | "Corrupt") */
  read(place: EntryPlace, from?: number, bytes?: number): Promise<Uint8Array>;
  /** As `read`, of what the medium has (`OpenMode`). */
  readMedium(place: EntryPlace): Promise<Uint8Array>;
  /** Frees all segments that hold only entries before `before`; they are kept as spares or removed. */
  trim(before: LogPosition): Promise<void>;
  /** Closes the current segment (if it has an entry) once all that was appended before is durable; the next entry begins a new one. */
  roll(): Promise<void>;
  /** Names of segment files that take no more entries, oldest first, and the position of the last entry in them. */
  closed(): { readonly files: readonly string[]; readonly last: LogPosition };
  /** Waits for what was appended, then closes the files. Idempotent. */
  close(): Promise<void>;
}
