/** A master's state with very many one-chunk files of three replicas, made by the decisions that real puts make. */
import { decideDraftCommit, decideDraftCreate } from "../../src/master/core/decide-drafts.ts";
import { decideSessionOpen } from "../../src/master/core/decide-sessions.ts";
import { planHandles } from "../../src/master/core/chunk-apply.ts";
import type { Now } from "../../src/master/core/decision.ts";
import type { MasterState } from "../../src/master/core/state.ts";
import { chunkVersion, sequence, sessionId, type VolumeId, volumeId } from "../../src/wire/ids.ts";
import type { LogRecord } from "../../src/wire/log-records.ts";

/** Applies what was decided, and logs it where that is wanted. */
export type Log = (records: readonly LogRecord[]) => void;

/** The volume with this index. */
export function volumeOf(index: number): VolumeId {
  return volumeId((index + 1).toString(16).padStart(32, "0"));
}

/** The first mutation of the first session; its answers are not kept. */
export const mutationId = { session: sessionId(1), sequence: sequence(1), floor: sequence(1) };

export function filePath(i: number): string {
  return `/data/dir-${Math.floor(i / 1_000)}/file-${i}.bin`;
}

/** Volumes and a session, in a state without any. */
export function beginFiles(state: MasterState, now: Now, log: Log, volumes = 3): void {
  const indexes = Array.from({ length: volumes }, (_, index) => index);
  log(indexes.map((index) => ({ kind: "volume-added", index, volume: volumeOf(index), label: "" }) as const));
  log(decideSessionOpen(state, { label: "" }, now).records);
}

/** Length and CRC of its chunk. */
export const sizesOf = (i: number) => ({ length: 1_000 + (i % 64), crc: i });

export interface FileToPut {
  /** Its number. */
  readonly i: number;
  /** Indexes of the volumes that its chunk is on; the first three where left out. */
  readonly members?: readonly number[];
}

/** A draft with the file's chunk, and the commit. */
export function putFile(state: MasterState, now: Now, { i, members = [0, 1, 2] }: FileToPut, log: Log): void {
  const { handles, reserveUpTo } = planHandles(state.chunks, 1, 1_000);
  const [handle] = handles;
  if (handle === undefined) throw new Error("no handle was planned");
  const version = chunkVersion(1);
  const target = { kind: "put", path: filePath(i), overwrite: false } as const;
  const placed = { placement: { handle, version, chain: [] }, members, reserveUpTo };
  const created = decideDraftCreate(state, { id: mutationId, target }, placed);
  log(created.records);
  const { length, crc } = sizesOf(i);
  const chunks = [{ handle, version, length, crc, volumes: members.map(volumeOf) }];
  log(decideDraftCommit(state, { id: mutationId, draft: created.reply.draft, chunks }, now).records);
}
