/**
 * Attributes of directories (DESIGN §4.5): few have any, so they are kept in a map by slot and not in a column. What a directory does not say itself, the nearest one above it
 * says that does, and at last the master's configuration.
 */
import { assert } from "../../base/assert.ts";
import { GfsError } from "../../base/errors.ts";
import type { Limits } from "../../limits.ts";
import type { Attributes, InheritedAttributes, setAttribute } from "../../wire/control/attributes.ts";
import { treeSums } from "./children.ts";
import type { Decision, ReplyOf, RequestOf } from "./decision.ts";
import { idOfSlot, type Inodes, isDirectory } from "./inodes.ts";
import { lookup, pathOf } from "./namespace.ts";
import type { MasterState } from "./state.ts";
import { isUnder } from "./tails.ts";

export type AttributeName = keyof Attributes;

/** Directories with attributes: what a removal looks through (`retentionOf`) must stay short. */
export const attributedMax = 16_384;

const none: Attributes = {};

export function attributesAt(inodes: Inodes, slot: number): Attributes {
  return inodes.attributes.get(slot) ?? none;
}

/** All of them, as the record says. */
export function applyAttributesSet(inodes: Inodes, slot: number, { replicas, trashMs }: Attributes): void {
  assert(isDirectory(inodes, slot), "attributes are of a directory");
  if (replicas === undefined && trashMs === undefined) inodes.attributes.delete(slot);
  else
    inodes.attributes.set(slot, {
      ...(replicas === undefined ? {} : { replicas }),
      ...(trashMs === undefined ? {} : { trashMs }),
    });
}

/** What holds for an inode: of the directory itself or the nearest above that has it. Undefined: as configured. */
export function inherited(
  inodes: Inodes,
  slot: number,
  name: AttributeName,
): { readonly value: number; readonly slot: number } | undefined {
  if (inodes.attributes.size === 0) return undefined;
  for (let at = slot; at !== 0; at = inodes.parent.get(at)) {
    const value = inodes.attributes.get(at)?.[name];
    if (value !== undefined) return { value, slot: at };
  }
  return undefined;
}

/** Replicas of a file that is made in a directory (or below one that is missing there) and asks for no number. */
export function defaultReplicas(
  state: { inodes: Inodes; limits: Pick<Limits, "replicas"> },
  directory: number,
): number {
  return inherited(state.inodes, directory, "replicas")?.value ?? state.limits.replicas;
}

/**
 * How long what is removed stays in the trash, 0: it goes for good. By the directory itself, or the nearest above; and no shorter than what a directory within it says, for its files
 * go with it.
 */
export function retentionOf(
  { inodes, limits }: { inodes: Inodes; limits: Pick<Limits, "trashMs"> },
  slot: number,
): number {
  let ms = inherited(inodes, slot, "trashMs")?.value ?? limits.trashMs;
  if (treeSums(inodes, slot).directories === 0) return ms;
  for (const [at, { trashMs }] of inodes.attributes)
    if (trashMs !== undefined && trashMs > ms && isUnder(inodes, at, slot)) ms = trashMs;
  return ms;
}

/** For people: what holds below a directory, and where it comes from. */
export function inheritedAt(
  { inodes, limits }: { inodes: Inodes; limits: Pick<Limits, "replicas" | "trashMs"> },
  slot: number,
): InheritedAttributes {
  const of = (name: AttributeName, configured: number): InheritedAttributes["replicas"] => {
    const found = inherited(inodes, slot, name);
    return found === undefined ? { value: configured } : { value: found.value, from: pathOf(inodes, found.slot).path };
  };
  return { replicas: of("replicas", limits.replicas), trashMs: of("trashMs", limits.trashMs) };
}

/** @throws GfsError of `lookup`, "NotDirectory", "NoSpace" where too many directories have attributes */
export function decideSetAttribute(
  { inodes }: MasterState,
  request: RequestOf<typeof setAttribute>,
): Decision<ReplyOf<typeof setAttribute>> {
  const { attribute } = request;
  const what = `set ${attribute.kind === "replicas" ? "the default replicas" : "the trash's retention"} of`;
  const slot = lookup(inodes, request.path, what);
  if (!isDirectory(inodes, slot))
    throw new GfsError("NotDirectory", `Cannot ${what} ${request.path}: it is a file, and only directories have one`);
  const before = attributesAt(inodes, slot);
  const after =
    attribute.kind === "replicas"
      ? { replicas: attribute.replicas, trashMs: before.trashMs }
      : { replicas: before.replicas, trashMs: attribute.trashMs };
  if (after.replicas === before.replicas && after.trashMs === before.trashMs) return { records: [], reply: {} };
  if (!inodes.attributes.has(slot) && inodes.attributes.size >= attributedMax)
    throw new GfsError(
      "NoSpace",
      `Cannot ${what} ${request.path}: ${attributedMax} directories have attributes, and that is the most; let more inherit theirs`,
    );
  return { records: [{ kind: "attributes-set", inode: idOfSlot(inodes, slot), ...definedOnly(after) }], reply: {} };
}

function definedOnly({ replicas, trashMs }: Attributes): Attributes {
  return { ...(replicas === undefined ? {} : { replicas }), ...(trashMs === undefined ? {} : { trashMs }) };
}
