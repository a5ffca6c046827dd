/**
 * Every operating error of gfs. A code exists only where somebody reacts to it: `exit` is what the command line ends with,
 * `next` is what a program that gets it should do.
 *
 * - `fail`: tell the user; the same request will fail again
 * - `retry`: the same request may succeed later (it surely had no effect, or repeating it is safe)
 * - `relocate`: ask the master again where to go, then retry there
 * - `unknown`: it may have taken effect; repeat it under the same id to learn the outcome
 */
export const errorCodes = {
  // what the user asked for
  Usage: { exit: 2, next: "fail" },
  AddressInUse: { exit: 1, next: "fail" },
  ConfigInvalid: { exit: 2, next: "fail" },
  PathInvalid: { exit: 2, next: "fail" },
  NotFound: { exit: 3, next: "fail" },
  Exists: { exit: 4, next: "fail" },
  IsDirectory: { exit: 1, next: "fail" },
  NotDirectory: { exit: 1, next: "fail" },
  DirectoryNotEmpty: { exit: 1, next: "fail" },
  MoveIntoItself: { exit: 1, next: "fail" },
  GenerationMismatch: { exit: 1, next: "fail" },
  RangeInvalid: { exit: 2, next: "fail" },
  SourceChanged: { exit: 1, next: "fail" },
  LocalFile: { exit: 1, next: "fail" },
  Interrupted: { exit: 130, next: "fail" },
  // who may
  Denied: { exit: 5, next: "fail" },
  WrongCluster: { exit: 5, next: "fail" },
  // sessions, drafts
  SessionExpired: { exit: 1, next: "fail" },
  IdReused: { exit: 1, next: "fail" },
  DraftEnded: { exit: 1, next: "fail" },
  OutcomeUnknown: { exit: 7, next: "unknown" },
  // space and servers
  NoSpace: { exit: 6, next: "fail" },
  TooFewServers: { exit: 7, next: "retry" },
  Unavailable: { exit: 7, next: "retry" },
  Busy: { exit: 7, next: "retry" },
  Timeout: { exit: 7, next: "retry" },
  MutationsStopped: { exit: 7, next: "fail" },
  // data
  ChunkLost: { exit: 8, next: "fail" },
  Corrupt: { exit: 8, next: "relocate" },
  ReplicaMissing: { exit: 7, next: "relocate" },
  VersionStale: { exit: 7, next: "relocate" },
  ChunkClosed: { exit: 7, next: "relocate" },
  ChunkFull: { exit: 7, next: "relocate" },
  NotPrimary: { exit: 7, next: "relocate" },
  InodeChanged: { exit: 7, next: "unknown" },
  // protocol and processes
  ProtocolError: { exit: 1, next: "fail" },
  VersionUnsupported: { exit: 1, next: "fail" },
  EpochStale: { exit: 7, next: "fail" },
  Locked: { exit: 1, next: "fail" },
  FormatUnsupported: { exit: 1, next: "fail" },
  DiskFailed: { exit: 1, next: "fail" },
  VolumeRetired: { exit: 7, next: "relocate" },
  PartlyDone: { exit: 9, next: "fail" },
  Bug: { exit: 70, next: "fail" },
} as const satisfies Record<string, { exit: number; next: "fail" | "retry" | "relocate" | "unknown" }>;

export type ErrorCode = keyof typeof errorCodes;

export type ErrorDetails = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export interface GfsErrorOptions {
  readonly retryAfterMs?: number;
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
}

/**
 * An operating error. `message` says what could not be done, to what, and why, without a full stop:
 * `Cannot read chunk 7 at version 3: this replica has 2`.
 */
export class GfsError extends Error {
  override readonly name = "GfsError";
  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: GfsErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details ?? {};
  }
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text);
}

/** True for a GfsError with one of the codes. */
export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is GfsError {
  return error instanceof GfsError && codes.includes(error.code);
}

/** Any thrown value as a GfsError; what is not one already becomes `Bug`, with the original as its cause. */
export function asGfsError(error: unknown): GfsError {
  if (error instanceof GfsError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new GfsError("Bug", message, { cause: error });
}
