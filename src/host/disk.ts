import type { Stats } from "node:fs";
import { readFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import { hostname } from "node:os";
import type { Disk, FileInfo } from "../io.ts";
import { diskError } from "./disk-error.ts";
import { openFile } from "./disk-file.ts";
import { lockDirectory } from "./disk-lock.ts";

export function makeHostDisk(): Disk {
  return {
    open: openFile,
    lock: lockDirectory,
    makeDirectory: (path) =>
      attempt("create the directory", path, async () => {
        await fs.mkdir(path, { recursive: true });
      }),
    list: (path) => attempt("list", path, async () => (await fs.readdir(path)).sort(byCodeUnit)),
    info: (path) => attempt("look at", path, () => unlessMissing(async () => infoOf(await fs.stat(path)))),
    rename: (from, to) => attempt("rename", from, () => fs.rename(from, to)),
    remove: (path) => attempt("remove", path, () => unlessMissing(() => fs.unlink(path))),
    removeTree: (path) => attempt("remove", path, () => fs.rm(path, { recursive: true, force: true })),
    syncDirectory: (path) => attempt("sync", path, () => syncDirectory(path)),
    space: (path) =>
      attempt("measure the space of", path, async () => {
        const [{ dev }, { bsize, blocks, bavail }] = await Promise.all([fs.stat(path), fs.statfs(path)]);
        return { fileSystem: `${machine()}.${dev}`, totalBytes: bsize * blocks, freeBytes: bsize * bavail };
      }),
  };
}

let thisMachine: string | undefined;

/** One name for all containers of a machine, as they share its disks: that of the running kernel, where it has one. */
function machine(): string {
  thisMachine ??= bootId() ?? hostname().slice(0, 36);
  return thisMachine;
}

function bootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}

async function attempt<T>(action: string, path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw diskError(action, path, error);
  }
}

async function unlessMissing<T>(operation: () => Promise<T>): Promise<T | undefined> {
  try {
    return await operation();
  } catch (error) {
    if (diskError("", "", error).kind === "missing") return undefined;
    throw error;
  }
}

/** `sort()` alone compares code units too; said here because the order is part of the contract. */
function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function infoOf(stats: Stats): FileInfo {
  const kind = stats.isFile() ? "file" : stats.isDirectory() ? "directory" : "other";
  return { kind, bytes: stats.size, modifiedMs: stats.mtimeMs };
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await fs.open(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
