/**
 * The world, as the shells of all roles see it: interfaces only. `src/host` implements them on Bun, `test/sim` in memory with
 * faults; one conformance suite (test/conformance) runs over both. Nothing outside src/host reaches for the clock, the disk,
 * the network, randomness or another process by any other way, so that the production code runs unmodified in the simulator.
 */

/** A pending call of `Clock.after`; `cancel` may be called at any time, any number of times. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since some fixed instant, never going back, not affected by changes of the wall clock. */
  monotonicMs(): number;
  /** Milliseconds since 1970, as the machine believes. May jump. */
  wallMs(): number;
  /** Calls `fn` once, `ms` (>= 0) from now, unless cancelled. Does not keep a process alive that has nothing else to do. */
  after(ms: number, fn: () => void): Timer;
}

export interface Random {
  /** `count` random bytes, fit for keys and identities. */
  bytes(count: number): Uint8Array;
  /** Uniform in [0, 1): for jitter and choices. */
  fraction(): number;
}

export interface Hash {
  update(bytes: Uint8Array): void;
  /** 32 bytes; the hash can't be used afterwards. */
  digest(): Uint8Array;
}

export interface Crypto {
  /** HMAC-SHA-256: 32 bytes. */
  hmac(key: Uint8Array, message: Uint8Array): Uint8Array;
  sha256(): Hash;
}

// ---------------------------------------------------------------- disk

/**
 * Why a disk operation failed. `missing`: no such file. `exists`: create-new on an existing name. `full`: no space or quota.
 * `denied`: permissions or a read-only disk. `kind`: a directory where a file was expected, or the reverse. `busy`: locked by
 * another process. `failed`: everything else (EIO …): the disk can't be trusted with this file any more.
 */
export type DiskErrorKind = "missing" | "exists" | "full" | "denied" | "kind" | "busy" | "failed";

/** Thrown by every operation of `Disk` and `DiskFile`. */
export class DiskError extends Error {
  override readonly name = "DiskError";
  readonly kind: DiskErrorKind;
  readonly path: string;

  constructor(kind: DiskErrorKind, path: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.kind = kind;
    this.path = path;
  }
}

export interface DiskFile {
  readonly path: string;
  /**
   * Reads from `offset` until `into` is full or the file ends; the count of bytes read (0 at or after the end).
   * `into` belongs to the call until it settles.
   */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** Writes all the pieces one after the other from `offset`, or throws; a hole before `offset` reads as zeros. Not durable before `sync`. */
  write(pieces: readonly Uint8Array[], offset: number): Promise<void>;
  /** Returns once everything written before this call, and the file's length, is durable (fdatasync). After a failure: never trust the file again. */
  sync(): Promise<void>;
  /** Cuts or extends (with zeros) to `bytes`. */
  truncate(bytes: number): Promise<void>;
  size(): Promise<number>;
  /** Idempotent. Waits for operations in flight. Does not sync. */
  close(): Promise<void>;
}

/**
 * read: must exist. medium: as read, but what the medium has, past the system's cache in memory and without filling it, where platform and file system can (Linux's O_DIRECT: ext4,
 * xfs, btrfs …); else as read. write: read and write, created when missing. through: as write, but each write is durable, as after `sync`, when it resolves. create: read and write,
 * must not exist.
 */
export type OpenMode = "read" | "medium" | "write" | "through" | "create";

export interface FileInfo {
  readonly kind: "file" | "directory" | "other";
  readonly bytes: number;
  readonly modifiedMs: number;
}

export interface DiskSpace {
  /** The same for all paths of one file system, and for no other's of any machine. At most 64 bytes. */
  readonly fileSystem: string;
  readonly totalBytes: number;
  /** What an unprivileged writer may still use. */
  readonly freeBytes: number;
}

export interface Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  /** With parents; no error where it exists already. */
  makeDirectory(path: string): Promise<void>;
  /** Names in a directory, sorted by code unit. */
  list(path: string): Promise<string[]>;
  info(path: string): Promise<FileInfo | undefined>;
  /** Atomic, replaces an existing target; durable only after `syncDirectory` of the parents. */
  rename(from: string, to: string): Promise<void>;
  /** One file. A missing one is no error. */
  remove(path: string): Promise<void>;
  /** A directory and everything in it. A missing one is no error. */
  removeTree(path: string): Promise<void>;
  /** Makes creations, renames and removals in this directory durable. */
  syncDirectory(path: string): Promise<void>;
  /** Of the file system that holds `path`. */
  space(path: string): Promise<DiskSpace>;
  /**
   * Takes the one lock that a directory has; throws DiskError("busy") while any process, or this one, holds it. The lock ends with
   * dispose or with the process, however that dies.
   */
  lock(directory: string): Promise<AsyncDisposable>;
}

// ---------------------------------------------------------------- data plane

/** Thrown by `Stream` and `Connection`: `refused`: nobody listens there. `timeout`: no answer in time. `closed`: the connection is gone. */
export class StreamError extends Error {
  override readonly name = "StreamError";
  readonly kind: "refused" | "timeout" | "closed";

  constructor(kind: "refused" | "timeout" | "closed", message: string) {
    super(message);
    this.kind = kind;
  }
}

/** One TCP connection: bytes in order, no message borders. */
export interface Connection {
  /** Of the other side, "host:port". */
  readonly remote: string;
  /**
   * The next bytes that arrived, at least one; null after the other side has ended its half or the connection was closed cleanly.
   * The buffer is the caller's. While nobody reads, at most about 1 MiB is taken from the network (back-pressure). One reader at a time.
   * @throws StreamError("closed") after a reset or `close()`.
   */
  read(): Promise<Uint8Array | null>;
  /**
   * Queues the pieces for sending, in order, never blocking; they must not be changed until `sent()` of a later moment resolves.
   * After the connection closed this does nothing (the reader and `sent` tell).
   */
  send(pieces: readonly Uint8Array[]): void;
  /** Bytes queued and not yet handed to the operating system. */
  readonly queuedBytes: number;
  /** Resolves when at most `bytes` (default 0) are still queued. @throws StreamError("closed") */
  sent(bytes?: number): Promise<void>;
  /** Sends what is queued, then ends both directions. Idempotent; returns at once. */
  end(): void;
  /** Drops the connection and what is queued. Idempotent; pending reads and `sent` reject. */
  close(): void;
  readonly closed: boolean;
}

export interface Listener extends AsyncDisposable {
  /** "host:port" with the port that was really bound. */
  readonly address: string;
}

export interface Stream {
  /** Binds "host:port" (port 0: any). @throws GfsError naming the address: "AddressInUse" when it is taken, "Usage" when it is not ours. */
  listen(address: string, onConnection: (connection: Connection) => void): Promise<Listener>;
  /** @throws StreamError("refused" | "timeout") */
  connect(address: string, options: { readonly timeoutMs: number }): Promise<Connection>;
}

// ---------------------------------------------------------------- control plane

export interface ControlResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

export interface ControlRequest {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Thrown by `ControlChannel.post`. `notSent` is true only when the server surely never got the request (connection refused);
 * otherwise the outcome is unknown.
 */
export class ControlError extends Error {
  override readonly name = "ControlError";
  readonly kind: "refused" | "timeout" | "closed" | "aborted";
  readonly notSent: boolean;

  constructor(kind: "refused" | "timeout" | "closed" | "aborted", notSent: boolean, message: string) {
    super(message);
    this.kind = kind;
    this.notSent = notSent;
  }
}

/** A multiplexed HTTP/2 channel to one server; connects at the first call, reconnects by itself. */
export interface ControlChannel {
  readonly address: string;
  /** One POST; resolves with any complete answer of any status. @throws ControlError */
  post(request: ControlRequest): Promise<ControlResponse>;
  close(): void;
}

/** `remote` tells who calls, "host:port", as long as the request is in work. */
export type ControlHandler = (request: Request, remote: () => string) => Response | Promise<Response>;

export interface Control {
  /** Serves HTTP/2 cleartext (and HTTP/1.1, for curl and probes). @throws GfsError as `Stream.listen` */
  serve(address: string, handler: ControlHandler): Promise<Listener>;
  channel(address: string): ControlChannel;
}

// ---------------------------------------------------------------- processes, events

export interface Spawn {
  /** Runs this same executable with other arguments to its end; stderr is at most the last 64 KiB. The child dies with the signal. */
  self(
    args: readonly string[],
    signal?: AbortSignal,
  ): Promise<{ readonly exitCode: number; readonly stdout: Uint8Array; readonly stderr: string }>;
}

export type EventLevel = "debug" | "info" | "warn" | "error";
export type EventFields = Readonly<
  Record<string, string | number | boolean | undefined | readonly (string | number)[]>
>;

/** Structured events: a closed name such as `replica.stale`, and typed fields. One line each. */
export interface Events {
  /** False: building the fields may be skipped. */
  enabled(level: EventLevel): boolean;
  emit(level: EventLevel, name: string, fields?: EventFields): void;
}

/** Everything a role needs of the world. */
export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly crypto: Crypto;
  readonly disk: Disk;
  readonly stream: Stream;
  readonly control: Control;
  readonly spawn: Spawn;
  readonly events: Events;
}
