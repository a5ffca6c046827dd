/** What the parts of one chunkserver share. */
import { AssertionError } from "../base/assert.ts";
import { asGfsError, type GfsError } from "../base/errors.ts";
import type { EventFields, World } from "../io.ts";
import type { Limits } from "../limits.ts";
import type { FrameCalls } from "../net/frame-calls.ts";
import type { FramePool } from "../net/frame-pool.ts";
import type { ChunkHandle, ChunkVersion } from "../wire/ids.ts";
import type { TimeTally } from "./core/operation-times.ts";
import type { Store } from "./store/store.ts";

export interface Context {
  readonly world: World;
  readonly limits: Limits;
  readonly store: Store;
  /** Of the store's disk. */
  readonly times: TimeTally;
  /** Connections to other chunkservers. */
  readonly pool: FramePool;
  /** Small chunks on their way to them. */
  readonly calls: FrameCalls;
  /** Aborted when the chunkserver stops: ends everything that waits. */
  readonly stopping: AbortSignal;
  /** A broken invariant was met: the chunkserver must stop before it spreads. */
  readonly onBug: (bug: AssertionError) => void;
}

/** What was thrown, as an operating error; a broken invariant is reported besides. */
export function operatingError(context: Context, thrown: unknown): GfsError {
  if (thrown instanceof AssertionError) context.onBug(thrown);
  return asGfsError(thrown);
}

/** The steps of a data mutation that debug events name. */
export type MutationStep = "START" | "PREPARE" | "COMMIT" | "ROLLBACK" | "FENCE" | "FETCH" | "SEAL";

/** One debug event for a step of a mutation of a chunk. Callers on hot paths ask `events.enabled("debug")` first. */
export function traceMutation(
  context: Context,
  step: MutationStep,
  chunk: { readonly handle: ChunkHandle; readonly version: ChunkVersion },
  fields: EventFields = {},
): void {
  const { events } = context.world;
  if (!events.enabled("debug")) return;
  events.emit("debug", `mutation.${step}`, { chunk: chunk.handle, version: chunk.version, ...fields });
}
