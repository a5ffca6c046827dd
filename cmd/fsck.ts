import { hasCode } from "../src/base/errors.ts";
import type { CheckedFile, FileExtent, FsckPage } from "../src/client/api.ts";
import type { GfsClient } from "../src/client/gfs-client.ts";
import type { Call, Verb } from "./cli/call.ts";
import { connect } from "./cli/connect.ts";
import { extentLines, extentText } from "./cli/extents-text.ts";
import { fileLine, fsckExit, type FsckSums, summaryLine } from "./cli/fsck-text.ts";
import { print, printJson, showName } from "./cli/output.ts";
import { clientFlags } from "./cli/settings.ts";
import type { Arguments } from "./cli/verb.ts";
import { printVerified, verifyBelow, verifyFlag } from "./cli/verification.ts";

type Problem = FsckPage["problems"][number];
type Kind = Problem["kind"];

/** What is shown beside the problems: each includes those before it. */
type Detail = "problems" | "files" | "chunks" | "locations";

function detailOf(args: Arguments): Detail {
  return (["locations", "chunks", "files"] as const).find((flag) => args.on(flag)) ?? "problems";
}

async function extentsOf(client: GfsClient, path: string, signal: AbortSignal): Promise<FileExtent[]> {
  const extents: FileExtent[] = [];
  try {
    for await (const extent of client.locate(path, { signal })) extents.push(extent);
  } catch (error) {
    // Moved or removed since it was checked.
    if (!hasCode(error, "NotFound", "IsDirectory")) throw error;
  }
  return extents;
}

async function showFile(call: Call, client: GfsClient, file: CheckedFile, detail: Detail): Promise<void> {
  const extents = detail === "files" ? undefined : await extentsOf(client, file.path, call.signal);
  if (call.json) {
    await printJson({ ...file, ...(extents === undefined ? {} : { extents }) });
    return;
  }
  const lines = (extents ?? []).flatMap((extent) =>
    detail === "chunks" ? [`  ${extentText(extent)}`] : extentLines(extent, "  "),
  );
  await print([fileLine(file), ...lines].join("\n"));
}

async function showProblem(call: Call, problem: Problem): Promise<void> {
  if (call.json) await printJson(problem);
  else await print(`${problem.kind}: ${showName(problem.path)}: ${problem.text}`);
}

export const fsck: Verb = {
  spec: {
    name: "fsck",
    summary: "check files against the chunk table and what chunkservers report; changes nothing without --verify",
    positionals: [{ name: "PATH", about: "only what is under it; / where it is left out", optional: true }],
    flags: {
      files: { type: "boolean", about: "show every file that is checked, the good ones too" },
      chunks: { type: "boolean", about: "of each file its chunks, and how many of their replicas are healthy" },
      locations: { type: "boolean", about: "of each chunk where its replicas lie, and the health of each" },
      verify: verifyFlag,
      ...clientFlags,
    },
    examples: [
      { command: "gfs fsck /projects", about: "every problem with the file it belongs to" },
      { command: "gfs fsck /projects/a.tar --locations", about: "with every chunk and replica" },
      {
        command: "gfs fsck --verify /projects",
        about: "and have every byte of every replica read, what is bad repaired",
      },
    ],
    notes: [
      "Exit code 0: all is well. 8: data is lost or corrupt. 9: chunks are short of replicas, or not reported yet.",
      "With --verify what was found bad is named first, and repaired as far as it can be; verdict and exit code are of what is left then, as with `gfs scrub --wait`: 0 also where all that was bad is repaired, 9 also where not all could be read, or is not repaired yet.",
      "With --json one object a line: files (where asked for) and problems, and the sums last.",
    ],
  },
  subject: (args) => args.positionals[0] ?? "/",
  async run(call) {
    const path = call.args.positionals[0] ?? "/";
    await using client = await connect(call);
    // First: what it finds is repaired, and the check then tells what is left of it.
    const verified = call.args.on("verify") ? await verifyBelow(call, client, path) : undefined;
    if (verified !== undefined && !call.json) await printVerified(verified);
    const counts = new Map<Kind, number>();
    const detail = detailOf(call.args);
    const sums: FsckSums = { files: 0, openFiles: 0, chunks: 0, bytes: 0 };
    const options = { signal: call.signal, list: detail !== "problems" };
    for await (const page of client.fsck(path, options)) {
      sums.files += page.files;
      sums.openFiles += page.openFiles ?? 0;
      sums.chunks += page.chunks;
      sums.bytes += page.bytes;
      for (const file of page.listed) await showFile(call, client, file, detail);
      for (const problem of page.problems) {
        counts.set(problem.kind, (counts.get(problem.kind) ?? 0) + 1);
        await showProblem(call, problem);
      }
    }
    if (call.json) await printJson({ ...sums, problems: Object.fromEntries(counts), ...(verified && { verified }) });
    else await print(summaryLine(sums, counts, verified));
    return fsckExit(counts, verified);
  },
};
