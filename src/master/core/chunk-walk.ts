/** All chunks of the files under a path, or of one volume, a few at a time: slots stay with what is in them, so whatever comes and goes meanwhile, what stays is met once. */
import type { ChunkHandle } from "../../wire/ids.ts";
import { replicaOn } from "./chunk-replicas.ts";
import { membersAt, slotOf, stateAt, type VolumeIndex } from "./chunk-table.ts";
import { extentAt, extentCount } from "./extents.ts";
import { HandleSet } from "./handle-set.ts";
import { firstFreeSlot, idOfSlot, isFile } from "./inodes.ts";
import type { MasterState } from "./state.ts";
import { isUnder, tailOf } from "./tails.ts";

/** `top`: slot of the file or directory. */
export type WalkTarget =
  { readonly kind: "path"; readonly top: number } | { readonly kind: "volume"; readonly volume: VolumeIndex };

export class ChunkWalk {
  readonly #state: MasterState;
  readonly #target: WalkTarget;
  /** Chunks that several files share are met once. */
  readonly #met = new HandleSet();
  #slot: number;
  #extent = 0;
  #ended = false;
  files = 0;

  constructor(state: MasterState, target: WalkTarget) {
    this.#state = state;
    this.#target = target;
    this.#slot = target.kind === "path" ? firstFreeSlot : 0;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Goes on by at most `steps` slots and extents. `visit` gets slots of the chunk table. */
  step(steps: number, visit: (slot: number) => void): void {
    for (let left = steps; left > 0 && !this.#ended; left--) {
      const more = this.#target.kind === "path" ? this.#inFile(this.#target.top, visit) : this.#inTable(visit);
      this.#ended = !more;
    }
  }

  #inTable(visit: (slot: number) => void): boolean {
    const { chunks } = this.#state;
    if (this.#target.kind !== "volume" || this.#slot >= chunks.slotEnd) return false;
    const slot = this.#slot++;
    const state = stateAt(chunks, slot);
    if (state === undefined || state === "writing") return true;
    const { volume } = this.#target;
    const held =
      state === "sealed" ? replicaOn(chunks, slot, volume) !== undefined : membersAt(chunks, slot).includes(volume);
    if (held) visit(slot);
    return true;
  }

  #inFile(top: number, visit: (slot: number) => void): boolean {
    const { inodes } = this.#state;
    if (this.#slot >= inodes.slotEnd) return false;
    const slot = this.#slot;
    const here = isFile(inodes, slot) && isUnder(inodes, slot, top);
    if (here && this.#extent === 0) this.files++;
    if (here && this.#extent < extentCount(inodes, slot)) {
      this.#meet(extentAt(inodes, slot, this.#extent++).handle, visit);
      return true;
    }
    const tail = here ? tailOf(this.#state, idOfSlot(inodes, slot)) : undefined;
    if (tail !== undefined) this.#meet(tail, visit);
    this.#slot++;
    this.#extent = 0;
    return true;
  }

  #meet(handle: ChunkHandle, visit: (slot: number) => void): void {
    if (this.#met.has(handle)) return;
    this.#met.add(handle);
    const slot = slotOf(this.#state.chunks, handle);
    if (slot >= 0) visit(slot);
  }
}
