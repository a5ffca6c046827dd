import { type Disk, DiskError } from "../io.ts";

/**
 * Makes a directory, with parents, so that its names outlive a power loss. The parent of the last is synced even where it is there already: an earlier
 * process may have died between making it and the sync.
 */
export async function makeDurableDirectory(disk: Disk, path: string): Promise<void> {
  const made: string[] = [path];
  for (let parent = parentOf(path); parent !== undefined; parent = parentOf(parent)) {
    if ((await disk.info(parent)) !== undefined) break;
    made.push(parent);
  }
  await disk.makeDirectory(path);
  for (const directory of made) {
    const parent = parentOf(directory) ?? (directory.startsWith("/") ? "/" : ".");
    try {
      await disk.syncDirectory(parent);
    } catch (error) {
      // A parent that this process may not read was made, and synced, by somebody else.
      if (!(error instanceof DiskError) || error.kind !== "denied") throw error;
    }
  }
}

/** Undefined at the root, and for a relative path of one name. */
export function parentOf(path: string): string | undefined {
  const trimmed = path.replace(/\/+$/, "");
  const slash = trimmed.lastIndexOf("/");
  return slash <= 0 ? undefined : trimmed.slice(0, slash);
}
