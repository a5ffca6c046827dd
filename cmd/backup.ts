import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { GfsError } from "../src/base/errors.ts";
import type { BackupFacts } from "../src/wire/backup-file.ts";
import { local } from "../src/client/local-files.ts";
import { limitsOf } from "../src/config/limits.ts";
import { formatDuration, formatSize } from "../src/config/units.ts";
import { pipeToStdout } from "../src/host/environment.ts";
import { openSources } from "../src/master/metadata/source.ts";
import { restoreMaster, type Restored } from "../src/master/metadata/restore.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { contentsText } from "./cli/contents-text.ts";
import { note, print, printJson, showName } from "./cli/output.ts";
import { makeProgress } from "./cli/progress.ts";
import { clientFlags } from "./cli/settings.ts";

/** Loads and replays all of it, in a directory that is removed again. @throws GfsError("Corrupt" …) */
async function contentsOf(call: Call, path: string): Promise<Restored> {
  const [source] = await openSources(call.world.disk, path);
  if (source === undefined) throw new GfsError("NotFound", `Cannot verify ${path}: nothing is there`);
  const scratch = mkdtempSync(join(tmpdir(), "gfs-verify-"));
  try {
    return await restoreMaster(call.world, {
      dataDir: join(scratch, "master"),
      sources: [source],
      limits: limitsOf(call.config),
      force: false,
    });
  } finally {
    await source[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function verify(call: Call, path: string): Promise<number> {
  const contents = await contentsOf(call, path);
  const { position, checkpoint, clusterId, wallMs, epoch, files, directories } = contents;
  if (call.json)
    await printJson({ path, whole: true, clusterId, position, checkpoint, wallMs, epoch, files, directories });
  else await print(`${showName(path)} is whole: ${contentsText(contents)}`);
  return 0;
}

/** Under another name until it is whole, checked, and durable. */
async function writeBackup(call: Call, path: string, bytes: AsyncIterable<Uint8Array>): Promise<number> {
  const { disk } = call.world;
  const partial = `${path}.partial`;
  const file = await local("write", disk.open(partial, "write"));
  let at = 0;
  try {
    await file.truncate(0);
    for await (const piece of bytes) {
      await local("write", file.write([piece], at));
      at += piece.length;
    }
    await local("write", file.sync());
  } catch (error) {
    await file.close();
    await disk.remove(partial);
    throw error;
  }
  await file.close();
  for (const source of await openSources(disk, partial)) await source[Symbol.asyncDispose]();
  await local("write", disk.rename(partial, path));
  await local("write", disk.syncDirectory(dirname(path)));
  return at;
}

async function take(call: Call, path: string): Promise<number> {
  const { json, quiet, signal } = call;
  if (path !== "-" && !call.args.on("overwrite") && (await local("write", call.world.disk.info(path))) !== undefined)
    throw new GfsError("Exists", `Cannot write the backup ${path}: it exists; --overwrite replaces it`);
  const startedMs = performance.now();
  await using client = await connect(call);
  const progress = makeProgress("backup", { quiet });
  const begun: { facts?: BackupFacts } = {};
  try {
    const bytes = client.backup({
      signal,
      onProgress: progress.update.bind(progress),
      onBegun: (facts) => {
        begun.facts = facts;
      },
    });
    if (path === "-") {
      await pipeToStdout(bytes);
      return 0;
    }
    const written = await writeBackup(call, path, bytes);
    progress.stop();
    const { facts } = begun;
    const seconds = (performance.now() - startedMs) / 1_000;
    if (json) await printJson({ path, bytes: written, clusterId: facts?.clusterId, position: facts?.until, seconds });
    else if (!quiet)
      await print(
        `${showName(path)}: ${formatSize(written)} in ${formatDuration(seconds * 1_000)}, up to entry ${facts?.until} of the log`,
      );
    return 0;
  } finally {
    progress.stop();
  }
}

export const backup: Verb = {
  spec: {
    name: "backup",
    summary:
      "write all that the master knows to one file: the namespace, and which chunks belong to it; no file's content",
    positionals: [{ name: "FILE", about: "where to write it, or - for standard output" }],
    flags: {
      verify: { type: "boolean", about: "instead: check a backup that was written, from end to end" },
      overwrite: { type: "boolean", about: "replace an existing file" },
      ...clientFlags,
    },
    examples: [
      { command: "gfs backup gfs-$(date +%F).backup", about: "of the running master" },
      { command: "gfs backup - | ssh vault 'cat > gfs.backup'", about: "to somewhere else" },
      { command: "gfs backup --verify gfs.backup", about: "is it whole, and of when is its last change?" },
      { command: "gfs master restore --data-dir DIR --from gfs.backup", about: "use it" },
    ],
  },
  subject: (args) => args.positionals[0] ?? "",
  async run(call) {
    const [path = ""] = call.args.positionals;
    if (!call.args.on("verify")) return take(call, path);
    if (path === "-") throw new GfsError("Usage", "--verify wants a file");
    if (!call.json) note(call, `checking ${path}`);
    return verify(call, path);
  },
};
