/** Paths to inodes and back, and the listing of directories, a page at a time. */
import { defined } from "../../base/assert.ts";
import { fromUtf8, utf8 } from "../../base/bytes.ts";
import { GfsError } from "../../base/errors.ts";
import { generation } from "../../wire/ids.ts";
import type { Entry } from "../../wire/control/namespace.ts";
import { formatPath, parsePath } from "../../wire/path.ts";
import { childAfter, findChild, firstChild, treeSums } from "./children.ts";
import { fileBytes } from "./extents.ts";
import { detachedSlot, idOfSlot, type Inodes, isDirectory, isFile, rootSlot, trashSlot } from "./inodes.ts";
import { trashFacts } from "./trash.ts";

/** What a path leads to. `slot` is 0 where something is missing: `missing` names of it, the first of them in directory `parent`. */
export interface Resolved {
  readonly names: readonly string[];
  readonly slot: number;
  /** The deepest directory there is on the way; of the root itself 0. */
  readonly parent: number;
  readonly missing: number;
}

/**
 * Follows a path as far as it goes. `what` is the verb of the error's text.
 *
 * @throws GfsError("PathInvalid"), GfsError("NotDirectory") where a file stands on the way
 */
export function resolve(inodes: Inodes, path: string, what: string): Resolved {
  const names = parsePath(path);
  let parent = 0;
  let slot = rootSlot;
  for (const [depth, name] of names.entries()) {
    if (!isDirectory(inodes, slot))
      throw new GfsError(
        "NotDirectory",
        `Cannot ${what} ${formatPath(names)}: ${formatPath(names.slice(0, depth))} is a file`,
      );
    parent = slot;
    slot = findChild(inodes, parent, utf8(name));
    if (slot === 0) return { names, slot, parent, missing: names.length - depth };
  }
  return { names, slot, parent, missing: 0 };
}

/**
 * The slot of what is at a path.
 *
 * @throws GfsError("PathInvalid"), GfsError("NotDirectory"), GfsError("NotFound") that names the first component missing
 */
export function lookup(inodes: Inodes, path: string, what: string): number {
  const found = resolve(inodes, path, what);
  if (found.slot !== 0) return found.slot;
  throw notFound(found, what);
}

/** Names the first component that is missing. */
export function notFound(resolved: Resolved, what: string): GfsError {
  const { names, missing } = resolved;
  const path = formatPath(names);
  if (missing <= 1) return new GfsError("NotFound", `Cannot ${what} ${path}: no such file or directory`);
  const first = formatPath(names.slice(0, names.length - missing + 1));
  return new GfsError("NotFound", `Cannot ${what} ${path}: directory ${first} does not exist`);
}

/** The name of an inode in its directory; "" for the root and for what has none. */
export function nameOf(inodes: Inodes, slot: number): string {
  const parent = inodes.parent.get(slot);
  if (parent === 0 || parent === trashSlot || parent === detachedSlot) return "";
  return defined(fromUtf8(inodes.arena.get(inodes.name.get(slot))), "a name in UTF-8");
}

/** Where an inode is: in the tree, below an entry of the trash (`path`: where it was), or detached (`path`: within the subtree). */
export function pathOf(
  inodes: Inodes,
  slot: number,
): { readonly place: "tree" | "trash" | "detached"; readonly path: string } {
  const names: string[] = [];
  for (let at = slot; ; at = inodes.parent.get(at)) {
    if (at === rootSlot) return { place: "tree", path: formatPath(names) };
    const parent = inodes.parent.get(at);
    if (parent === trashSlot) {
      const below = names.length === 0 ? "" : formatPath(names);
      return { place: "trash", path: trashFacts(inodes, at).path + below };
    }
    if (parent === detachedSlot || parent === 0) return { place: "detached", path: formatPath(names) };
    names.unshift(nameOf(inodes, at));
  }
}

/** The same without the path: nothing is made for it. */
export function placeOf(inodes: Inodes, slot: number): "tree" | "trash" | "detached" {
  for (let at = slot; ; at = inodes.parent.get(at)) {
    if (at === rootSlot) return "tree";
    const parent = inodes.parent.get(at);
    if (parent === trashSlot) return "trash";
    if (parent === detachedSlot || parent === 0) return "detached";
  }
}

/** For people: the path, with a word on where it is unless in the tree. */
export function describeInode(inodes: Inodes, slot: number): string {
  const { place, path } = pathOf(inodes, slot);
  if (place === "tree") return path;
  return place === "trash" ? `${path} (in the trash)` : `${path} (removed)`;
}

/** `open`: whether the file has an open tail. */
export function entryOf(inodes: Inodes, slot: number, open: boolean): Entry {
  const file = isFile(inodes, slot);
  const attributes = inodes.attributes.get(slot);
  return {
    name: nameOf(inodes, slot),
    inode: idOfSlot(inodes, slot),
    kind: file ? "file" : "directory",
    bytes: file ? fileBytes(inodes, slot) : 0,
    replicas: inodes.replicas.get(slot),
    generation: generation(inodes.generation.get(slot)),
    modifiedMs: inodes.modifiedMs.get(slot),
    open,
    ...(attributes === undefined ? {} : { attributes: { ...attributes } }),
  };
}

/** Slots of a directory's children in the order they came, after the cursor of the page before; `cursor` where more follow. */
export interface Page {
  readonly slots: readonly number[];
  readonly cursor: string | undefined;
}

/**
 * One page of a directory's children. Each child that stays is in exactly one page, whatever comes and goes meanwhile.
 *
 * @throws GfsError("ProtocolError") for a cursor that no page gave
 */
export function listChildren(
  inodes: Inodes,
  directory: number,
  page: { cursor?: string | undefined; limit: number },
): Page {
  const slots: number[] = [];
  let slot =
    page.cursor === undefined ? firstChild(inodes, directory) : childAfter(inodes, directory, parseCursor(page.cursor));
  for (; slot !== 0 && slots.length < page.limit; slot = inodes.next.get(slot)) slots.push(slot);
  const last = slots.at(-1);
  const more = slot !== 0 && last !== undefined;
  return { slots, cursor: more ? `${inodes.link.get(last).toString(36)}.${last.toString(36)}` : undefined };
}

/** What `du` says of a path: sums over all below it, and itself if it is a file. */
export function usageOf(
  inodes: Inodes,
  slot: number,
): { files: number; directories: number; bytes: number; storedBytes: number } {
  return { ...treeSums(inodes, slot) };
}

function parseCursor(cursor: string): { link: number; hint: number } {
  const [, link, hint] = /^([0-9a-z]{1,11})\.([0-9a-z]{1,7})$/.exec(cursor) ?? [];
  const at = { link: Number.parseInt(link ?? "", 36), hint: Number.parseInt(hint ?? "", 36) };
  if (!Number.isSafeInteger(at.link) || !Number.isSafeInteger(at.hint))
    throw new GfsError("ProtocolError", "Cannot list: the cursor is not one that a page gave");
  return at;
}
