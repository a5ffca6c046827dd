/** Vocabulary of the seal machine (seal.ts; DESIGN §4.3): one machine a chunk, from the decision to seal to the last confirmed finish. */
import type { Limits } from "../../limits.ts";
import type { FenceAnswer } from "../../wire/control/commands.ts";
import type { AppendTable } from "../../wire/control/common.ts";
import type { ChunkHandle, ChunkVersion } from "../../wire/ids.ts";
import type { VolumeIndex } from "./chunk-table.ts";

/** refused: surely nobody listens there. unknown: no answer, it may or may not have taken effect. failed: an answer that says it did not. */
export type Failure =
  | { readonly kind: "refused" }
  | { readonly kind: "unknown" }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

export type SealEvent =
  /** The record `seal-begun` is durable. */
  | { readonly kind: "begun-durable"; readonly version: ChunkVersion }
  | {
      readonly kind: "fence-answered";
      readonly volume: VolumeIndex;
      readonly version: ChunkVersion;
      readonly answer: FenceAnswer;
    }
  | {
      readonly kind: "fence-failed";
      readonly volume: VolumeIndex;
      readonly version: ChunkVersion;
      readonly failure: Failure;
    }
  | { readonly kind: "fetch-done"; readonly volume: VolumeIndex; readonly length: number; readonly crc: number }
  | {
      readonly kind: "fetch-failed";
      readonly volume: VolumeIndex;
      readonly length: number;
      readonly crc: number;
      readonly failure: Failure;
      /** That said of its own replica what the failure is. */
      readonly source?: VolumeIndex | undefined;
    }
  /** What placement said to `choose-spares`; empty: none is to be had, asked again later. */
  | { readonly kind: "spares-chosen"; readonly volumes: readonly VolumeIndex[]; readonly why?: string }
  /** The record `chunk-sealed` is durable. */
  | { readonly kind: "sealed-durable"; readonly version: ChunkVersion }
  | { readonly kind: "finish-done"; readonly volume: VolumeIndex; readonly version: ChunkVersion }
  | {
      readonly kind: "finish-failed";
      readonly volume: VolumeIndex;
      readonly version: ChunkVersion;
      readonly failure: Failure;
    }
  /** Liveness: dead or retired, and back. */
  | { readonly kind: "volume-gone"; readonly volume: VolumeIndex }
  | { readonly kind: "volume-back"; readonly volume: VolumeIndex }
  /** `gfs master confirm`: a volume's higher promise or sealed replica is accepted as the truth. */
  | { readonly kind: "confirmed" }
  /** The chunk isn't in the table any more: nothing is left to seal. */
  | { readonly kind: "released" }
  | { readonly kind: "tick" };

export type SealEffect =
  /** Log `seal-begun` at `version`, and tell with `begun-durable`. */
  | { readonly kind: "log-seal-begun"; readonly handle: ChunkHandle; readonly version: ChunkVersion }
  | {
      readonly kind: "send-fence";
      readonly handle: ChunkHandle;
      readonly version: ChunkVersion;
      readonly volume: VolumeIndex;
    }
  /** `sources` hold all `length` bytes, durably. */
  | {
      readonly kind: "send-fetch";
      readonly handle: ChunkHandle;
      readonly version: ChunkVersion;
      readonly volume: VolumeIndex;
      readonly length: number;
      readonly crc: number;
      readonly sources: readonly VolumeIndex[];
      /** Of exactly these bytes: it travels with them. */
      readonly appendTable: AppendTable;
    }
  /** Ask placement for `count` volumes that are none of `excluded`; answer with `spares-chosen`. */
  | {
      readonly kind: "choose-spares";
      readonly handle: ChunkHandle;
      readonly count: number;
      readonly excluded: readonly VolumeIndex[];
    }
  /** Log `chunk-sealed`, and tell with `sealed-durable`. */
  | {
      readonly kind: "log-chunk-sealed";
      readonly handle: ChunkHandle;
      readonly version: ChunkVersion;
      readonly length: number;
      readonly crc: number;
      readonly members: readonly VolumeIndex[];
      readonly appendTable: AppendTable;
    }
  | {
      readonly kind: "send-finish";
      readonly handle: ChunkHandle;
      readonly version: ChunkVersion;
      readonly volume: VolumeIndex;
      readonly length: number;
      readonly crc: number;
    }
  /** This volume's finish is confirmed: its replica is healthy. */
  | { readonly kind: "finished"; readonly handle: ChunkHandle; readonly volume: VolumeIndex }
  /** corrupt: its bytes differ from those of the others: garbage once it is replaced. missing: it lost them. Not a holder either way. */
  | {
      readonly kind: "bad";
      readonly handle: ChunkHandle;
      readonly volume: VolumeIndex;
      readonly reason: "corrupt" | "missing";
      readonly why: string;
    }
  /** A volume knows more than our log: mutations and deletes stop until `gfs master confirm`. */
  | {
      readonly kind: "behind";
      readonly handle: ChunkHandle;
      readonly volume: VolumeIndex;
      readonly version: ChunkVersion;
      readonly why: string;
    }
  /** The machine is done and may be dropped. */
  | { readonly kind: "done"; readonly handle: ChunkHandle };

/** beginning: the first record isn't durable. fencing, copying: as named. logging: the second isn't durable. */
export type SealPhase = "beginning" | "fencing" | "copying" | "logging" | "finishing" | "done";

export type SealLimits = Pick<Limits, "sealResponders" | "loneSealMs" | "fenceAfterQuorumMs" | "fenceMs">;

/** What a volume holds durably of the chunk: `length` bytes with this CRC. */
export interface Held {
  readonly length: number;
  readonly crc: number;
}

/**
 * Invariant: the table is that of exactly these bytes, from the answer or the fetch that told of them; what is sealed is then sealed with all of its answers,
 * whoever is left to tell them. Undefined for a replica that answered that it is sealed already: it keeps none.
 */
export interface Holding extends Held {
  readonly appendTable: AppendTable | undefined;
}

/** One volume of the seal, member or spare. */
export interface SealParty {
  readonly volume: VolumeIndex;
  readonly role: "member" | "spare";
  /** Dead or retired: its earlier answer is forgotten, as if it never came. */
  gone: boolean;
  /** From its answer to the fence, or to a fetch since. */
  holds: Holding | undefined;
  /** The version at which it answered that it was sealed already, with what it holds. Counts only after `confirmed`. */
  sealed: ChunkVersion | undefined;
  /** What it will hold once the fetch in flight is done. */
  fetching: Holding | undefined;
  /** Its last attempt found nobody listening. */
  refusing: boolean;
  /** Why it can't be a holder: its bytes are bad, or it can't copy. */
  excluded: "corrupt" | "copy failed" | undefined;
  inFlight: "fence" | "fetch" | "finish" | undefined;
  /** Failed ones in a row. */
  attempts: number;
  retryAtMs: number;
  finished: boolean;
}

/** Data only: effects name what to do, events tell what came of it. */
export interface SealMachine {
  readonly handle: ChunkHandle;
  version: ChunkVersion;
  /** Members of the chunk, the head first, then spares. */
  parties: SealParty[];
  phase: SealPhase;
  readonly beganMs: number;
  /** When enough had answered. */
  quorumMs: number | undefined;
  /** Since when a single one is left alive. */
  loneMs: number | undefined;
  copyingMs: number | undefined;
  /** What will be sealed: set with `copying`. */
  target: Held | undefined;
  /** Named by the record. */
  sealedMembers: readonly VolumeIndex[];
  sparesAskedMs: number | undefined;
  /** A volume knows more than we do: nothing goes on until `confirmed`. */
  behind: { readonly volume: VolumeIndex; readonly version: ChunkVersion; readonly why: string } | undefined;
  /** One line for people: what it waits for. */
  waitsFor: string;
}

export interface SealStep {
  readonly machine: SealMachine;
  readonly effects: readonly SealEffect[];
}
