/** Whose tails must be sealed before a mutation is decided (DESIGN §4.3): the shell asks, seals, and decides again. */
import { unreachable } from "../../base/assert.ts";
import type { DraftId, InodeId } from "../../wire/ids.ts";
import { moveTarget } from "./decide-namespace.ts";
import { idOfSlot, isFile, rootSlot, slotOfId } from "./inodes.ts";
import { resolve } from "./namespace.ts";
import type { MasterState } from "./state.ts";

/** The mutations that replace, remove or splice. */
export type DisplacingMutation =
  | { readonly kind: "create-file"; readonly path: string; readonly mode: "new" | "replace" | "open" }
  | { readonly kind: "draft-commit"; readonly draft: DraftId; readonly ifExists?: "append" | undefined }
  | { readonly kind: "move"; readonly from: string; readonly to: string; readonly overwrite: boolean }
  | { readonly kind: "remove"; readonly path: string };

/**
 * The inode that the mutation takes away or splices, with all below it, as things stand; none where it touches no file's content. Whether the mutation may
 * be done at all is for its decision to say.
 *
 * @throws GfsError of `resolve`
 */
export function displacedInode(state: MasterState, mutation: DisplacingMutation): InodeId | undefined {
  switch (mutation.kind) {
    case "create-file":
      return mutation.mode === "replace"
        ? fileAt(state, resolve(state.inodes, mutation.path, "create").slot)
        : undefined;
    case "draft-commit": {
      const target = state.drafts.byId.get(mutation.draft)?.target;
      if (target === undefined) return undefined;
      if (target.kind === "append") return fileAt(state, slotOfId(state.inodes, target.inode));
      // One that may do nothing to a file that is there will be refused: that file's tail stays open.
      const may = target.overwrite || target.ifGeneration !== undefined || mutation.ifExists === "append";
      return may ? fileAt(state, resolve(state.inodes, target.path, "put").slot) : undefined;
    }
    case "move": {
      const target = mutation.overwrite ? moveTarget(state, mutation).slot : 0;
      // A file that is moved to where it is stays as it is.
      return target === resolve(state.inodes, mutation.from, "move").slot ? undefined : fileAt(state, target);
    }
    case "remove": {
      const { slot } = resolve(state.inodes, mutation.path, "remove");
      return slot === 0 || slot === rootSlot ? undefined : idOfSlot(state.inodes, slot);
    }
    default:
      return unreachable(mutation);
  }
}

function fileAt(state: MasterState, slot: number): InodeId | undefined {
  return slot !== 0 && isFile(state.inodes, slot) ? idOfSlot(state.inodes, slot) : undefined;
}
