import { GfsError } from "../base/errors.ts";

export interface HostPort {
  /** A name or an IP address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** "host:port" or "[IPv6]:port". @throws GfsError("Usage") */
export function parseHostPort(address: string): HostPort {
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([^:[\]\s/]+)):([0-9]{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || !(port <= 65_535))
    throw new GfsError("Usage", `Cannot use the address ${JSON.stringify(address)}: it is not host:port`);
  return { host, port };
}

/** The inverse; an IPv4 address that the system hands out in IPv6 clothes (`::ffff:10.0.0.1`) is written as IPv4. */
export function formatHostPort(host: string, port: number): string {
  const plain = host.startsWith("::ffff:") && host.includes(".") ? host.slice("::ffff:".length) : host;
  return plain.includes(":") ? `[${plain}]:${port}` : `${plain}:${port}`;
}

/** Why the system refused, as it said it. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Why a local file could not be used, for people. */
export function fileReason(error: unknown): string {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file",
    EACCES: "permission denied",
    EISDIR: "it is a directory",
  };
  return reasons[systemCode(error) ?? ""] ?? (error instanceof Error ? error.message : String(error));
}

/** For a bind that failed: the address and the reason, in words. */
export function cannotListen(address: string, error: unknown): GfsError {
  const code = systemCode(error);
  const reason =
    code === "EADDRINUSE"
      ? "it is in use by another process"
      : code === "EADDRNOTAVAIL"
        ? "it is not an address of this machine"
        : code === "EACCES"
          ? "permission denied"
          : error instanceof Error
            ? error.message
            : String(error);
  return new GfsError(code === "EADDRINUSE" ? "AddressInUse" : "Usage", `Cannot listen on ${address}: ${reason}`, {
    cause: error,
  });
}
