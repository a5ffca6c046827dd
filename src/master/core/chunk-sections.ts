/** The durable part of the chunk and volume tables in a checkpoint (sections.ts; docs/DISK-FORMAT.md). Soft state is never written. */
import { GfsError } from "../../base/errors.ts";
import { chunkHandle, volumeId } from "../../wire/ids.ts";
import { nameReplicas } from "./chunk-replicas.ts";
import { membersAt, setMembersAt, setStateAt, slotOf, stateAt, takeSlot } from "./chunk-table.ts";
import type { ChunkState, ChunkTable } from "./chunk-table.ts";
import { SectionWriter } from "./sections.ts";
import type { SectionReader } from "./sections.ts";
import { allVolumes, applyVolumeAdded } from "./volumes.ts";
import type { VolumeTable } from "./volumes.ts";

export const chunkSections = {
  chunks: "chunks",
  handles: "handles",
  released: "released-handles",
  volumes: "volumes",
} as const;

const states: readonly ChunkState[] = ["writing", "open", "sealing", "sealed"];
/** A run longer than this is cut: handles are below 2^53, counts are 32 bits. */
const runMax = 0xffff_ffff;

/** The pieces of all sections, chunks in the order of their handles. */
export function* dumpChunks(table: ChunkTable): Generator<Uint8Array> {
  const mark = new SectionWriter(chunkSections.handles);
  mark.u53(table.handleMark);
  yield* ended(mark, mark.endEntry());

  const writer = new SectionWriter(chunkSections.chunks);
  for (const slot of slotsByHandle(table)) {
    const state = stateAt(table, slot);
    if (state === undefined) continue;
    writer.u53(table.handles.get(slot));
    writer.u32(table.versions.get(slot));
    writer.u8(states.indexOf(state) + 1);
    writer.u8(table.goals.get(slot));
    writer.u32(table.lengths.get(slot));
    writer.u32(table.crcs.get(slot));
    // A draft is told apart from an inode by the chunk's state.
    writer.u53(Math.abs(table.owners.get(slot)));
    writer.u32(table.references.get(slot));
    const members = membersAt(table, slot);
    writer.u8(members.length);
    for (const member of members) writer.u16(member);
    const piece = writer.endEntry();
    if (piece !== undefined) yield piece;
  }
  yield* ended(writer, undefined);

  const released = new SectionWriter(chunkSections.released);
  for (const [first, count] of table.releasedHandles.runs()) {
    for (let at = 0; at < count; at += runMax) {
      released.u53(first + at);
      released.u32(Math.min(runMax, count - at));
      const piece = released.endEntry();
      if (piece !== undefined) yield piece;
    }
  }
  yield* ended(released, undefined);
}

export function* dumpVolumes(table: VolumeTable): Generator<Uint8Array> {
  const writer = new SectionWriter(chunkSections.volumes);
  for (const volume of allVolumes(table)) {
    writer.u16(volume.index);
    writer.text(volume.volume);
    writer.text(volume.label);
    const piece = writer.endEntry();
    if (piece !== undefined) yield piece;
  }
  yield* ended(writer, undefined);
}

function* ended(writer: SectionWriter, piece: Uint8Array | undefined): Generator<Uint8Array> {
  if (piece !== undefined) yield piece;
  const rest = writer.end();
  if (rest !== undefined) yield rest;
}

function slotsByHandle(table: ChunkTable): Uint32Array {
  const handles: number[] = [];
  for (let slot = 0; slot < table.slotEnd; slot++)
    if (table.states.get(slot) !== 0) handles.push(table.handles.get(slot));
  return Uint32Array.from(Float64Array.from(handles).toSorted(), (handle) => slotOf(table, chunkHandle(handle)));
}

/**
 * Takes one piece into the tables; false where its section is none of these.
 *
 * @throws GfsError("Corrupt") for entries that no table can have written.
 */
export function loadChunkPiece(chunks: ChunkTable, volumes: VolumeTable, reader: SectionReader): boolean {
  switch (reader.section) {
    case chunkSections.handles:
      while (reader.nextEntry()) {
        chunks.handleMark = reader.u53();
        chunks.nextHandle = Math.max(chunks.nextHandle, 1);
      }
      return true;
    case chunkSections.chunks:
      while (reader.nextEntry()) loadChunk(chunks, reader);
      return true;
    case chunkSections.released:
      while (reader.nextEntry()) {
        const first = reader.u53();
        const count = reader.u32();
        if (first === 0 || count === 0) corrupt("a run of released handles is empty");
        chunks.releasedHandles.addRun(first, count);
      }
      return true;
    case chunkSections.volumes:
      while (reader.nextEntry()) {
        const index = reader.u16();
        const volume = reader.text();
        const label = reader.text();
        if (!/^[0-9a-f]{32}$/.test(volume) || volumes.byIndex[index] !== undefined)
          corrupt(`volume ${index} is out of form`);
        applyVolumeAdded(volumes, { index, volume: volumeId(volume), label });
      }
      return true;
    default:
      return false;
  }
}

function loadChunk(table: ChunkTable, reader: SectionReader): void {
  const handle = reader.u53();
  const version = reader.u32();
  const state = states[reader.u8() - 1];
  const goal = reader.u8();
  const [length, crc, owner, references] = [reader.u32(), reader.u32(), reader.u53(), reader.u32()];
  const members: number[] = [];
  for (let count = reader.u8(); count > 0; count--) members.push(reader.u16());
  if (handle === 0 || state === undefined || goal === 0 || owner === 0)
    return corrupt(`chunk ${handle} is out of form`);
  if (slotOf(table, chunkHandle(handle)) >= 0) return corrupt(`chunk ${handle} occurs twice`);
  const slot = takeSlot(table, chunkHandle(handle));
  table.versions.set(slot, version);
  table.goals.set(slot, goal);
  table.lengths.set(slot, length);
  table.crcs.set(slot, crc);
  table.owners.set(slot, state === "writing" ? -owner : owner);
  table.references.set(slot, references);
  setMembersAt(table, slot, members);
  setStateAt(table, slot, state);
  table.nextHandle = Math.max(table.nextHandle, handle + 1);
  if (state === "sealed") {
    table.sealedCount++;
    nameReplicas(table, slot, members);
  } else table.unsealed.add(chunkHandle(handle));
  return undefined;
}

function corrupt(why: string): never {
  throw new GfsError("Corrupt", `Cannot read the chunks of a checkpoint: ${why}`);
}
