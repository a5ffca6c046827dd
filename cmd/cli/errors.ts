/** What a failed call prints, and the exit code that a script sees (DESIGN §7). */
import { AssertionError } from "../../src/base/assert.ts";
import { asGfsError, errorCodes, type GfsError } from "../../src/base/errors.ts";
import { OutputClosedError } from "../../src/host/environment.ts";

const restOfFile =
  "`gfs fsck` names all files that lack data: it must come from a backup; `gfs get --offset --length` gives the rest";

/** By code, or by verb and code where it depends on what was asked for. */
const hints: Readonly<Record<string, string>> = {
  "put Exists": "--overwrite takes its place",
  "mv Exists": "--overwrite takes its place",
  "mkdir NotFound": "-p makes missing parents",
  "rm DirectoryNotEmpty": "-r removes it with all that is in it",
  "trash Exists": "--to restores it under another name",
  "decommission Denied": "`gfs drain SERVER --wait` empties it first; --force is for one that never returns",
  "append NotFound": "without --no-create the file is made",
  NoSpace: "`gfs df` shows where space is; `gfs trash purge` gives back what was removed",
  TooFewServers: "`gfs status` shows which chunkservers are up",
  "master AddressInUse": "--listen names another; is a master running already?",
  "chunk AddressInUse": "--listen names another",
  "up AddressInUse": "--listen names another; is a cluster running already?",
  Locked: "another gfs process uses this directory; stop it first",
  MutationsStopped: "`gfs status` says why; `gfs master confirm` accepts it",
  "get ChunkLost": restOfFile,
  "cat ChunkLost": restOfFile,
  ChunkLost: "`gfs fsck` names what is missing; `gfs status` shows which servers are down",
};

function firstLetterDown(text: string): string {
  return /^[A-Z][a-z]/.test(text) ? `${text[0]?.toLowerCase()}${text.slice(1)}` : text;
}

const subjectCharsMax = 200;

/** `gfs: put /a: …(NoSpace)`, one line, and a hint where there is one. `what`: the verb, and what it was for. */
export function errorText(error: GfsError, what: string): string {
  const subject = what.length > subjectCharsMax ? `${what.slice(0, subjectCharsMax)}…` : what;
  const said = `Cannot ${what}: `;
  const message = error.message.startsWith(said) ? error.message.slice(said.length) : firstLetterDown(error.message);
  const line = `gfs: ${subject === "" ? "" : `${subject}: `}${message.replaceAll("\n", " ")} (${error.code})`;
  const own = error.details["hint"];
  const ofVerb = error.details["local"] === true ? undefined : hints[`${what.split(" ")[0]} ${error.code}`];
  const hint = typeof own === "string" ? own : (ofVerb ?? hints[error.code]);
  return hint === undefined ? line : `${line}\n  ${hint}`;
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof OutputClosedError) return 0;
  return errorCodes[asGfsError(error).code].exit;
}

/** A bug shows its stack: that line is what a report needs. */
export function isBug(error: unknown): boolean {
  return !(error instanceof OutputClosedError) && (error instanceof AssertionError || asGfsError(error).code === "Bug");
}
