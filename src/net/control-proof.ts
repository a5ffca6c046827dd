/** How both sides of the control plane prove that they have the secret (DESIGN §4.6, docs/PROTOCOL.md). */
import { concatBytes, utf8 } from "../base/bytes.ts";
import type { Crypto } from "../io.ts";
import type { Role } from "../wire/control/handshake.ts";
import { proofOf } from "./secret.ts";

export interface HelloFacts {
  readonly callerNonce: Uint8Array;
  readonly serverNonce: Uint8Array;
  readonly callerRole: Role;
  readonly serverRole: Role;
  readonly connection: string;
}

function factsOf(facts: HelloFacts): (Uint8Array | string)[] {
  return [facts.callerNonce, facts.serverNonce, facts.callerRole, facts.serverRole, facts.connection];
}

/** The server's: in the answer to hello. */
export function helloProof(crypto: Crypto, secret: Uint8Array, facts: HelloFacts): Uint8Array<ArrayBuffer> {
  return proofOf(crypto, secret, "gfs control server", factsOf(facts));
}

/** The key of one connection's requests. */
export function requestKey(crypto: Crypto, secret: Uint8Array, facts: HelloFacts): Uint8Array {
  return proofOf(crypto, secret, "gfs control requests", factsOf(facts));
}

export interface ProvenRequest {
  readonly path: string;
  readonly counter: string;
  readonly body: Uint8Array;
}

/** Over method, path, counter and body; 64 hex digits. */
export function requestMac(crypto: Crypto, key: Uint8Array, { path, counter, body }: ProvenRequest): string {
  return crypto.hmac(key, concatBytes([utf8(`POST\n${path}\n${counter}\n`), body])).toHex();
}

/** Equality of two MACs as text, in a time that does not tell where they differ. */
export function equalMacs(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}
