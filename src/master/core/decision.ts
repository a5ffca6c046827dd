/** What a decision is (DESIGN §4.1): pure and synchronous, its records applied before anything else is decided. */
import type { Placement } from "../../wire/control/common.ts";
import type { LogRecord } from "../../wire/log-records.ts";

/** `clusterMs`: cluster time, never going back, for everything that expires; `wallMs`: of the wall clock, for people. */
export interface Now {
  readonly clusterMs: number;
  readonly wallMs: number;
}

/** `records` go into one batch of the log, in order; none where nothing changes. */
export interface Decision<Reply> {
  readonly records: readonly LogRecord[];
  readonly reply: Reply;
}

/** A chunk that placement found servers for: `members` are the volume indexes of `placement.chain`, in its order. `reserveUpTo`: see `planHandles` of chunk-apply.ts. */
export interface PlacedChunk {
  readonly placement: Placement;
  readonly members: readonly number[];
  readonly reserveUpTo?: number | undefined;
}

export type { ReplyOf, RequestOf } from "../../wire/control/common.ts";
