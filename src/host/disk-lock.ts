import type { Database } from "bun:sqlite";
import { realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { DiskError } from "../io.ts";
import { systemCode } from "./address.ts";
import { diskError } from "./disk-error.ts";

/**
 * Directories that this process holds, or is about to: the system's locks do not exclude a second taker within one process. The
 * databases are kept here because one that nothing refers to is closed by the garbage collector, and the lock with it.
 */
const held = new Map<string, Database | undefined>();

/**
 * An exclusive transaction on an empty SQLite database named `lock`: a record lock of the operating system, which ends with the
 * process, is not inherited by its children, and works wherever Bun does. Nothing is ever written to the file.
 */
export async function lockDirectory(directory: string): Promise<AsyncDisposable> {
  const place = await placeOf(directory);
  if (held.has(place)) throw busy(directory, "this process");
  held.set(place, undefined);
  try {
    const sqlite = await import("bun:sqlite");
    const database = new sqlite.Database(join(place, "lock"), { create: true, readwrite: true });
    try {
      database.run("PRAGMA busy_timeout = 0");
      database.run("PRAGMA locking_mode = EXCLUSIVE");
      database.run("PRAGMA journal_mode = MEMORY");
      database.run("BEGIN EXCLUSIVE");
    } catch (error) {
      database.close();
      throw error;
    }
    held.set(place, database);
    return {
      [Symbol.asyncDispose]() {
        // The second time the directory may be another holder's.
        if (held.get(place) === database) {
          database.close();
          held.delete(place);
        }
        return Promise.resolve();
      },
    };
  } catch (error) {
    held.delete(place);
    const code = systemCode(error);
    if (code !== undefined && /^SQLITE_(BUSY|LOCKED)/.test(code)) throw busy(directory, "another process");
    if (code !== undefined && /^SQLITE_(CANTOPEN|READONLY|PERM)/.test(code)) {
      throw new DiskError("denied", directory, `Cannot lock ${directory}: permission denied, or a read-only disk`, {
        cause: error,
      });
    }
    throw diskError("lock", directory, error);
  }
}

async function placeOf(directory: string): Promise<string> {
  try {
    const place = await realpath(directory);
    if (!(await stat(place)).isDirectory())
      throw new DiskError("kind", directory, `Cannot lock ${directory}: it is not a directory`);
    return place;
  } catch (error) {
    throw diskError("lock", directory, error);
  }
}

function busy(directory: string, holder: string): DiskError {
  return new DiskError("busy", directory, `Cannot lock ${directory}: ${holder} holds it`);
}
