/** A disk that notes how long its syncs and reads take. */
import type { Clock, Disk, DiskFile, OpenMode } from "../io.ts";
import type { TimedOperation } from "./core/operation-times.ts";

/** Calls `note` after each sync (or durable write) and each read that succeeded; all else goes through as it is. */
export function measuredDisk(disk: Disk, clock: Clock, note: (operation: TimedOperation, ms: number) => void): Disk {
  const timed = async <T>(operation: TimedOperation, work: Promise<T>): Promise<T> => {
    const startMs = clock.monotonicMs();
    const result = await work;
    note(operation, clock.monotonicMs() - startMs);
    return result;
  };
  const measured = (file: DiskFile, mode: OpenMode): DiskFile => ({
    path: file.path,
    // What is read past the cache takes longer than all else, and not all servers do so at a time.
    read: (into, offset) => (mode === "medium" ? file.read(into, offset) : timed("read", file.read(into, offset))),
    write: (pieces, offset) =>
      mode === "through" ? timed("sync", file.write(pieces, offset)) : file.write(pieces, offset),
    sync: () => timed("sync", file.sync()),
    truncate: (bytes) => file.truncate(bytes),
    size: () => file.size(),
    close: () => file.close(),
  });
  return {
    open: async (path, mode) => measured(await disk.open(path, mode), mode),
    makeDirectory: (path) => disk.makeDirectory(path),
    list: (path) => disk.list(path),
    info: (path) => disk.info(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    removeTree: (path) => disk.removeTree(path),
    syncDirectory: (path) => disk.syncDirectory(path),
    space: (path) => disk.space(path),
    lock: (directory) => disk.lock(directory),
  };
}
