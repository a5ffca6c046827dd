import { GfsError } from "../base/errors.ts";

/**
 * Without a secret a server binds to loopback only, unless told otherwise (DESIGN §4.6). True where it is bound beyond, by `insecure`.
 *
 * @throws GfsError("Usage")
 */
export function requireLoopback(
  listen: string,
  options: { readonly secret?: Uint8Array | undefined; readonly insecure?: boolean | undefined },
): boolean {
  if (options.secret !== undefined || isLoopback(listen)) return false;
  if (options.insecure === true) return true;
  throw new GfsError(
    "Usage",
    `Cannot listen on ${listen}: without a cluster secret only loopback is allowed; give a secret file, or --insecure`,
  );
}

function isLoopback(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  return host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}
