/** A directory of a machine, copied at one moment while its process writes on, as an operator's `cp -r` or a snapshot of the disk would. */
import type { World } from "../../../src/io.ts";
import type { Machine } from "../world/machine.ts";

/** By path. */
export type DirectoryCopy = ReadonlyMap<string, Uint8Array>;

export function copyDirectory(machine: Machine, path: string): DirectoryCopy {
  const { files } = machine.drive(path);
  return new Map(
    files.filesUnder(path).map((name) => {
      const { image } = files.file(name);
      const bytes = new Uint8Array(image.bytes);
      image.read(bytes, 0);
      return [name, bytes];
    }),
  );
}

/** The copy takes the place of what is there, durably. */
export async function restoreDirectory({ disk }: World, path: string, copy: DirectoryCopy): Promise<void> {
  if ((await disk.info(path)) !== undefined) await disk.removeTree(path);
  for (const [name, bytes] of copy) {
    const folder = name.slice(0, name.lastIndexOf("/"));
    await disk.makeDirectory(folder);
    const file = await disk.open(name, "create");
    await file.write([bytes], 0);
    await file.sync();
    await file.close();
    await disk.syncDirectory(folder);
  }
}
