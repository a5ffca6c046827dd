/** What many volumes have of each chunk, as one (DESIGN §4.7): for a salvage. Pure. */
import type { VolumeIndex } from "./chunk-table.ts";

/** A replica as its volume tells of it. */
export interface FoundReplica {
  readonly volume: VolumeIndex;
  readonly handle: number;
  readonly version: number;
  readonly promised: number;
  readonly length: number;
  readonly crc: number;
  readonly sealed: boolean;
  readonly origin: { readonly inode: number; readonly path: string; readonly fileOffset: number } | undefined;
}

/** A chunk of which at least one volume has bytes. */
export interface FoundChunk {
  readonly handle: number;
  readonly version: number;
  /** Of an unsealed one: the most that one of its members has. */
  readonly length: number;
  readonly crc: number;
  readonly sealed: boolean;
  readonly members: readonly VolumeIndex[];
  /** 0: nobody knew it: it was put, or the trailer is of another release. */
  readonly inode: number;
  /** Last known; empty where nobody knew it. */
  readonly path: string;
  /** All that its replicas know: a copy knows where the file was moved before it. */
  readonly paths: readonly string[];
  /** Where it was put, if that is known: it is no append. */
  readonly putAt: string | undefined;
  readonly fileOffset: number;
}

/** The inode that stands in the origin of what was put: it had none yet. */
const noInode = 1;

/**
 * One chunk for each handle, in order. A sealed replica of the highest version rules; of several contents at that version the one that most volumes have, which is told. Where none is sealed the
 * chunk was open: those with the highest version are its members.
 */
export function gatherChunks(replicas: readonly FoundReplica[]): {
  readonly chunks: FoundChunk[];
  readonly problems: string[];
} {
  const byHandle = new Map<number, FoundReplica[]>();
  for (const replica of replicas) {
    const known = byHandle.get(replica.handle);
    if (known === undefined) byHandle.set(replica.handle, [replica]);
    else known.push(replica);
  }
  const problems: string[] = [];
  const chunks: FoundChunk[] = [];
  for (const handle of [...byHandle.keys()].sort((a, b) => a - b))
    chunks.push(oneChunk(byHandle.get(handle) ?? [], problems));
  return { chunks, problems };
}

function oneChunk(all: readonly FoundReplica[], problems: string[]): FoundChunk {
  const sealed = all.filter((replica) => replica.sealed);
  const some = sealed.length > 0 ? sealed : all;
  const newest = Math.max(...some.map(({ version }) => version));
  const holders = some.filter(({ version }) => version === newest);
  const contents = new Map<string, FoundReplica[]>();
  for (const holder of holders) {
    const key = sealed.length > 0 ? `${holder.length} ${holder.crc}` : "open";
    contents.set(key, [...(contents.get(key) ?? []), holder]);
  }
  const [members = holders] = [...contents.values()].sort((a, b) => b.length - a.length);
  const longest = members.reduce((best, each) => (each.length > best.length ? each : best));
  const { handle, length, crc } = longest;
  if (contents.size > 1)
    problems.push(
      `chunk ${handle} has ${contents.size} contents at version ${newest}: that of ${members.length} of ${holders.length} servers is taken`,
    );
  const origin = bestOrigin(all);
  const origins = all.flatMap((each) => each.origin ?? []).filter(({ path }) => path !== "");
  const promised = Math.max(...all.map((each) => each.promised));
  return {
    handle,
    // An open chunk is fenced at a higher version than anybody has promised.
    version: sealed.length > 0 ? newest : promised,
    length,
    crc,
    sealed: sealed.length > 0,
    members: [...new Set(members.map(({ volume }) => volume))].sort((a, b) => a - b),
    inode: origin === undefined || origin.inode === noInode ? 0 : origin.inode,
    path: origin?.path ?? "",
    paths: [...new Set(origins.map(({ path }) => path))],
    // A first append is put too; one that lies elsewhere now was not the first.
    putAt: origins.find(({ inode, fileOffset }) => inode === noInode && fileOffset === origin?.fileOffset)?.path,
    fileOffset: origin?.fileOffset ?? 0,
  };
}

/**
 * The one that knows the inode: it was told after the file was made; else one that knows the path. Of several inodes the highest: a salvage gave it to what had another before. Of a large append
 * the one that lies furthest behind: it began where the file ended then, and a copy knows where it came to lie.
 */
function bestOrigin(all: readonly FoundReplica[]): FoundReplica["origin"] {
  const known = all.flatMap(({ origin }) => origin ?? []);
  const whole = known.filter(({ inode, path }) => inode !== noInode && path !== "");
  return (
    whole.toSorted((a, b) => b.inode - a.inode || b.fileOffset - a.fileOffset)[0] ??
    known.find(({ path }) => path !== "") ??
    known[0]
  );
}
