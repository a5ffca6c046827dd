/** What another server said in an error frame, and what a broken connection to it means. */
import { GfsError, hasCode, isErrorCode } from "../base/errors.ts";
import { StreamError } from "../io.ts";
import { decodeHeader, ErrorHeader } from "../wire/data/headers.ts";
import type { Frame } from "../wire/data/frame.ts";
import type { VolumeId } from "../wire/ids.ts";

export interface RemoteFailure {
  readonly error: GfsError;
  /** The volume that failed, where the other side named one. */
  readonly volume: VolumeId | undefined;
}

/** @throws GfsError("ProtocolError") for an error frame that can't be read. */
export function failureOf(frame: Frame): RemoteFailure {
  const { code, message, volume, retryAfterMs } = decodeHeader(ErrorHeader, frame.header);
  const error = new GfsError(
    isErrorCode(code) ? code : "Bug",
    message,
    retryAfterMs === undefined ? {} : { retryAfterMs },
  );
  return { error, volume };
}

/** Anything that a connection to `address` threw, as an operating error that names it. */
export function connectionFailure(what: string, address: string, thrown: unknown): GfsError {
  if (hasCode(thrown, "Corrupt", "ProtocolError", "VersionUnsupported", "WrongCluster", "Denied", "Timeout", "Busy"))
    return thrown;
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  const code = thrown instanceof StreamError && thrown.kind === "timeout" ? "Timeout" : "Unavailable";
  return new GfsError(code, `Cannot ${what}: ${address} does not answer (${why})`, { cause: thrown });
}
