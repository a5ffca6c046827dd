import { DiskError, type DiskErrorKind, type FileInfo, type OpenMode } from "../../../src/io.ts";
import {
  DirectoryTree,
  type DirectoryNode,
  type FileNode,
  newDirectory,
  newFile,
  type Node,
} from "./directory-tree.ts";
import { type LossOdds, pageBytes } from "./file-image.ts";

export interface DriveOptions {
  /** All that its files may take. 1 TB if not given. */
  readonly capacityBytes?: number;
}

/** A file system on one drive, without time and chance: each method happens at once. Paths are lists of components. */
export class Drive {
  readonly #tree = new DirectoryTree();
  #usedPages = 0;
  capacityBytes: number;

  constructor(options: DriveOptions = {}) {
    this.capacityBytes = options.capacityBytes ?? 1e12;
  }

  get freeBytes(): number {
    return Math.max(0, this.capacityBytes - this.#usedPages * pageBytes);
  }

  openFile(path: string, mode: OpenMode, nowMs: number): FileNode {
    const found = this.#find("open", path);
    if (found !== undefined) {
      if (mode === "create") throw diskError("exists", "open", path, "it exists already");
      if (found.kind === "directory") throw diskError("kind", "open", path, "it is a directory");
      return found;
    }
    if (mode === "read" || mode === "medium") throw diskError("missing", "open", path, "there is no such file");
    const { directory, name } = this.#parentOf("open", path);
    const file = newFile(nowMs);
    this.#tree.change(nowMs, [directory, name, file]);
    return file;
  }

  makeDirectory(path: string, nowMs: number): void {
    let at: DirectoryNode = this.#tree.root;
    const components = componentsOf(path);
    for (const [index, name] of components.entries()) {
      const next = at.entries.get(name);
      if (next?.kind === "file") {
        const last = index === components.length - 1;
        throw diskError(last ? "exists" : "kind", "create the directory", path, "a file is in the way");
      }
      if (next === undefined) {
        const made = newDirectory(nowMs);
        this.#tree.change(nowMs, [at, name, made]);
        at = made;
      } else at = next;
    }
  }

  list(path: string): string[] {
    return [...this.directory("list", path).entries.keys()].sort();
  }

  /** Paths of all files below a directory; none where it is missing. */
  filesUnder(path: string): string[] {
    const node = this.#find("look at", path);
    if (node?.kind !== "directory") return node === undefined ? [] : [path];
    return [...node.entries.keys()].flatMap((name) => this.filesUnder(`${path}/${name}`));
  }

  info(path: string): FileInfo | undefined {
    const node = this.#find("look at", path);
    if (node === undefined) return undefined;
    const bytes = node.kind === "file" ? node.image.bytes : pageBytes;
    return { kind: node.kind, bytes, modifiedMs: node.modifiedMs };
  }

  rename(from: string, to: string, nowMs: number): void {
    const node = this.#find("rename", from);
    if (node === undefined) throw diskError("missing", "rename", from, "there is no such file");
    const source = this.#parentOf("rename", from);
    const target = this.#parentOf("rename", to);
    const replaced = target.directory.entries.get(target.name);
    if (replaced === node) return;
    if (replaced !== undefined && replaced.kind !== node.kind)
      throw diskError("kind", "rename", from, `${to} is of another kind`);
    if (replaced?.kind === "directory" && replaced.entries.size > 0)
      throw diskError("failed", "rename", from, `${to} is not empty`);
    if (`${normal(to)}/`.startsWith(`${normal(from)}/`)) throw diskError("failed", "rename", from, "into itself");
    if (replaced?.kind === "file") this.#unlink(replaced);
    this.#tree.change(nowMs, [source.directory, source.name, undefined], [target.directory, target.name, node]);
  }

  remove(path: string, nowMs: number): void {
    const node = this.#find("remove", path);
    if (node === undefined) return;
    if (node.kind === "directory") throw diskError("kind", "remove", path, "it is a directory");
    const { directory, name } = this.#parentOf("remove", path);
    this.#unlink(node);
    this.#tree.change(nowMs, [directory, name, undefined]);
  }

  removeTree(path: string, nowMs: number): void {
    const node = this.#find("remove", path);
    if (node === undefined) return;
    if (componentsOf(path).length === 0) throw diskError("denied", "remove", path, "it is the root");
    const { directory, name } = this.#parentOf("remove", path);
    const removeAll = (parent: DirectoryNode, child: string, what: Node): void => {
      if (what.kind === "file") this.#unlink(what);
      else for (const [inner, next] of what.entries) removeAll(what, inner, next);
      this.#tree.change(nowMs, [parent, child, undefined]);
    };
    removeAll(directory, name, node);
  }

  /** @throws DiskError */
  directory(action: string, path: string): DirectoryNode {
    const node = this.#find(action, path);
    if (node === undefined) throw diskError("missing", action, path, "there is no such directory");
    if (node.kind === "file") throw diskError("kind", action, path, "it is a file");
    return node;
  }

  mark(): number {
    return this.#tree.mark();
  }

  syncDirectory(directory: DirectoryNode, mark: number): void {
    this.#tree.sync(directory, mark);
  }

  writeBack(): void {
    this.#tree.writeBack();
  }

  get namesWaiting(): number {
    return this.#tree.waiting;
  }

  /** As much as there is space for; false if that was not all. */
  write(file: FileNode, bytes: Uint8Array, offset: number): boolean {
    const missing = file.image.pagesMissing(offset, bytes.length);
    const fits = !file.linked || missing * pageBytes <= this.freeBytes;
    const head = fits ? bytes : bytes.subarray(0, this.#headThatFits(file, bytes.length, offset));
    const before = file.image.pageCount;
    file.image.write(head, offset);
    if (file.linked) this.#usedPages += file.image.pageCount - before;
    return fits;
  }

  truncate(file: FileNode, bytes: number): void {
    const before = file.image.pageCount;
    file.image.truncate(bytes);
    if (file.linked) this.#usedPages += file.image.pageCount - before;
  }

  losePower(odds: LossOdds): void {
    this.#usedPages = this.#tree.losePower(odds);
  }

  /** @throws DiskError */
  file(path: string): FileNode {
    const node = this.#find("look at", path);
    if (node?.kind !== "file") throw diskError("missing", "look at", path, "there is no such file");
    return node;
  }

  #headThatFits(file: FileNode, bytes: number, offset: number): number {
    let end = Math.min(bytes, pageBytes - (offset % pageBytes));
    if (file.image.pagesMissing(offset, end) * pageBytes > this.freeBytes) return 0;
    while (end < bytes && file.image.pagesMissing(offset, end + 1) * pageBytes <= this.freeBytes) end += pageBytes;
    return Math.min(end, bytes);
  }

  #unlink(file: FileNode): void {
    if (file.linked) this.#usedPages -= file.image.pageCount;
    file.linked = false;
  }

  #find(action: string, path: string): Node | undefined {
    const found = this.#tree.find(componentsOf(path));
    if (found === "kind") throw diskError("kind", action, path, "a file is on the way");
    return found;
  }

  #parentOf(action: string, path: string): { readonly directory: DirectoryNode; readonly name: string } {
    const components = componentsOf(path);
    const name = components.at(-1);
    if (name === undefined) throw diskError("kind", action, path, "it is the root");
    const node = this.#tree.find(components.slice(0, -1));
    if (node === undefined) throw diskError("missing", action, path, "its directory is missing");
    if (node === "kind" || node.kind === "file") throw diskError("kind", action, path, "a file is on the way");
    return { directory: node, name };
  }
}

export function diskError(kind: DiskErrorKind, action: string, path: string, reason: string): DiskError {
  return new DiskError(kind, path, `Cannot ${action} ${path}: ${reason}`);
}

/** Of the paths seen last: each is asked for again and again. */
const known = new Map<string, readonly string[]>();

function componentsOf(path: string): readonly string[] {
  const found = known.get(path);
  if (found !== undefined) return found;
  const components: string[] = [];
  for (const component of path.split("/")) {
    if (component === "..") components.pop();
    else if (component !== "" && component !== ".") components.push(component);
  }
  if (known.size >= 4_096) known.clear();
  known.set(path, components);
  return components;
}

/** One spelling a path. */
export function normal(path: string): string {
  return `/${componentsOf(path).join("/")}`;
}
