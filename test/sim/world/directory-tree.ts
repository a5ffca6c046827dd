import { FileImage, type LossOdds } from "./file-image.ts";

export interface FileNode {
  readonly kind: "file";
  readonly image: FileImage;
  modifiedMs: number;
  /** False once it has no name any more: it lives on for those who hold it open, and takes no space. */
  linked: boolean;
}

export interface DirectoryNode {
  readonly kind: "directory";
  /** As processes see it. */
  entries: Map<string, Node>;
  /** As it is on the medium; a name that was removed stays, without a node, as long as older changes of it may come. */
  durable: Map<string, { readonly node: Node | undefined; readonly order: number }>;
  modifiedMs: number;
}

export type Node = FileNode | DirectoryNode;

/** One name in one directory gets a node, or loses it. */
interface Change {
  readonly directory: DirectoryNode;
  readonly name: string;
  readonly node: Node | undefined;
  synced: boolean;
}

/** Changes that become durable together or not at all: one operation. */
interface Deed {
  readonly order: number;
  readonly changes: readonly Change[];
}

export function newFile(modifiedMs: number): FileNode {
  return { kind: "file", image: new FileImage(), modifiedMs, linked: true };
}

export function newDirectory(modifiedMs: number): DirectoryNode {
  return { kind: "directory", entries: new Map(), durable: new Map(), modifiedMs };
}

/** The names of a drive: visible at once, durable when the directories that they are in are synced, or by chance. */
export class DirectoryTree {
  readonly root: DirectoryNode = newDirectory(0);
  #deeds: Deed[] = [];
  /** Names that are gone from the medium, kept in `durable` while older operations wait. */
  #gone: Change[] = [];
  #order = 0;

  /** The node at a path of components. Undefined where one is missing; "kind" where one on the way is a file. */
  find(components: readonly string[]): Node | undefined | "kind" {
    let node: Node = this.root;
    for (const component of components) {
      if (node.kind === "file") return "kind";
      const next = node.entries.get(component);
      if (next === undefined) return undefined;
      node = next;
    }
    return node;
  }

  /** One operation: all its changes are visible at once. */
  change(
    nowMs: number,
    ...changes: readonly (readonly [directory: DirectoryNode, name: string, node: Node | undefined])[]
  ): void {
    for (const [directory, name, node] of changes) {
      if (node === undefined) directory.entries.delete(name);
      else directory.entries.set(name, node);
      directory.modifiedMs = nowMs;
    }
    this.#deeds.push({
      order: ++this.#order,
      changes: changes.map(([directory, name, node]) => ({ directory, name, node, synced: false })),
    });
  }

  /** A mark of what has been done up to now, for a sync that begins. */
  mark(): number {
    return this.#order;
  }

  /** A sync of the directory succeeded, that began at the mark. */
  sync(directory: DirectoryNode, mark: number): void {
    this.#deeds = this.#deeds.filter((deed) => {
      if (deed.order > mark) return true;
      for (const change of deed.changes) if (change.directory === directory) change.synced = true;
      if (!deed.changes.every((change) => change.synced)) return true;
      this.#land(deed);
      return false;
    });
    this.#forgetGone();
  }

  /** The oldest operation that waits becomes durable by itself. */
  writeBack(): void {
    const deed = this.#deeds.shift();
    if (deed !== undefined) this.#land(deed);
    this.#forgetGone();
  }

  get waiting(): number {
    return this.#deeds.length;
  }

  /**
   * Of the operations that wait either all up to one moment land, as with an ordered log, or each by its own chance. Then every
   * file loses what was not synced. The count of pages left.
   */
  losePower(odds: LossOdds): number {
    const { prng, keep } = odds;
    const ordered = prng.chance(0.5);
    const upTo = Math.floor(this.#deeds.length * keep);
    this.#deeds.forEach((deed, index) => {
      if (ordered ? index < upTo : prng.chance(keep)) this.#land(deed);
    });
    this.#deeds = [];
    this.#gone = [];
    const places = new Map<
      Node,
      { readonly directory: DirectoryNode; readonly name: string; readonly order: number }
    >();
    let pages = 0;
    const settle = (directory: DirectoryNode): void => {
      directory.entries = new Map();
      for (const [name, { node, order }] of directory.durable) {
        if (node === undefined) continue;
        // Of a file moved twice only the later move may have landed: it is not in two places.
        const other = places.get(node);
        if (other !== undefined && other.order > order) continue;
        other?.directory.entries.delete(other.name);
        places.set(node, { directory, name, order });
        directory.entries.set(name, node);
        if (other !== undefined) continue;
        if (node.kind === "directory") settle(node);
        else {
          node.linked = true;
          node.image.losePower(odds);
        }
      }
    };
    settle(this.root);
    for (const node of places.keys()) {
      if (node.kind === "file") pages += node.image.pageCount;
      else node.durable = durableOf(node, places);
    }
    this.root.durable = durableOf(this.root, places);
    return pages;
  }

  #land(deed: Deed): void {
    for (const change of deed.changes) {
      const { directory, name, node } = change;
      const there = directory.durable.get(name);
      if (there !== undefined && there.order > deed.order) continue;
      directory.durable.set(name, { node, order: deed.order });
      if (node === undefined) this.#gone.push(change);
    }
  }

  #forgetGone(): void {
    if (this.#deeds.length > 0) return;
    for (const { directory, name } of this.#gone) {
      if (directory.durable.get(name)?.node === undefined) directory.durable.delete(name);
    }
    this.#gone = [];
  }
}

function durableOf(
  directory: DirectoryNode,
  places: ReadonlyMap<Node, { readonly order: number }>,
): DirectoryNode["durable"] {
  return new Map([...directory.entries].map(([name, node]) => [name, { node, order: places.get(node)?.order ?? 0 }]));
}
