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
  /** Its bytes differ from those of the others: not a holder, and garbage once it is replaced. */
  | { readonly kind: "corrupt"; readonly handle: ChunkHandle; readonly volume: VolumeIndex; readonly why: string }
  /** A volume knows more than our log: mutations and deletes stop until `gfs master confirm`. */
  | { readonly kind: "behind"; readonly handle: ChunkHandle; readonly volume: VolumeIndex; readonly why: string }
  /** The machine is done and may be dropped. */
  | { readonly kind: "done"; readonly handle: ChunkHandle };

/** beginning: the first record isn't durable. fencing, copying: as named. logging: the second isn't durable. */
export type SealPhase = "beginning" | "fencing" | "copying" | "logging" | "finishing" | "done";

export type SealLimits = Pick<
  Limits,
  "sealResponders" | "loneSealMs" | "fenceAfterQuorumMs" | "fenceMs" | "heartbeatMs"
>;

/** One volume of the seal, member or spare. */
export interface SealParty {
  readonly volume: VolumeIndex;
  readonly role: "member" | "spare";
  gone: boolean;
  /** The last answer to a fence or fetch that told what it holds durably; 0 bytes with CRC 0 for a spare before its copy. */
  holds: { readonly length: number; readonly crc: number } | undefined;
  appendTable: AppendTable | undefined;
  /** Its last attempt found nobody listening. */
  refusing: boolean;
  /** It answered something that rules it out: corrupt, retired, its sealed or promised version. */
  excluded: string | undefined;
  inFlight: "fence" | "fetch" | "finish" | undefined;
  inFlightSinceMs: number;
  attempts: number;
  retryAtMs: number;
  finished: boolean;
}

export interface SealMachine {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  /** Members of the chunk, the head first, then spares. */
  readonly parties: readonly SealParty[];
  readonly phase: SealPhase;
  readonly beganMs: number;
  /** When enough had answered. */
  readonly quorumMs: number | undefined;
  /** Since when a single one is left alive. */
  readonly loneMs: number | undefined;
  readonly copyingMs: number | undefined;
  /** Set with `copying`: what will be sealed. */
  readonly target: { readonly length: number; readonly crc: number } | undefined;
  readonly sealedMembers: readonly VolumeIndex[];
  readonly sparesAskedMs: number | undefined;
  /** A volume knows more than we do; nothing goes on until `confirmed`. */
  readonly behind: { readonly volume: VolumeIndex; readonly promised: ChunkVersion; readonly why: string } | undefined;
  /** One line for people: what it waits for. */
  readonly waitsFor: string;
}
