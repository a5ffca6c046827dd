/** Creating files and directories, and what may stand at their path (DESIGN §4.2, §7). */
import { assert, defined } from "../../base/assert.ts";
import { GfsError } from "../../base/errors.ts";
import type { createFile } from "../../wire/control/files.ts";
import type { mkdir } from "../../wire/control/namespace.ts";
import { generation, type Generation, type InodeId } from "../../wire/ids.ts";
import type { LogRecord } from "../../wire/log-records.ts";
import { formatPath } from "../../wire/path.ts";
import { defaultReplicas, retentionOf } from "./attributes.ts";
import type { Decision, Now, ReplyOf, RequestOf } from "./decision.ts";
import { idOfSlot, isDirectory, isFile, nextInodeIds } from "./inodes.ts";
import { notFound, resolve, type Resolved } from "./namespace.ts";
import type { MasterState } from "./state.ts";
import { requireSealedTails } from "./tails.ts";

/**
 * `new`, `replace` or `open` an empty file.
 *
 * @throws GfsError of `resolve`, "IsDirectory", "Exists", "GenerationMismatch", "Busy" (a tail is not sealed)
 */
export function decideCreateFile(
  state: MasterState,
  request: RequestOf<typeof createFile>,
  now: Now,
): Decision<ReplyOf<typeof createFile>> {
  const found = resolve(state.inodes, request.path, "create");
  if (request.mode === "open" && found.slot !== 0 && isFile(state.inodes, found.slot)) {
    checkGeneration(state, found, { what: "open", ifGeneration: request.ifGeneration });
    return {
      records: [],
      reply: {
        inode: idOfSlot(state.inodes, found.slot),
        generation: generationAt(state, found.slot),
        replicas: state.inodes.replicas.get(found.slot),
        created: false,
      },
    };
  }
  const overwrite = request.mode === "replace";
  checkTarget(state, found, { what: "create", overwrite, ifGeneration: request.ifGeneration });
  const replicas = request.replicas ?? defaultReplicas(state, found.parent);
  const made = makeFile(state, found, { what: "create", replicas, now });
  return { records: made.records, reply: { inode: made.inode, generation: made.generation, replicas, created: true } };
}

/** @throws GfsError of `resolve`, "Exists", "NotFound" for a missing parent without `parents` */
export function decideMkdir(
  state: MasterState,
  request: RequestOf<typeof mkdir>,
  now: Now,
): Decision<ReplyOf<typeof mkdir>> {
  const found = resolve(state.inodes, request.path, "make directory");
  const path = formatPath(found.names);
  if (found.slot !== 0) {
    if (request.parents && isDirectory(state.inodes, found.slot))
      return { records: [], reply: { inode: idOfSlot(state.inodes, found.slot) } };
    const kind = isDirectory(state.inodes, found.slot) ? "directory" : "file";
    throw new GfsError("Exists", `Cannot make directory ${path}: a ${kind} of this name exists`);
  }
  if (found.missing > 1 && !request.parents) throw notFound(found, "make directory");
  const made = makeAt(state, found, {
    type: "directory",
    replicas: 0,
    generation: generation(1),
    modifiedMs: now.wallMs,
  });
  return { records: made.records, reply: { inode: made.inode } };
}

/** What a put or a replacement asks of its path. `ifGeneration` 0: there must be no file; another: the file that may be replaced. */
export interface TargetRule {
  readonly what: string;
  readonly overwrite: boolean;
  readonly ifGeneration: Generation | undefined;
}

/** @throws GfsError("IsDirectory"), GfsError("GenerationMismatch"), GfsError("Exists") */
export function checkTarget(state: MasterState, found: Resolved, rule: TargetRule): void {
  const path = formatPath(found.names);
  if (found.slot !== 0 && isDirectory(state.inodes, found.slot))
    throw new GfsError("IsDirectory", `Cannot ${rule.what} ${path}: it is a directory`);
  checkGeneration(state, found, rule);
  if (found.slot !== 0 && !rule.overwrite && rule.ifGeneration === undefined)
    throw new GfsError("Exists", `Cannot ${rule.what} ${path}: a file of this name exists`);
}

function checkGeneration(state: MasterState, found: Resolved, rule: Omit<TargetRule, "overwrite">): void {
  if (rule.ifGeneration === undefined) return;
  const held = found.slot === 0 ? 0 : generationAt(state, found.slot);
  if (held === rule.ifGeneration) return;
  const is = found.slot === 0 ? "there is no such file" : `it has generation ${held}`;
  const wanted = rule.ifGeneration === 0 ? "no file was expected" : `generation ${rule.ifGeneration} was expected`;
  throw new GfsError("GenerationMismatch", `Cannot ${rule.what} ${formatPath(found.names)}: ${is}, ${wanted}`, {
    details: { generation: held },
  });
}

/**
 * Records that put an empty file at a path, missing directories before it; a file that is there goes to the trash and its successor's generation is
 * one higher.
 *
 * @throws GfsError("Busy") where the old file's tail is not sealed
 */
export function makeFile(
  state: MasterState,
  found: Resolved,
  made: { what: string; replicas: number; now: Now },
): { records: LogRecord[]; inode: InodeId; generation: Generation } {
  const old = found.slot;
  const records =
    old === 0 ? [] : [trashRecord(state, old, { path: formatPath(found.names), what: made.what, now: made.now })];
  const next = generation(old === 0 ? 1 : generationAt(state, old) + 1);
  const { replicas, now } = made;
  const created = makeAt(state, found, { type: "file", replicas, generation: next, modifiedMs: now.wallMs });
  return { records: [...records, ...created.records], inode: created.inode, generation: next };
}

/** Moves what is at `path` out of the tree: to the trash, or for good where its directory keeps nothing. @throws GfsError("Busy") where a tail below is not sealed */
export function trashRecord(
  state: MasterState,
  slot: number,
  removed: { path: string; what: string; now: Now },
): LogRecord {
  const inode = idOfSlot(state.inodes, slot);
  const { path, what, now } = removed;
  requireSealedTails(state, inode, `${what} ${path}`);
  const keptMs = retentionOf(state, slot);
  if (keptMs === 0) return { kind: "inode-detached", inode };
  return { kind: "inode-trashed", inode, path, removedMs: now.clusterMs, expiresMs: now.clusterMs + keptMs };
}

/** What a new inode is, apart from its place. */
export interface Made {
  readonly type: "file" | "directory";
  readonly replicas: number;
  readonly generation: Generation;
  readonly modifiedMs: number;
}

/** Records that create an inode at a path, missing directories before it. What is there already must leave by records before these. */
export function makeAt(state: MasterState, found: Resolved, made: Made): { records: LogRecord[]; inode: InodeId } {
  const { names } = found;
  const count = Math.max(found.missing, 1);
  const ids = nextInodeIds(state.inodes, count);
  const parents = makeDirectories(state, found, ids.slice(0, -1), made.modifiedMs);
  const inode = defined(ids.at(-1), "a new inode's number");
  const name = defined(names.at(-1), "a name");
  return {
    records: [...parents.records, { kind: "inode-created", inode, parent: parents.parent, name, ...made }],
    inode,
  };
}

/** Records that create the directories that are missing above the last name of a path, and the one it goes into. */
export function makeParents(state: MasterState, found: Resolved, now: Now): { records: LogRecord[]; parent: InodeId } {
  return makeDirectories(state, found, nextInodeIds(state.inodes, Math.max(found.missing - 1, 0)), now.wallMs);
}

export function generationAt(state: MasterState, slot: number): Generation {
  return generation(state.inodes.generation.get(slot));
}

function makeDirectories(
  state: MasterState,
  found: Resolved,
  ids: InodeId[],
  modifiedMs: number,
): { records: LogRecord[]; parent: InodeId } {
  assert(found.parent !== 0, "the root is not made");
  const records: LogRecord[] = [];
  let parent = idOfSlot(state.inodes, found.parent);
  for (const [i, inode] of ids.entries()) {
    const name = defined(found.names[found.names.length - found.missing + i], "the name of a missing directory");
    records.push({
      kind: "inode-created",
      inode,
      parent,
      name,
      type: "directory",
      replicas: 0,
      generation: generation(1),
      modifiedMs,
    });
    parent = inode;
  }
  return { records, parent };
}
