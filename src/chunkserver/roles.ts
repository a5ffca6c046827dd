/** The open chunks of which this start of the process is a member. A role ends with the process: replicas opened before have none. */
import type { OpenReplica } from "../wire/control/chunkservers.ts";
import type { ChunkHandle } from "../wire/ids.ts";
import type { OpenPrimary } from "./open-primary.ts";
import type { OpenSecondary } from "./open-secondary.ts";
import type { Store } from "./store/store.ts";

/** Most open chunks that one heartbeat tells of; those that stopped come first. */
const reportedMax = 16_384;

export type Role = OpenPrimary | OpenSecondary;

export class Roles {
  readonly #roles = new Map<ChunkHandle, Role>();

  get(handle: ChunkHandle): Role | undefined {
    return this.#roles.get(handle);
  }

  add(handle: ChunkHandle, role: Role): void {
    this.#roles.set(handle, role);
  }

  /** When the chunk is sealed or removed; after a fence its committed length is still wanted. */
  remove(handle: ChunkHandle): void {
    const role = this.#roles.get(handle);
    this.#roles.delete(handle);
    role?.stop();
  }

  /** Known to be committed; 0 where this start of the process never heard of it. */
  committed(handle: ChunkHandle): number {
    return this.#roles.get(handle)?.committed ?? 0;
  }

  extendLeases(handles: readonly ChunkHandle[], untilMs: number): void {
    for (const handle of handles) {
      const role = this.#roles.get(handle);
      if (role?.kind === "primary") role.extendLease(untilMs);
    }
  }

  rest(nowMs: number): void {
    for (const role of this.#roles.values()) if (role.kind === "primary") role.rest(nowMs);
  }

  /** What heartbeats say of all open replicas of the volume. */
  report(store: Store): OpenReplica[] {
    const stopped: OpenReplica[] = [];
    const going: OpenReplica[] = [];
    for (const replica of store.live()) {
      if (replica.state !== "open") continue;
      const role = this.#roles.get(replica.handle);
      const entry: OpenReplica = role?.report() ?? {
        handle: replica.handle,
        version: replica.dataVersion,
        role: "lost",
        committed: 0,
        prepared: replica.length,
        stopped: "its server was restarted",
      };
      (entry.stopped === undefined ? going : stopped).push(entry);
    }
    return [...stopped, ...going].slice(0, reportedMax);
  }

  stopAll(): void {
    for (const role of this.#roles.values()) role.stop();
    this.#roles.clear();
  }
}
