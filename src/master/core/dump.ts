/**
 * Durable state as a checkpoint's pieces, and back (DESIGN §4.1). The same state gives the same bytes, however it came about and lies in memory:
 * dump → load → dump is identical.
 */
import { GfsError } from "../../base/errors.ts";
import type { Limits } from "../../limits.ts";
import { decodeStoredCbor, encodeCbor } from "../../wire/cbor.ts";
import { CheckpointHead } from "../../wire/checkpoint.ts";
import { dumpChunks, dumpVolumes, loadChunkPiece } from "./chunk-sections.ts";
import { chunkCount } from "./chunk-table.ts";
import { dumpNamespace, loadNamespaceSection } from "./dump-namespace.ts";
import { dumpSessions, loadSessionsSection, written } from "./dump-sessions.ts";
import { restoreTree } from "./restore-tree.ts";
import { dumpSettings, loadSettingsSection } from "./runtime-settings.ts";
import { SectionReader } from "./sections.ts";
import { type MasterState, newMasterState } from "./state.ts";

/** Pieces of at most 1 MiB, each made when it is asked for. The state must not change until the last. */
export function* dumpState(state: MasterState): Generator<Uint8Array> {
  const { clusterId, epoch, featureLevel, epochWallMs, clusterMs, dataDirectories, restored } = state.cluster;
  const head: CheckpointHead = {
    ...(clusterId === undefined ? {} : { clusterId }),
    featureLevel,
    ...(epoch === undefined ? {} : { epoch: { number: epoch.number, startId: epoch.startId } }),
    epochWallMs,
    clusterMs,
    dataDirectories: [...dataDirectories],
    ...(restored === undefined ? {} : { restored: { position: restored.position, source: restored.source } }),
    nextLink: state.inodes.nextLink,
    slotEnd: state.inodes.slotEnd,
    chunks: chunkCount(state.chunks),
    nextSession: state.sessions.next,
    nextDraft: state.drafts.next,
  };
  let pieces = 0;
  for (const part of [
    written("head", [encodeCbor(head)], (writer, bytes) => writer.bytes(bytes)),
    dumpNamespace(state.inodes),
    dumpSessions(state),
    dumpVolumes(state.volumes),
    dumpChunks(state.chunks),
    dumpSettings(state.settings),
  ])
    for (const piece of part) {
      pieces++;
      yield piece;
    }
  yield* written("end", [pieces], (writer, count) => writer.u53(count));
}

/** A checkpoint on its way back into state: `addPiece` each in order, then `endLoad`. */
export interface StateLoad {
  readonly state: MasterState;
  head: CheckpointHead | undefined;
  pieces: number;
  complete: boolean;
}

export function beginLoad(limits: Limits): StateLoad {
  return { state: newMasterState(limits), head: undefined, pieces: 0, complete: false };
}

/** @throws GfsError("Corrupt"), GfsError("FormatUnsupported"), or an assertion failure, where the piece is not what `dumpState` made */
export function addPiece(load: StateLoad, piece: Uint8Array): void {
  const reader = new SectionReader(piece);
  if (load.complete) corrupt("something follows its end");
  if (reader.section === "end") {
    reader.nextEntry();
    if (reader.u53() !== load.pieces) corrupt("pieces are missing");
    load.complete = true;
    return;
  }
  load.pieces++;
  const { state } = load;
  if (reader.section === "head") loadHead(load, reader);
  else if (load.head === undefined) corrupt("it does not begin with its head");
  else if (
    !loadNamespaceSection(reader, state.inodes) &&
    !loadSessionsSection(reader, state) &&
    !loadSettingsSection(reader, state.settings) &&
    !loadChunkPiece(state.chunks, state.volumes, reader)
  )
    throw new GfsError("FormatUnsupported", `Cannot read a checkpoint: its section ${reader.section} is unknown`);
}

/** The whole state. @throws GfsError("Corrupt") where pieces are missing */
export function endLoad(load: StateLoad): MasterState {
  const { state, head } = load;
  if (head === undefined || !load.complete) return corrupt("it has no end");
  if (state.inodes.slotEnd !== head.slotEnd) corrupt("its inodes are not all there");
  if (chunkCount(state.chunks) !== head.chunks) corrupt("its chunks are not all there");
  restoreTree(state.inodes, state.trash);
  state.inodes.nextLink = head.nextLink;
  state.sessions.next = head.nextSession;
  state.drafts.next = head.nextDraft;
  return state;
}

/** All at once. @throws as `addPiece` and `endLoad` */
export function loadState(pieces: Iterable<Uint8Array>, limits: Limits): MasterState {
  const load = beginLoad(limits);
  for (const piece of pieces) addPiece(load, piece);
  return endLoad(load);
}

function loadHead(load: StateLoad, reader: SectionReader): void {
  if (load.head !== undefined || !reader.nextEntry()) corrupt("its head is not one");
  const parsed = CheckpointHead.safeParse(decodeStoredCbor(reader.bytes(), "the head of a checkpoint"));
  if (!parsed.success) return corrupt("its head has not the form of one");
  load.head = parsed.data;
  const { clusterId, epoch, featureLevel, epochWallMs, clusterMs, dataDirectories, restored } = parsed.data;
  load.state.chunks.index.reserve(parsed.data.chunks);
  Object.assign(load.state.cluster, {
    clusterId,
    epoch,
    featureLevel,
    epochWallMs,
    clusterMs,
    dataDirectories,
    restored,
  });
}

function corrupt(why: string): never {
  throw new GfsError("Corrupt", `Cannot read a checkpoint: ${why}`);
}
