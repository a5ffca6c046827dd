/** What the parts of one store share. */
import type { World } from "../../io.ts";
import type { Limits } from "../../limits.ts";
import type { ChunkHandle } from "../../wire/ids.ts";
import type { DataFiles } from "./data-files.ts";
import type { Identity } from "./identity.ts";
import type { KeyedLock } from "./keyed-lock.ts";
import type { Retirement } from "./retirement.ts";
import type { SpaceAccount } from "./space-account.ts";
import type { BadReplica } from "./store.ts";
import type { VolumeLog } from "./volume-log.ts";
import type { VolumeState } from "./volume-state.ts";

/** A put or clone that is under way. */
export interface RunningWriter {
  readonly handle: ChunkHandle;
  readonly version: number;
  /** It takes nothing more, and what it wrote is gone when this resolves. The caller holds the handle's lock. */
  fail(reason: Error): Promise<void>;
}

export interface Ground {
  readonly world: World;
  readonly limits: Limits;
  readonly directory: string;
  readonly state: VolumeState;
  readonly log: VolumeLog;
  readonly files: DataFiles;
  readonly space: SpaceAccount;
  readonly retirement: Retirement;
  /** Whoever changes a replica's files, or decides from its state and then waits, holds its handle. */
  readonly locks: KeyedLock;
  readonly writers: Map<number, RunningWriter>;
  /** Tails that are under way. Whoever changes the replica's file otherwise ends them first, holding its lock. */
  readonly tails: Map<number, { abort(): Promise<void> }>;
  /** Found corrupt or missing, not yet reported. */
  readonly bad: Map<number, BadReplica>;
  identity: Identity;
}
