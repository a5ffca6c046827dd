/** Addresses as people and messages write them: `host:port`, IPv6 hosts in brackets. */
import { GfsError } from "../base/errors.ts";

export interface Address {
  /** A name or an IP address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** @throws GfsError("Usage") naming the text, where it is not `host:port` or `[IPv6]:port` with a port from 0 to 65 535. */
export function parseAddress(text: string): Address {
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || !(port <= 65_535))
    throw new GfsError("Usage", `Cannot use the address ${JSON.stringify(text)}: it is not host:port`);
  return { host, port };
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** True where only this machine can reach the host: `localhost`, 127.0.0.0/8, ::1. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  if (name === "localhost" || name.endsWith(".localhost") || name === "::1" || name === "0:0:0:0:0:0:0:1") return true;
  const plain = name.startsWith("::ffff:") ? name.slice("::ffff:".length) : name;
  return /^127(?:\.\d{1,3}){3}$/.test(plain);
}

/** True for a host that means "every address of this machine", which nobody can dial. */
export function isWildcard(host: string): boolean {
  return /^(?:0\.0\.0\.0|::|0:0:0:0:0:0:0:0|\*)$/.test(host);
}

/** What others dial: the bound address, with `advertised` for its host where one is given ("host", or "host:port"). */
export function advertise(bound: string, advertised: string | undefined): string {
  if (advertised === undefined) return bound;
  const { port } = parseAddress(bound);
  const bare = advertised.startsWith("[") && advertised.endsWith("]") ? advertised.slice(1, -1) : advertised;
  const isHost = !bare.includes(":") || /^[0-9A-Fa-f]*(?::[0-9A-Fa-f.]*){2,}$/.test(bare);
  return isHost ? formatAddress({ host: bare, port }) : formatAddress(parseAddress(advertised));
}
