import { basename, join, resolve } from "node:path";
import { GfsError } from "../src/base/errors.ts";
import { readVolume, type SalvagedVolume } from "../src/chunkserver/salvage/read-volume.ts";
import { limitsOf } from "../src/config/limits.ts";
import { formatSize } from "../src/config/units.ts";
import { protocol } from "../src/limits.ts";
import { type FoundReplica, gatherChunks } from "../src/master/core/salvage-chunks.ts";
import { planSalvage, type SalvagedFile } from "../src/master/core/salvage-plan.ts";
import { isFilePath, writeSalvage } from "../src/master/salvage.ts";
import type { Call, Verb } from "./cli/call.ts";
import { counted, note, print, printJson, showName } from "./cli/output.ts";
import { makeProgress } from "./cli/progress.ts";
import { configFlags } from "./cli/settings.ts";

async function readAll(call: Call, directories: readonly string[]): Promise<SalvagedVolume[]> {
  const volumes: SalvagedVolume[] = [];
  for (const directory of directories) {
    note(call, `reading ${directory}`);
    const progress = makeProgress("salvage", call);
    const volume = await readVolume(call.world, directory, {
      verify: call.args.on("verify"),
      onProgress: (bytes) => progress.update(bytes, undefined),
    }).finally(() => progress.stop());
    if ((await call.world.disk.info(join(directory, "metadata"))) !== undefined)
      note(call, `${directory} keeps a copy of the metadata, which knows more: gfs master restore --from ${directory}`);
    if (volumes.some((known) => known.volume === volume.volume))
      throw new GfsError("Usage", `${directory} is a copy of another volume that is named as well`);
    volumes.push(volume);
  }
  const ids = new Set(volumes.flatMap(({ clusterId }) => clusterId ?? []));
  if (ids.size > 1)
    throw new GfsError("WrongCluster", `Cannot salvage volumes of several clusters: ${[...ids].join(", ")}`);
  return volumes;
}

interface Report {
  readonly files: readonly SalvagedFile[];
  readonly problems: readonly string[];
  readonly position: number | undefined;
}

async function salvageAll(call: Call): Promise<Report> {
  const { args, world, config } = call;
  const directories = args.texts("data-dir");
  const to = args.text("to");
  const dryRun = args.on("dry-run");
  if (directories.length === 0)
    throw new GfsError("Usage", "--data-dir is missing: the directories of all chunkservers, repeated or A,B");
  if (to === undefined && !dryRun) throw new GfsError("Usage", "--to is missing: the master's directory to make");
  const volumes = await readAll(call, directories);
  const [clusterId] = volumes.flatMap((volume) => volume.clusterId ?? []);
  if (clusterId === undefined)
    throw new GfsError("NotFound", "Cannot salvage: none of the volumes ever joined a cluster");
  const replicas = volumes.flatMap(({ replicas: own }, volume) =>
    own.map((replica): FoundReplica => ({ ...replica, volume })),
  );
  const { chunks, problems } = gatherChunks(replicas);
  const files = planSalvage(chunks, isFilePath);
  const all = [
    ...volumes.flatMap(({ directory, problems: own }) => own.map((text) => `${directory}: ${text}`)),
    ...problems,
  ];
  if (to === undefined || dryRun) return { files, problems: all, position: undefined };
  const position = await writeSalvage(world, to, {
    limits: limitsOf(config),
    input: {
      clusterId,
      epoch: Math.max(...volumes.map(({ epoch }) => epoch)),
      highestHandle: Math.max(...volumes.map(({ highestHandle }) => highestHandle)),
      inodes: new Set(replicas.flatMap(({ origin }) => origin?.inode ?? [])),
      volumes: volumes.map(({ volume, directory }) => ({
        volume,
        label: basename(resolve(directory)).slice(0, protocol.labelBytesMax),
      })),
      files,
      source: `the chunks of ${counted(volumes.length, "volume")} alone (gfs salvage)`,
    },
  });
  return { files, problems: all, position };
}

function lineOf({ path, was, run, state, why }: SalvagedFile): string {
  const open = run.chunks.some(({ sealed }) => !sealed) ? " at least, it was open for append" : "";
  const from =
    was === undefined || was === path ? "" : `; was ${showName(was)}${run.from > 0 ? ` from byte ${run.from} on` : ""}`;
  return `${state === "whole" ? "file" : "PIECE"} ${showName(path)}: ${formatSize(run.bytes)}${open}${from}${why === "" ? "" : ` (${why})`}`;
}

export const salvage: Verb = {
  spec: {
    name: "salvage",
    summary: "the last resort: make a master's directory from the chunks of stopped chunkservers alone",
    positionals: [],
    flags: {
      "data-dir": {
        type: "string",
        hint: "DIR",
        about: "directory of a chunkserver; name all there are: repeat it, or A,B",
        many: true,
      },
      to: { type: "string", hint: "DIR", about: "the master's directory to make; must be empty or missing" },
      verify: { type: "boolean", about: "read every block of every chunk; what is damaged is left out" },
      "dry-run": { type: "boolean", about: "only say what would come back" },
      quiet: { type: "boolean", about: "no notes" },
      ...configFlags,
    },
    examples: [
      { command: "gfs salvage --data-dir /disk1/gfs,/disk2/gfs --dry-run", about: "what is there" },
      { command: "gfs salvage --data-dir /disk1/gfs,/disk2/gfs --to /var/lib/gfs/master", about: "make it" },
      { command: "gfs master --data-dir /var/lib/gfs/master", about: "then start all servers, look, get" },
      { command: "gfs master confirm", about: "and only then let it change anything" },
    ],
    notes: [
      "Use a backup or a copy of the metadata where there is one (gfs master restore): this knows less.",
      "Chunks tell the last path that was known when they were written: a file that was moved may be under its old name, removed ones are back, of a replaced one both contents are.",
      "Files that lack a part are pieces under /lost+found. A file whose last chunks are lost looks whole. Empty files and directories, and all times, are lost.",
      "What was set is lost too: how many replicas files and directories want, how long directories keep trash, and what gfs repair, scrub and balance set. All files want master.replication_factor.",
      "An append of several MiB that was not finished may lie at the end of its file. Where gfs salvage knows that it does not know, it says so.",
      "Exit code 9: some files are pieces, of some the content is not certain, or something could not be read.",
    ],
  },
  subject: (args) => args.texts("data-dir").join(","),
  async run(call) {
    const { files, problems, position } = await salvageAll(call);
    const pieces = files.filter(({ state }) => state === "piece").length;
    const bytes = files.reduce((sum, { run }) => sum + run.bytes, 0);
    if (call.json)
      await printJson({
        to: call.args.text("to") ?? null,
        ...(position === undefined ? {} : { position }),
        files: files.map(({ path, was, run, state, isSure, why }) => ({
          path,
          ...(was === undefined ? {} : { was }),
          offset: run.from,
          bytes: run.bytes,
          chunks: run.chunks.map(({ handle }) => handle),
          state,
          ...(isSure ? {} : { uncertain: true }),
          ...(why === "" ? {} : { why }),
        })),
        problems,
      });
    else {
      for (const file of files) await print(lineOf(file));
      for (const problem of problems) await print(`! ${showName(problem)}`);
      const made = position === undefined ? "nothing was written" : `made ${showName(call.args.text("to") ?? "")}`;
      await print(
        `${made}: ${counted(files.length - pieces, "file")}, ${counted(pieces, "piece")}, ${formatSize(bytes)}, ${counted(problems.length, "problem")}`,
      );
      await print(
        `all files want ${counted(limitsOf(call.config).replicas, "replica")} (master.replication_factor), whatever they wanted before: after gfs master confirm, set what was set (gfs setrep, gfs trash retention)`,
      );
    }
    return pieces > 0 || problems.length > 0 || files.some(({ isSure }) => !isSure) ? 9 : 0;
  },
};
