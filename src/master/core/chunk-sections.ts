/** The durable part of the chunk and volume tables in a checkpoint (sections.ts; docs/DISK-FORMAT.md). Soft state is never written. */
import { GfsError } from "../../base/errors.ts";
import { hashNumber } from "../../base/hash-index.ts";
import { chunkHandle, volumeId } from "../../wire/ids.ts";
import { VolumeMark } from "../../wire/log-records.ts";
import { nameReplicas } from "./chunk-replicas.ts";
import { membersAt, setMembersAt, slotOf, stateAt, stateBits } from "./chunk-table.ts";
import type { ChunkState, ChunkTable } from "./chunk-table.ts";
import type { Column, Numbers } from "./column.ts";
import { SectionWriter } from "./sections.ts";
import type { SectionReader } from "./sections.ts";
import { applyVolumeAdded, applyVolumeMarked } from "./volumes.ts";
import type { VolumeTable } from "./volumes.ts";

export const chunkSections = {
  chunks: "chunks",
  handles: "handles",
  released: "released-handles",
  volumes: "volumes",
} as const;

const states: readonly ChunkState[] = ["writing", "open", "sealing", "sealed"];
/** Chunks of one block; with `replicasMax` members each below what an entry of a section may have. */
const blockChunksMax = 4_096;
/** A run longer than this is cut: handles are below 2^53, counts are 32 bits. */
const runMax = 0xffff_ffff;

/** The pieces of all sections, chunks in the order of their handles. */
export function* dumpChunks(table: ChunkTable): Generator<Uint8Array> {
  const mark = new SectionWriter(chunkSections.handles);
  mark.u53(table.handleMark);
  mark.u53(table.lostMark);
  yield* ended(mark, mark.endEntry());

  yield* dumpTable(table);

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

function* dumpTable(table: ChunkTable): Generator<Uint8Array> {
  const writer = new SectionWriter(chunkSections.chunks);
  const slots = slotsByHandle(table);
  for (let from = 0; from < slots.length; from += blockChunksMax) {
    writeBlock(writer, table, slots.subarray(from, from + blockChunksMax));
    const piece = writer.endEntry();
    if (piece !== undefined) yield piece;
  }
  yield* ended(writer, undefined);
}

/** Columns of so many chunks, and what writer and reader of a block go through in this order. A draft that owns a chunk is negative. */
function blockOf(count: number) {
  return {
    handles: new Float64Array(count),
    owners: new Float64Array(count),
    versions: new Uint32Array(count),
    lengths: new Uint32Array(count),
    crcs: new Uint32Array(count),
    references: new Uint32Array(count),
    states: new Uint8Array(count),
    goals: new Uint8Array(count),
    memberCounts: new Uint8Array(count),
  };
}
type Block = ReturnType<typeof blockOf>;

function columnsOf(table: ChunkTable, block: Block): readonly (readonly [column: Column, values: Numbers])[] {
  return [
    [table.handles, block.handles],
    [table.owners, block.owners],
    [table.versions, block.versions],
    [table.lengths, block.lengths],
    [table.crcs, block.crcs],
    [table.references, block.references],
    [table.states, block.states],
    [table.goals, block.goals],
    [table.memberCounts, block.memberCounts],
  ];
}

function writeBlock(writer: SectionWriter, table: ChunkTable, slots: Uint32Array): void {
  const block = blockOf(slots.length);
  for (const [column, values] of columnsOf(table, block))
    for (let i = 0; i < slots.length; i++) values[i] = column.get(slots[i] ?? 0);
  for (let i = 0; i < slots.length; i++) block.states[i] = (block.states[i] ?? 0) & stateBits;
  writer.u32(slots.length);
  for (const [, values] of columnsOf(table, block)) writer.column(values);
  for (const slot of slots) for (const member of membersAt(table, slot)) writer.u16(member);
}

export function* dumpVolumes(table: VolumeTable): Generator<Uint8Array> {
  const writer = new SectionWriter(chunkSections.volumes);
  for (const volume of table.byIndex) {
    if (volume === undefined) continue;
    writer.u16(volume.index);
    writer.text(volume.volume);
    writer.text(volume.label);
    writer.u8(VolumeMark.options.indexOf(volume.mark));
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
        chunks.lostMark = reader.u53();
        chunks.nextHandle = Math.max(chunks.nextHandle, 1);
      }
      return true;
    case chunkSections.chunks:
      while (reader.nextEntry()) readBlock(chunks, reader);
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
        const mark = VolumeMark.options[reader.u8()];
        if (mark === undefined) corrupt(`volume ${index} has a mark that is none`);
        else applyVolumeMarked(volumes, index, mark);
      }
      return true;
    default:
      return false;
  }
}

/** The table was empty before the first block: chunks take the slots from its end, in the order of their handles. */
function readBlock(table: ChunkTable, reader: SectionReader): void {
  const count = reader.u32();
  if (count > blockChunksMax) corrupt("a block is too long");
  const block = blockOf(count);
  for (const [, values] of columnsOf(table, block)) reader.column(values);
  const from = table.slotEnd;
  for (let i = 0; i < count; i++) {
    const [handle, owner] = [block.handles[i] ?? 0, block.owners[i] ?? 0];
    const state = states[(block.states[i] ?? 0) - 1];
    if (handle < table.nextHandle || !Number.isSafeInteger(handle) || !Number.isSafeInteger(owner))
      corrupt(`chunk ${handle} is out of order`);
    if (state === undefined || block.goals[i] === 0 || owner === 0 || owner < 0 !== (state === "writing"))
      corrupt(`chunk ${handle} is out of form`);
    table.nextHandle = handle + 1;
    table.index.insert(hashNumber(handle), from + i);
    if (state === "sealed") table.sealedCount++;
    else table.unsealed.add(chunkHandle(handle));
  }
  for (const [column, values] of columnsOf(table, block)) column.setRun(from, values);
  table.slotEnd += count;
  for (let slot = from; slot < table.slotEnd; slot++) {
    const members: number[] = [];
    for (let left = table.memberCounts.get(slot); left > 0; left--) members.push(reader.u16());
    setMembersAt(table, slot, members);
    if (stateAt(table, slot) === "sealed") nameReplicas(table, slot, members);
  }
}

function corrupt(why: string): never {
  throw new GfsError("Corrupt", `Cannot read the chunks of a checkpoint: ${why}`);
}
