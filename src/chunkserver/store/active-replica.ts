/** A replica that is not at rest in a whole data file: open, fenced, or sealed with bytes that only the volume log has yet. */
import { protocol } from "../../limits.ts";
import type { Origin } from "../../wire/control/commands.ts";
import { chunkVersion, type ChunkHandle, type ChunkVersion } from "../../wire/ids.ts";
import { AppendAnswers } from "./append-answers.ts";
import { BlockSums } from "./block-sums.ts";
import { LogRanges } from "./log-ranges.ts";

export interface ActiveReplica {
  readonly handle: ChunkHandle;
  state: "open" | "fenced" | "sealed";
  promised: ChunkVersion;
  dataVersion: ChunkVersion;
  /** Of the durable bytes. */
  sums: BlockSums;
  chunkBytes: number;
  origin: Origin | undefined;
  answers: AppendAnswers;
  /** [0, fileBytes) is in the data file, synced. */
  fileBytes: number;
  /** [fileBytes, sums.length) is here. */
  log: LogRanges;
  /** Found at the start of the process. */
  inherited: boolean;

  // What was accepted and is on its way to the disk: never reported, never in a checkpoint.
  /** Durable bytes and those queued. */
  accepted: number;
  /** The highest promise that a fence asked for. */
  promising: ChunkVersion;
  /** Takes nothing more: it was found corrupt, or is being moved aside. */
  stopped: boolean;
}

export function newActive(handle: ChunkHandle, version: ChunkVersion): ActiveReplica {
  return {
    handle,
    state: "open",
    promised: version,
    dataVersion: version,
    sums: new BlockSums(),
    chunkBytes: protocol.chunkBytesMax,
    origin: undefined,
    answers: new AppendAnswers(),
    fileBytes: 0,
    log: new LogRanges(0),
    inherited: false,
    accepted: 0,
    promising: version,
    stopped: false,
  };
}

/** For a chunk that was never here: fenced at once, without bytes. */
export function newFenced(handle: ChunkHandle, version: ChunkVersion): ActiveReplica {
  return { ...newActive(handle, version), state: "fenced", dataVersion: chunkVersion(0) };
}
