/** `gfs master restore`: a master's directory from a copy of its metadata. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GfsError, hasCode } from "../src/base/errors.ts";
import { limitsOf } from "../src/config/limits.ts";
import { openRemote } from "../src/master/metadata/remote-source.ts";
import { type Restored, restoreMaster } from "../src/master/metadata/restore.ts";
import { type MetadataSource, openSources } from "../src/master/metadata/source.ts";
import { ControlClient } from "../src/net/control-client.ts";
import type { Call } from "./cli/call.ts";
import { contentsText } from "./cli/contents-text.ts";
import { note, print, printJson, showName } from "./cli/output.ts";
import { makeProgress } from "./cli/progress.ts";
import { readSecret } from "./cli/secret-file.ts";

/** What is no local path and looks like an address is one. */
async function isAddress(call: Call, from: string): Promise<boolean> {
  return /^[^/\s]+:\d{1,5}$/.test(from) && (await call.world.disk.info(from)) === undefined;
}

export async function restore(call: Call): Promise<number> {
  const { args, world, config, json, quiet } = call;
  const from = args.texts("from");
  const [dataDir, second] = args.texts("data-dir");
  if (from.length === 0)
    throw new GfsError("Usage", "--from is missing: a backup file, a chunkserver's directory, or the address of one");
  const dryRun = args.on("dry-run");
  if (second !== undefined)
    throw new GfsError(
      "Usage",
      "restore one --data-dir; start the master with the others beside it, and they are filled",
    );
  if (dataDir === undefined && !dryRun)
    throw new GfsError("Usage", "--data-dir is missing: the master's directory to rebuild");
  const control = new ControlClient(world, { role: "tool", secret: readSecret(config), clusterId: () => undefined });
  const scratch = dryRun ? mkdtempSync(join(tmpdir(), "gfs-restore-")) : undefined;
  const sources: MetadataSource[] = [];
  const progress = makeProgress("restore", { quiet });
  try {
    let failure: unknown;
    for (const each of from) {
      try {
        const found = (await isAddress(call, each))
          ? await openRemote(control, { address: each, signal: call.signal })
          : await openSources(world.disk, each);
        sources.push(...found);
        for (const { text, last } of found) note(call, `${text} reaches to entry ${last} of the log`);
      } catch (error) {
        // Of several servers some keep no copy, and some may be gone.
        if (!hasCode(error, "NotFound", "Unavailable", "Timeout", "Corrupt")) throw error;
        failure ??= error;
        note(call, error.message);
        if (hasCode(error, "Unavailable") && (await isAddress(call, each)))
          note(call, `--from wants the control address of a chunkserver, not its data address: is ${each} one?`);
      }
    }
    if (sources.length === 0) throw failure;
    const restored = await restoreMaster(world, {
      dataDir: scratch === undefined ? (dataDir ?? "") : join(scratch, "master"),
      sources,
      limits: limitsOf(config),
      force: args.on("force"),
      onProgress: progress.update.bind(progress),
    });
    progress.stop();
    for (const { source, why } of restored.passedOver) note(call, `passed over ${source}: ${why}`);
    if (json) await printJson({ dataDir: dryRun ? null : dataDir, ...restored });
    else await print(textOf(restored, dryRun ? undefined : dataDir));
    return 0;
  } finally {
    progress.stop();
    control.close();
    for (const source of sources) await source[Symbol.asyncDispose]();
    if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true });
  }
}

function textOf(restored: Restored, dataDir: string | undefined): string {
  const { source, movedTo } = restored;
  const lines = [
    `${dataDir === undefined ? "can be rebuilt" : `rebuilt ${showName(dataDir)}`} from ${source}: ${contentsText(restored)}`,
  ];
  if (movedTo !== undefined) lines.push(`what was there is in ${showName(movedTo)} now`);
  if (dataDir !== undefined)
    lines.push(
      "what came later is lost: files can be read, and nothing is changed or deleted, until the master runs and `gfs master confirm` lets it go on",
    );
  return lines.join("\n");
}
