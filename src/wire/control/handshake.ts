/** The first call on a connection to any server, and the error body of every refused one (DESIGN §4.6). */
import { z } from "zod";
import { ClusterId, Epoch } from "../ids.ts";
import { message, Uint32 } from "./common.ts";

export const Role = z.enum(["client", "master", "chunkserver", "tool"]);
export type Role = z.infer<typeof Role>;

/**
 * `nonce`: 32 random bytes of the caller. `clusterId` is left out by who does not know it yet.
 * Where a secret is set, the answer proves that the server has it (`proof`: HMAC over both nonces and both roles), and every later request carries
 * an HMAC keyed by a key derived from the secret and both nonces.
 */
export const hello = message(
  "hello",
  z.object({
    versionMin: Uint32,
    versionMax: Uint32,
    role: Role,
    clusterId: ClusterId.optional(),
    nonce: z.instanceof(Uint8Array).refine((n) => n.length === 32),
  }),
  z.object({
    version: Uint32,
    role: Role,
    clusterId: ClusterId.optional(),
    epoch: Epoch.optional(),
    connection: z.string().max(64),
    nonce: z.instanceof(Uint8Array).refine((n) => n.length === 32),
    secure: z.boolean(),
    proof: z.instanceof(Uint8Array).optional(),
  }),
);

/** Body of every answer that isn't 200. */
export const ErrorBody = z.object({
  code: z.string().max(64),
  message: z.string().max(8_192),
  retryAfterMs: z.number().min(0).optional(),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])).optional(),
});
export type ErrorBody = z.infer<typeof ErrorBody>;

export const headers = {
  connection: "gfs-connection",
  counter: "gfs-counter",
  mac: "gfs-mac",
} as const;
