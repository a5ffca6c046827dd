/** Moving and removing (DESIGN §4.5, §7). */
import { defined } from "../../base/assert.ts";
import { GfsError } from "../../base/errors.ts";
import type { move, remove } from "../../wire/control/namespace.ts";
import { generation } from "../../wire/ids.ts";
import type { LogRecord } from "../../wire/log-records.ts";
import { formatPath, parsePath } from "../../wire/path.ts";
import { childCount } from "./children.ts";
import { generationAt, trashRecord } from "./decide-files.ts";
import type { Decision, Now, ReplyOf, RequestOf } from "./decision.ts";
import { idOfSlot, isDirectory, isFile, rootSlot } from "./inodes.ts";
import { lookup, notFound, resolve, type Resolved } from "./namespace.ts";
import type { MasterState } from "./state.ts";
import { isUnder, requireSealedTails } from "./tails.ts";

/**
 * Renames, or moves into the directory `to` under its own name; a file may take the place of a file.
 *
 * @throws GfsError of `lookup`, "PathInvalid" for the root, "MoveIntoItself", "Exists", "IsDirectory", "Busy"
 */
export function decideMove(
  state: MasterState,
  request: RequestOf<typeof move>,
  now: Now,
): Decision<ReplyOf<typeof move>> {
  const { inodes } = state;
  const slot = lookup(inodes, request.from, "move");
  const from = formatPath(parsePath(request.from));
  if (slot === rootSlot) throw new GfsError("PathInvalid", "Cannot move /: it is the root directory");
  const target = moveTarget(state, request);
  const to = formatPath(target.names);
  if (target.slot === slot && from === to) return { records: [], reply: { path: to } };
  if (isUnder(inodes, target.parent, slot))
    throw new GfsError("MoveIntoItself", `Cannot move ${from} to ${to}: that is within itself`);
  if (target.missing > 1) throw notFound(target, `move ${from} to`);
  const records: LogRecord[] = [];
  const parent = idOfSlot(inodes, target.parent);
  const name = defined(target.names.at(-1), "a name");
  const moved = {
    kind: "inode-moved",
    inode: idOfSlot(inodes, slot),
    parent,
    name,
    modifiedMs: inodes.modifiedMs.get(slot),
  } as const;
  if (target.slot === 0) return { records: [moved], reply: { path: to } };
  checkReplace(state, { slot, from }, { slot: target.slot, to, overwrite: request.overwrite });
  records.push(trashRecord(state, target.slot, { path: to, what: `move ${from} to`, now }));
  const next = generation(Math.max(generationAt(state, slot), generationAt(state, target.slot) + 1));
  records.push({ ...moved, generation: next });
  return { records, reply: { path: to } };
}

/** Where a move ends: in a directory under the old name, or at the path itself. */
export function moveTarget(state: MasterState, request: { from: string; to: string }): Resolved {
  const to = resolve(state.inodes, request.to, "move to");
  if (to.slot === 0 || !isDirectory(state.inodes, to.slot)) return to;
  const name = defined(parsePath(request.from).at(-1), "a name");
  return resolve(state.inodes, formatPath([...to.names, name]), "move to");
}

function checkReplace(
  state: MasterState,
  moved: { slot: number; from: string },
  target: { slot: number; to: string; overwrite: boolean },
): void {
  const cannot = `Cannot move ${moved.from} to ${target.to}`;
  if (isDirectory(state.inodes, target.slot)) {
    if (isFile(state.inodes, moved.slot)) throw new GfsError("IsDirectory", `${cannot}: that is a directory`);
    throw new GfsError("Exists", `${cannot}: a directory of this name exists`);
  }
  if (isDirectory(state.inodes, moved.slot))
    throw new GfsError("NotDirectory", `${cannot}: a directory can't take the place of a file`);
  if (!target.overwrite) throw new GfsError("Exists", `${cannot}: a file of this name exists`);
}

/** @throws GfsError of `lookup`, "PathInvalid" for the root, "DirectoryNotEmpty", "Busy" (a tail below is not sealed) */
export function decideRemove(
  state: MasterState,
  request: RequestOf<typeof remove>,
  now: Now,
): Decision<ReplyOf<typeof remove>> {
  const { inodes } = state;
  const slot = lookup(inodes, request.path, "remove");
  const path = formatPath(parsePath(request.path));
  if (slot === rootSlot) throw new GfsError("PathInvalid", "Cannot remove /: it is the root directory");
  const kind = isFile(inodes, slot) ? "file" : "directory";
  if (kind === "directory" && !request.recursive && childCount(inodes, slot) > 0)
    throw new GfsError("DirectoryNotEmpty", `Cannot remove ${path}: the directory is not empty`);
  if (!request.skipTrash) {
    const record = trashRecord(state, slot, { path, what: "remove", now });
    return { records: [record], reply: { kind, trashed: record.kind === "inode-trashed" } };
  }
  const inode = idOfSlot(inodes, slot);
  requireSealedTails(state, inode, `remove ${path}`);
  return { records: [{ kind: "inode-detached", inode }], reply: { kind, trashed: false } };
}
