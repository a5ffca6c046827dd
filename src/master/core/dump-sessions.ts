/** Checkpoint sections of what is under way: sessions with their answers, append tables, drafts, tails. */
import { assert } from "../../base/assert.ts";
import type { AppendTableEntry } from "../../wire/control/common.ts";
import { chunkHandle, draftId, generation, inodeId, sequence, sessionId } from "../../wire/ids.ts";
import { appendTableOf, mergeAppendTable } from "./append-tables.ts";
import { addDraft, type Draft } from "./drafts.ts";
import { left } from "./dump-namespace.ts";
import { type SectionReader, SectionWriter } from "./sections.ts";
import { openSession } from "./sessions.ts";
import type { MasterState } from "./state.ts";

const handlesPerEntry = 1_000;

export function* dumpSessions(state: MasterState): Generator<Uint8Array> {
  yield* written("sessions", sorted(state.sessions.byId), (writer, [id, session]) => {
    writer.u53(id);
    writeOptional(writer, session.key, (key) => writer.text(key));
    writer.text(session.label);
    writer.u53(session.floor);
    writer.f64(session.usedMs);
  });
  yield* written("answers", answersOf(state), (writer, { session, sequence, answer }) => {
    writer.u53(session);
    writer.u53(sequence);
    writer.text(answer.message);
    writeOptional(writer, answer.print, (print) => writer.u32(print));
    writer.bytes(answer.reply);
  });
  yield* written("append-tables", appendEntriesOf(state), (writer, { inode, entry }) => {
    writer.u53(inode);
    writer.u53(entry.session);
    writer.u16(entry.answers.length);
    for (const answer of entry.answers) {
      writer.u53(answer.sequence);
      writer.u53(answer.fileOffset);
      writer.u32(answer.bytes);
      writer.u32(answer.crc);
    }
  });
  yield* written("drafts", sorted(state.drafts.byId), (writer, [, draft]) => writeDraft(writer, draft));
  yield* written("draft-chunks", draftChunksOf(state), (writer, { draft, handles }) => {
    writer.u53(draft);
    writer.u16(handles.length);
    for (const handle of handles) writer.u53(handle);
  });
  yield* written("draft-lists", draftListsOf(state), (writer, { draft, first, handles }) => {
    writer.u53(draft);
    writer.u53(first);
    writer.u16(handles.length);
    for (const handle of handles) writer.u53(handle);
  });
  yield* written("tails", sorted(state.tails), (writer, [inode, handle]) => {
    writer.u53(inode);
    writer.u53(handle);
  });
}

/** Whether the section is one of these; if so its entries are in the state now. */
export function loadSessionsSection(reader: SectionReader, state: MasterState): boolean {
  const read = readers[reader.section];
  if (read === undefined) return false;
  while (reader.nextEntry()) read(reader, state);
  return true;
}

/** A section whose entries `write` writes one by one. */
export function* written<Item>(
  section: string,
  items: Iterable<Item>,
  write: (writer: SectionWriter, item: Item) => void,
): Generator<Uint8Array> {
  const writer = new SectionWriter(section);
  for (const item of items) {
    write(writer, item);
    const piece = writer.endEntry();
    if (piece !== undefined) yield piece;
  }
  yield* left(writer);
}

const readers: Record<string, ((reader: SectionReader, state: MasterState) => void) | undefined> = {
  sessions(reader, state) {
    const session = sessionId(reader.u53());
    const key = readOptional(reader, () => reader.text());
    const label = reader.text();
    const floor = reader.u53();
    openSession(state.sessions, { session, key, label }, reader.f64());
    const entry = state.sessions.byId.get(session);
    assert(entry !== undefined, "the session was just opened");
    entry.floor = floor;
  },
  answers(reader, state) {
    const session = state.sessions.byId.get(sessionId(reader.u53()));
    assert(session !== undefined, "an answer belongs to a session");
    const sequence = reader.u53();
    const message = reader.text();
    const print = readOptional(reader, () => reader.u32());
    session.answers.set(sequence, { message, print, reply: reader.bytes().slice() });
  },
  "append-tables"(reader, state) {
    const inode = inodeId(reader.u53());
    const session = sessionId(reader.u53());
    const answers: AppendTableEntry["answers"] = [];
    for (let left = reader.u16(); left > 0; left--)
      answers.push({
        sequence: sequence(reader.u53()),
        fileOffset: reader.u53(),
        bytes: reader.u32(),
        crc: reader.u32(),
      });
    mergeAppendTable(state.appendTables, inode, [{ session, answers }], () => true);
  },
  drafts: readDraft,
  "draft-chunks"(reader, state) {
    const draft = state.drafts.byId.get(draftId(reader.u53()));
    assert(draft !== undefined, "a draft's chunk belongs to a draft");
    for (let left = reader.u16(); left > 0; left--) draft.chunks.add(chunkHandle(reader.u53()));
  },
  "draft-lists"(reader, state) {
    const draft = state.drafts.byId.get(draftId(reader.u53()));
    assert(draft !== undefined, "a draft's list belongs to a draft");
    const first = chunkHandle(reader.u53());
    const list = draft.lists.get(first) ?? [];
    draft.lists.set(first, list);
    for (let left = reader.u16(); left > 0; left--) list.push(chunkHandle(reader.u53()));
  },
  tails(reader, state) {
    const inode = inodeId(reader.u53());
    state.tails.set(inode, chunkHandle(reader.u53()));
  },
};

function writeDraft(writer: SectionWriter, { draft, session, target, replicas, chunkBytes }: Draft): void {
  writer.u53(draft);
  writer.u53(session);
  writer.u8(replicas);
  writer.u32(chunkBytes);
  writeOptional(writer, target.kind === "append" ? target.inode : undefined, (inode) => writer.u53(inode));
  if (target.kind === "append") return;
  writer.text(target.path);
  writer.u8(target.overwrite ? 1 : 0);
  writeOptional(writer, target.ifGeneration, (wanted) => writer.u32(wanted));
}

function readDraft(reader: SectionReader, state: MasterState): void {
  const [draft, session] = [draftId(reader.u53()), sessionId(reader.u53())];
  const [replicas, chunkBytes] = [reader.u8(), reader.u32()];
  const inode = readOptional(reader, () => inodeId(reader.u53()));
  const empty = { chunks: new Set<never>(), lists: new Map<never, never>() };
  const fixed = { draft, session, replicas, chunkBytes, ...empty, touchedMs: state.cluster.clusterMs };
  if (inode !== undefined) {
    addDraft(state.drafts, { ...fixed, target: { kind: "append", inode } });
    return;
  }
  const [path, overwrite] = [reader.text(), reader.u8() === 1];
  const ifGeneration = readOptional(reader, () => generation(reader.u32()));
  addDraft(state.drafts, { ...fixed, target: { kind: "put", path, overwrite, ifGeneration } });
}

function writeOptional<Value>(writer: SectionWriter, value: Value | undefined, write: (value: Value) => void): void {
  writer.u8(value === undefined ? 0 : 1);
  if (value !== undefined) write(value);
}

function readOptional<Value>(reader: SectionReader, read: () => Value): Value | undefined {
  return reader.u8() === 0 ? undefined : read();
}

function sorted<Key extends number, Value>(map: ReadonlyMap<Key, Value>): (readonly [Key, Value])[] {
  return [...map].sort(([a], [b]) => a - b);
}

function* answersOf(state: MasterState) {
  for (const [session, { answers }] of sorted(state.sessions.byId))
    for (const [sequence, answer] of sorted(answers)) yield { session, sequence, answer };
}

function* appendEntriesOf(state: MasterState) {
  for (const [inode] of sorted(state.appendTables.byInode))
    for (const entry of appendTableOf(state.appendTables, inode)) yield { inode, entry };
}

function* draftChunksOf(state: MasterState) {
  for (const [draft, { chunks }] of sorted(state.drafts.byId)) {
    const handles = [...chunks];
    for (let at = 0; at < handles.length; at += handlesPerEntry)
      yield { draft, handles: handles.slice(at, at + handlesPerEntry) };
  }
}

function* draftListsOf(state: MasterState) {
  for (const [draft, { lists }] of sorted(state.drafts.byId))
    for (const [first, list] of sorted(lists))
      for (let at = 0; at < list.length; at += handlesPerEntry)
        yield { draft, first, handles: list.slice(at, at + handlesPerEntry) };
}
