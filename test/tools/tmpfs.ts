/** Small disks for tests: each a tmpfs, which only root may mount. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

function mount(path: string, size: string): boolean {
  mkdirSync(path, { recursive: true });
  return Bun.spawnSync(["mount", "-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path]).exitCode === 0;
}

function probe(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  const mounted = mount(folder, "1m");
  if (mounted) Bun.spawnSync(["umount", folder]);
  else process.stderr.write("small disks are not tested: a tmpfs can't be mounted here, which takes root\n");
  rmSync(folder, { recursive: true });
  return mounted;
}

export const canMount = probe();

/** Runs with a disk of this size at each path under a temporary folder. @throws Error where one can't be mounted */
export async function withDisks(
  paths: readonly string[],
  size: string,
  run: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  try {
    for (const path of paths) if (!mount(join(folder, path), size)) throw new Error(`no tmpfs at ${path}`);
    await run(folder);
  } finally {
    for (const path of paths) Bun.spawnSync(["umount", join(folder, path)]);
    rmSync(folder, { recursive: true, force: true });
  }
}
