/** Operating errors over HTTP: status and CBOR body one way, a GfsError the other. */
import { asGfsError, type ErrorCode, errorCodes, GfsError, isErrorCode } from "../base/errors.ts";
import type { ControlResponse } from "../io.ts";
import { decodeCbor, encodeCbor } from "../wire/cbor.ts";
import { ErrorBody } from "../wire/control/handshake.ts";

/** The status is for people and probes; gfs reads the body. */
const statuses: Partial<Record<ErrorCode, number>> = {
  Usage: 400,
  PathInvalid: 400,
  RangeInvalid: 416,
  ProtocolError: 400,
  VersionUnsupported: 400,
  NotFound: 404,
  Denied: 403,
  WrongCluster: 403,
  Busy: 429,
  NoSpace: 507,
  Timeout: 504,
  Bug: 500,
};

/** `details.connection` of a refused request: the server does not know its connection id, and has surely done nothing. */
export const unknownConnection = "unknown";

export function errorResponse(thrown: unknown): Response {
  const error = asGfsError(thrown);
  const { code, retryAfterMs, details } = error;
  const body: ErrorBody = {
    code,
    message: error.message.slice(0, 8_192),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(Object.keys(details).length === 0 ? {} : { details: mutable(details) }),
  };
  const status = statuses[code] ?? (errorCodes[code].next === "retry" ? 503 : 409);
  return new Response(encodeCbor(body), { status, headers: { "content-type": "application/cbor" } });
}

function mutable(details: GfsError["details"]): NonNullable<ErrorBody["details"]> {
  const copy: NonNullable<ErrorBody["details"]> = {};
  for (const [name, value] of Object.entries(details)) copy[name] = typeof value === "object" ? [...value] : value;
  return copy;
}

/** What an answer other than 200 says. One that can't be read is a ProtocolError with `details` from `garbled`: no server of gfs wrote it, and what the call was to do may be done. */
export function errorOfResponse(
  { status, body }: Pick<ControlResponse, "status" | "body">,
  garbled: { readonly address: string; readonly outcome: "none" | "unknown" },
): GfsError {
  const parsed = ErrorBody.safeParse(tolerantDecode(body));
  if (!parsed.success)
    return new GfsError(
      "ProtocolError",
      `Cannot understand ${garbled.address}: it answered with status ${status}, and not as a gfs server does`,
      { details: garbled },
    );
  const { code, message, retryAfterMs, details } = parsed.data;
  return new GfsError(isErrorCode(code) ? code : "Bug", message, {
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(details === undefined ? {} : { details }),
  });
}

function tolerantDecode(body: Uint8Array): unknown {
  try {
    return decodeCbor(body);
  } catch {
    return undefined;
  }
}
