/** Opens chunks for the master (DESIGN §4.3): an empty replica, durable, and the role that its place in the chain gives. */
import { GfsError } from "../base/errors.ts";
import type { Origin } from "../wire/control/commands.ts";
import type { AppendTable, Chain } from "../wire/control/common.ts";
import type { ChunkHandle, ChunkVersion } from "../wire/ids.ts";
import type { Context } from "./context.ts";
import { openMember } from "./core/member.ts";
import { openPrimary } from "./core/primary.ts";
import { OpenPrimary } from "./open-primary.ts";
import { OpenSecondary } from "./open-secondary.ts";
import type { Role, Roles } from "./roles.ts";

export interface OpenRequest {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly chain: Chain;
  readonly origin: Origin;
  readonly chunkBytes: number;
  readonly appendTable: AppendTable;
  readonly leaseMs: number;
}

export class OpenChunks {
  readonly #context: Context;
  readonly #roles: Roles;
  readonly #onStopped: () => void;
  /** Being opened: a command that is repeated meanwhile waits for the first. */
  readonly #opening = new Map<ChunkHandle, Promise<void>>();

  constructor(context: Context, roles: Roles, onStopped: () => void) {
    this.#context = context;
    this.#roles = roles;
    this.#onStopped = onStopped;
  }

  /** @throws GfsError ChunkClosed (its role was lost, or it is here in another state) | VersionStale | NoSpace | VolumeRetired | ReplicaMissing */
  async open(request: OpenRequest): Promise<void> {
    const { handle } = request;
    const before = this.#opening.get(handle);
    if (before !== undefined) await before.catch(() => undefined);
    const promised = this.#context.store.promised(handle);
    if (this.#roles.get(handle)?.version === request.version && promised === request.version) return;
    const opening = this.#begin(request);
    this.#opening.set(handle, opening);
    try {
      await opening;
    } finally {
      if (this.#opening.get(handle) === opening) this.#opening.delete(handle);
    }
  }

  async #begin(request: OpenRequest): Promise<void> {
    const { store, world } = this.#context;
    const { handle, version, chain, chunkBytes, origin, appendTable } = request;
    const receivedMs = world.clock.monotonicMs();
    const place = chain.findIndex(({ volume }) => volume === store.volume);
    const what = `Cannot open chunk ${handle} at version ${version}`;
    if (place === -1) throw new GfsError("ReplicaMissing", `${what}: volume ${store.volume} is not in its chain`);
    const role = place === 0 ? "primary" : "secondary";
    const volumes = chain.map(({ volume }) => volume);
    const made = await store.openReplica({ handle, version, role, chain: volumes, chunkBytes, origin, appendTable });
    if (made === "exists") throw new GfsError("ChunkClosed", `${what}: it was opened before this server was restarted`);
    // A fence may have come in meanwhile: then there is no role to play any more.
    const promised = store.promised(handle);
    if (promised > version) throw new GfsError("VersionStale", `${what}: fenced at ${promised}`);
    this.#roles.add(handle, this.#makeRole(request, place, receivedMs + request.leaseMs));
  }

  #makeRole(request: OpenRequest, place: number, leaseUntilMs: number): Role {
    const { handle, version, chain, chunkBytes, origin, appendTable } = request;
    const rest = chain.slice(place + 1);
    const onStopped = this.#onStopped;
    if (place > 0) {
      const state = openMember({ handle, version, chunkBytes, last: rest.length === 0 });
      return new OpenSecondary(this.#context, { state, rest, onStopped });
    }
    const state = openPrimary({
      handle,
      version,
      chunkBytes,
      chainLength: chain.length,
      fileOffset: origin.fileOffset,
      appendTable,
      limits: this.#context.limits,
      prepareMs: this.#context.limits.prepareMs,
      leaseUntilMs,
    });
    return new OpenPrimary(this.#context, { state, inode: origin.inode, rest, onStopped });
  }
}
