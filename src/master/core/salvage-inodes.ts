/**
 * Numbers of inodes for what a salvage makes (DESIGN §4.7). Trailers go on naming those that they were written with: a file that is all there is of its inode keeps the number, so that what is
 * appended to it later is found to be of one file with what was there, and no other file ever gets a number that a trailer names. Pure.
 */
import { type InodeId, inodeId } from "../../wire/ids.ts";
import { firstFreeSlot, slotSpan } from "./inodes.ts";

/** `inode`: the number that a file may keep, 0 for none. */
interface Numbered {
  readonly inode: number;
}

export class SalvagedInodes {
  /** By slot, the highest number that is named. */
  readonly #highest = new Map<number, number>();
  readonly #reuse: number;
  #nextSlot: number = firstFreeSlot;

  constructor(named: Iterable<number>) {
    let reuse = 0;
    for (const inode of named) {
      const slot = inode % slotSpan;
      if (slot < firstFreeSlot) continue;
      this.#highest.set(slot, Math.max(inode, this.#highest.get(slot) ?? 0));
      this.#nextSlot = Math.max(this.#nextSlot, slot + 1);
      reuse = Math.max(reuse, (inode - slot) / slotSpan);
    }
    this.#reuse = reuse;
  }

  /** For each slot that none of the files keeps the first number that nothing names. */
  passed(files: readonly Numbered[]): InodeId[] {
    const kept = new Set(files.map(({ inode }) => inode));
    return [...this.#highest.values()].filter((inode) => !kept.has(inode)).map((inode) => inodeId(inode + slotSpan));
  }

  /** For a file, and `missing` - 1 directories before it. What is new is above all that is named: of two inodes that a chunk had the higher one is the later. */
  take({ inode }: Numbered, missing: number): InodeId[] {
    const directories = Array.from({ length: missing - 1 }, () => this.#new());
    return [...directories, this.#highest.get(inode % slotSpan) === inode ? inodeId(inode) : this.#new()];
  }

  #new(): InodeId {
    return inodeId(this.#reuse * slotSpan + this.#nextSlot++);
  }
}
