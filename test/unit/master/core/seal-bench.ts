/** A seal machine with three members, as a table of events and effects: shared by the tests of seal.ts. */
import { defaultLimits } from "../../../../src/limits.ts";
import { beginSeal, stepSeal } from "../../../../src/master/core/seal.ts";
import type { SealEffect, SealEvent, SealMachine } from "../../../../src/master/core/seal-types.ts";
import type { FenceAnswer } from "../../../../src/wire/control/commands.ts";
import type { AppendTable } from "../../../../src/wire/control/common.ts";
import { chunkHandle, chunkVersion, sequence, sessionId } from "../../../../src/wire/ids.ts";

export const limits = defaultLimits;
export const handle = chunkHandle(7);
/** The chunk was open at 1: the fence is at 2. */
export const version = chunkVersion(2);

export function tableOf(last: number): AppendTable {
  return [{ session: sessionId(1), answers: [{ sequence: sequence(last), fileOffset: 0, bytes: 1, crc: 0 }] }];
}

export class SealBench {
  machine: SealMachine;
  nowMs: number;
  /** Of the last event. */
  effects: readonly SealEffect[];
  readonly log: SealEffect[] = [];

  constructor(members: readonly number[] = [0, 1, 2], gone: readonly number[] = [], nowMs = 1_000) {
    this.nowMs = nowMs;
    const step = beginSeal({ handle, version: chunkVersion(1), members, gone: new Set(gone) }, nowMs);
    this.machine = step.machine;
    this.effects = step.effects;
    this.log.push(...step.effects);
  }

  static fencing(members: readonly number[] = [0, 1, 2], gone: readonly number[] = []): SealBench {
    const bench = new SealBench(members, gone);
    bench.step({ kind: "begun-durable", version });
    return bench;
  }

  step(event: SealEvent): readonly SealEffect[] {
    const { machine, effects } = stepSeal(this.machine, event, { nowMs: this.nowMs, limits });
    this.machine = machine;
    this.effects = effects;
    this.log.push(...effects);
    return effects;
  }

  tick(afterMs: number): readonly SealEffect[] {
    this.nowMs += afterMs;
    return this.step({ kind: "tick" });
  }

  answer(volume: number, prepared: number, crc = 100 + prepared): readonly SealEffect[] {
    const answer: FenceAnswer = {
      kind: "fenced",
      handle,
      prepared,
      committed: 0,
      crc,
      dataVersion: chunkVersion(0),
      appendTable: tableOf(prepared + 1),
    };
    return this.step({ kind: "fence-answered", volume, version: this.machine.version, answer });
  }

  answerWith(volume: number, answer: FenceAnswer): readonly SealEffect[] {
    return this.step({ kind: "fence-answered", volume, version: this.machine.version, answer });
  }

  fenceFails(volume: number, kind: "refused" | "unknown"): readonly SealEffect[] {
    return this.step({ kind: "fence-failed", volume, version: this.machine.version, failure: { kind } });
  }

  fetched(volume: number, length: number, crc = 100 + length): readonly SealEffect[] {
    return this.step({ kind: "fetch-done", volume, length, crc });
  }

  kinds(): string[] {
    return this.effects.map((effect) => ("volume" in effect ? `${effect.kind} ${effect.volume}` : effect.kind));
  }

  sealed(): Extract<SealEffect, { kind: "log-chunk-sealed" }> | undefined {
    return this.log.find((effect) => effect.kind === "log-chunk-sealed");
  }
}
