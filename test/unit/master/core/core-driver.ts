/** Drives the master's core in tests as the engine does: decide, then apply; the log it would have written is kept. */
import { expect } from "bun:test";
import { hasCode, type ErrorCode } from "../../../../src/base/errors.ts";
import { defaultLimits, type Limits } from "../../../../src/limits.ts";
import { applyBatch } from "../../../../src/master/core/apply.ts";
import { planHandles } from "../../../../src/master/core/chunk-apply.ts";
import type { Decision, Now, PlacedChunk } from "../../../../src/master/core/decision.ts";
import { type MasterState, newMasterState } from "../../../../src/master/core/state.ts";
import type { MutationId } from "../../../../src/wire/control/common.ts";
import { chunkVersion, sequence, sessionId, volumeId } from "../../../../src/wire/ids.ts";
import { LogBatch, type LogRecord } from "../../../../src/wire/log-records.ts";

/** Ids of the volumes that every driver adds first, by index. */
export const volumes = [1, 2, 3, 4].map((n) => volumeId(n.toString(16).padStart(32, "0")));

export class CoreDriver {
  readonly state: MasterState;
  readonly batches: LogBatch[] = [];
  /** Cluster time; the wall clock is ahead of it. */
  clusterMs = 1_000;

  constructor(limits: Partial<Limits> = {}) {
    this.state = newMasterState({ ...defaultLimits, ...limits });
    this.log(volumes.map((volume, index) => ({ kind: "volume-added", index, volume, label: `v${index}` })));
  }

  get now(): Now {
    return { clusterMs: this.clusterMs, wallMs: this.clusterMs + 1_000_000 };
  }

  /** Applies records as one batch, which must be one that the log can hold. */
  log(records: readonly LogRecord[], mutation?: LogBatch["mutation"]): void {
    const batch: LogBatch = { clusterMs: this.clusterMs, records: [...records] };
    const whole = mutation === undefined ? batch : { ...batch, mutation };
    expect(LogBatch.safeParse(whole).error).toBeUndefined();
    applyBatch(this.state, whole);
    this.batches.push(whole);
  }

  /** Applies what was decided and gives the reply. */
  do<Reply>(decision: Decision<Reply>): Reply {
    this.log(decision.records);
    return decision.reply;
  }

  /** A chunk on the first `count` volumes, as placement would choose it. */
  placed(count = 3): PlacedChunk {
    const { handles, reserveUpTo } = planHandles(this.state.chunks, 1, 100);
    const chain = volumes
      .slice(0, count)
      .map((volume) => ({ volume, label: "", data: "127.0.0.1:2", control: "127.0.0.1:1" }));
    const placement = { handle: handles[0]!, version: chunkVersion(1), chain };
    return { placement, members: chain.map((_, index) => index), reserveUpTo };
  }
}

export function mutationId(number = 1, session = 1): MutationId {
  return { session: sessionId(session), sequence: sequence(number), floor: sequence(1) };
}

/** Expects a GfsError with the code, its text of the form "Cannot …", and gives the text. */
export function refusal(code: ErrorCode, run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (!hasCode(error, code)) throw error;
    expect(error.message).toStartWith("Cannot ");
    return error.message;
  }
  throw new Error(`expected ${code}, but nothing was refused`);
}
