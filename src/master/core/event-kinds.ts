/**
 * Which of the master's events operators are told (`gfs events`), what each says in words, and what to do. Whoever emits a new one adds it here, and to the table of
 * docs/OPERATIONS.md. Names of events are those that the servers log on standard error.
 */
import { counted, formatSize } from "../../config/units.ts";
import type { FoldLimits } from "./event-fold.ts";

type Value = string | number | boolean;
/** As they are emitted. */
export type EventFields = Readonly<Record<string, Value | readonly Value[] | undefined>>;

/** The fields of an event, with names for people. */
export interface Told {
  readonly fields: EventFields;
  /** Label of the server that it is about, or the volume's id; "a server" where none is named. */
  readonly server: string;
  /** "chunk 7 of /a/b", or "a chunk". */
  readonly chunk: string;
  /** ": why", or nothing. */
  readonly because: string;
}

export interface EventKind {
  /** One line. */
  readonly text: (told: Told) => string;
  /** False: this one is not for operators. All are where it is left out. */
  readonly keeps?: (fields: EventFields) => boolean;
  /** What it means, for docs/OPERATIONS.md. */
  readonly about: string;
  /** What an operator does about it. */
  readonly todo: string;
  /** Of what happens often while all is well: so many are told in each window of `eventFoldMs`, the others by their number. */
  readonly burst?: FoldLimits["burst"];
}

const burstDefault = 50;
const often = 5;

export function burstOf(kind: EventKind): number {
  return kind.burst ?? burstDefault;
}

/** `name` where the field is there, in words; a list as `a, b`. */
function field(fields: EventFields, name: string): string {
  const value = fields[name];
  if (value === undefined) return "?";
  return typeof value === "object" ? value.join(", ") : String(value);
}

function size(fields: EventFields, name: string): string {
  const bytes = fields[name];
  return typeof bytes === "number" ? formatSize(bytes) : "?";
}

/** `1 chunk`, `2 chunks`. */
function number(fields: EventFields, name: string, one: string): string {
  const count = fields[name];
  return typeof count === "number" ? counted(count, one) : `? ${one}s`;
}

/** Of a drain: `1 chunk is left`. */
function left(fields: EventFields): string {
  return `${number(fields, "chunks", "chunk")} ${fields["chunks"] === 1 ? "is" : "are"} left`;
}

function seconds(fields: EventFields, name: string): string {
  const ms = fields[name];
  return typeof ms === "number" ? ` for ${Math.round(ms / 1_000)} s` : "";
}

const master: Readonly<Record<string, EventKind>> = {
  "master.ready": {
    text: ({ fields }) => `the master has started, epoch ${field(fields, "epoch")}, at ${field(fields, "address")}`,
    about: "The master was started and serves. It is in safe mode until enough servers have reported.",
    todo: "Nothing, if you started it. If it happens again and again, read its log.",
  },
  "master.failed": {
    text: ({ because }) => `the master stops by itself${because}`,
    about:
      "The master can't go on: its disk failed, or it found a bug of its own. Nothing that it acknowledged is lost.",
    todo: "Replace the disk that is named, then start the master again; report a bug with the master's log.",
  },
  "master.behind": {
    text: ({ because }) => `changes and deletions are stopped${because}`,
    about:
      "Servers know more than the master's log: its data directory is an old copy, or another master runs on one. Told again for each that proves more.",
    todo: "Start the master on the newest copy of its directory. Only if there is none: `gfs master confirm`.",
  },
  "master.confirmed": {
    text: ({ fields }) => `an operator confirmed: ${field(fields, "accepted")}`,
    about: "Somebody ran `gfs master confirm`.",
    todo: "Nothing.",
  },
  "master.task-failed": {
    text: ({ fields, because }) => `the master could not ${field(fields, "what")}${because}`,
    about: "Work in the background failed; it is tried again.",
    todo: "Nothing, unless it goes on; with the code `Bug`, report it.",
  },
  "setting.changed": {
    text: ({ fields }) => `the setting ${field(fields, "now")}`,
    about: "An operator changed a setting while the cluster runs, or took it back to what is configured.",
    todo: "Nothing.",
  },
  "log.directory-failed": {
    text: ({ fields, because }) => `the master goes on without its directory ${field(fields, "directory")}${because}`,
    about: "One of several data directories of the master failed and is not written to any more.",
    todo: "Replace the disk, and start the master with an empty directory in its place: it is filled from the other.",
  },
  "log.failed": {
    text: ({ because }) => `the operation log can't be written${because}`,
    about: "The last data directory failed: the master stops. What was not acknowledged is of unknown outcome.",
    todo: "As for `master.failed`.",
  },
  "log.no-spare": {
    text: ({ fields }) => `the disk of ${field(fields, "directory")} is nearly full`,
    about: "There is no room to prepare the next file of the operation log. Once it is needed, the directory fails.",
    todo: "Make room on the master's disk now.",
  },
  "log.restored": {
    text: ({ fields }) => `the log in ${field(fields, "directory")} was completed from ${field(fields, "from")}`,
    about: "At its start the master found that one data directory lacked what another had.",
    todo: "Nothing, after a failure. If it happens without one, look at that disk.",
  },
  "checkpoint.corrupt": {
    text: ({ fields, because }) => `a checkpoint of the master is damaged: ${field(fields, "path")}${because}`,
    about: "The master started from an older checkpoint, or another directory's.",
    todo: "Look at that disk: it changed what was written to it.",
  },
  "checkpoint.restored": {
    text: ({ fields }) => `the checkpoint in ${field(fields, "directory")} was copied from ${field(fields, "from")}`,
    about: "At its start the master found a data directory without a whole checkpoint.",
    todo: "As for `log.restored`.",
  },
  "checkpoint.failed": {
    text: ({ because }) => `no checkpoint could be written${because}`,
    about: "The operation log grows until one can; the next start takes longer.",
    todo: "Mostly the master's disk is full: make room.",
  },
};

const servers: Readonly<Record<string, EventKind>> = {
  "volume.registered": {
    text: ({ fields, server }) => {
      const at = field(fields, "control");
      if (fields["kind"] === "joined") return `${server} joined the cluster, at ${at}`;
      if (fields["kind"] === "restarted") return `${server} was started again, at ${at}`;
      return `${server} registered with this start of the master, at ${at}`;
    },
    keeps: ({ kind }) => kind !== "again",
    about: "A server joined, was started again, or found the master after the master's start.",
    todo: "Nothing. A server that is started again and again: read its log.",
  },
  "volume.suspect": {
    text: ({ fields, server }) => `${server} is silent${seconds(fields, "silentMs")}`,
    about: "A server has missed heartbeats. Nothing is placed on it; nothing is repaired yet.",
    todo: "Nothing, unless it goes on: then look at the machine and the network.",
  },
  "volume.dead": {
    text: ({ fields, server }) => `${server} is dead: silent${seconds(fields, "silentMs")}`,
    about: "A server has not been heard of for so long that its replicas are copied elsewhere.",
    todo: "Start it again: what it still holds counts at once. If its disk is lost, do nothing, or add another server.",
  },
  "volume.retired": {
    text: ({ fields, server, because }) =>
      `${server} is out of service${because === "" ? `: ${field(fields, "from")}` : because}`,
    about: "A server's disk failed: it serves nothing any more, and its replicas are copied elsewhere.",
    todo: "Replace the disk, and start the server with an empty directory.",
  },
  "volume.live": {
    text: ({ fields, server }) =>
      fields["from"] === "suspect"
        ? `${server} is heard again, silent${seconds(fields, "silentMs")}`
        : `${server} is back, after it was ${field(fields, "from")}`,
    about:
      "A server that was silent, dead or out of service is back. Its replicas count as soon as it has reported them.",
    todo: "Nothing.",
  },
  "server.full": {
    text: ({ server, fields }) =>
      `${server} is full: ${size(fields, "freeBytes")} of ${size(fields, "totalBytes")} are left, for repair`,
    about:
      "A server is used up to `chunk_server.full_share` (95 %). New chunks go elsewhere; what is left is kept for repair.",
    todo: "Remove files (`rm --skip-trash` frees space after the grace), add a server, or give it more disk.",
  },
  "server.no-longer-full": {
    text: ({ server }) => `${server} has room for new chunks again`,
    about: "Space was freed or added there.",
    todo: "Nothing.",
  },
  "server.slow": {
    text: ({ server, because }) => `${server} is slow${because}`,
    about: "A server's disk takes much longer than its peers' do. New chunks, and readers, go there last.",
    todo: "Look at its disk and at what else uses it. If it stays slow, `gfs drain` it and replace the disk.",
  },
  "server.no-longer-slow": {
    text: ({ server }) => `${server} is no longer slow`,
    about: "It is near its peers again, or has had nothing to do for a while and is tried again.",
    todo: "Nothing.",
  },
};

const metadata: Readonly<Record<string, EventKind>> = {
  "metadata.copy-chosen": {
    text: ({ server }) => `${server} is to keep a copy of the metadata`,
    about: "A server keeps a copy of what the master knows: at first, or as another one is gone.",
    todo: "Nothing. `gfs status` says how far each copy reaches.",
  },
  "metadata.copy-failed": {
    text: ({ server, because }) => `the copy of the metadata on ${server} is not kept up to date${because}`,
    about:
      "A server did not take what the master logged. It is tried again, and after some failures another one is chosen.",
    todo: "Nothing, unless it goes on: the reason names what is wrong.",
  },
  "metadata.copy-resumed": {
    text: ({ server }) => `the copy of the metadata on ${server} is complete again`,
    about: "The end of a `metadata.copy-failed`.",
    todo: "Nothing.",
  },
  "backup.begun": {
    text: ({ fields }) => `a backup is taken, up to entry ${field(fields, "until")} of the log`,
    about: "Somebody ran `gfs backup`.",
    todo: "Nothing.",
  },
};

const drains: Readonly<Record<string, EventKind>> = {
  "drain.begun": {
    text: ({ server }) => `${server} is being drained`,
    about: "An operator takes a server away: nothing new is placed there, and its chunks are copied elsewhere.",
    todo: "Leave it running until it is safe to stop: `gfs drain` says how far it is.",
  },
  "drain.finished": {
    text: ({ server }) => `${server} is safe to stop`,
    about: "No chunk needs the server that was drained.",
    todo: "Stop it, and forget it: `gfs decommission SERVER`.",
  },
  "drain.stuck": {
    text: ({ fields, server, because }) => `${server} can't be emptied as things are: ${left(fields)}${because}`,
    about:
      "Chunks of a server that is being drained find no other place, or only servers that are dead or retired have them, or nothing is copied since a setting is 0 or repair is held back: the reason says which.",
    todo: "Add a server, or space; start the dead server again; set `repair-streams` again; see `repair.held`. Or keep it: `gfs undrain SERVER`.",
  },
  "drain.resumed": {
    text: ({ fields, server }) => `${server} is not safe to stop yet: ${left(fields)}`,
    about: "A drain that was stuck goes on; or a replica or server was lost that made this one dispensable.",
    todo: "Don't stop it until it is safe again.",
  },
  "drain.cancelled": {
    text: ({ server }) => `${server} is not being drained any more`,
    about: "An operator keeps the server: its replicas count again.",
    todo: "Nothing.",
  },
  "volume.forgotten": {
    text: ({ fields, server }) =>
      `${server} is forgotten${fields["lost"] === 0 ? "" : `, and ${number(fields, "lost", "chunk")} with it`}`,
    about: "An operator decommissioned a server. It is refused if it comes back with its old data directory.",
    todo: "Nothing. To use the machine again, empty its data directory.",
  },
};

/** `1 of 3 chunks has`, `2 of 3 chunks have`. */
function ofAllHave(fields: EventFields, name: string): string {
  const word = fields[name] === 1 ? "has" : "have";
  return `${field(fields, name)} of ${number(fields, "total", "chunk")} ${word}`;
}

const health: Readonly<Record<string, EventKind>> = {
  "health.healthy": {
    text: ({ fields }) =>
      fields["total"] === 1
        ? "the only chunk has its replicas"
        : `all ${number(fields, "total", "chunk")} have their replicas`,
    about: "After a start of the master, or after some were short: every chunk has as many good replicas as wanted.",
    todo: "Nothing.",
  },
  "health.degraded": {
    text: ({ fields }) => `${ofAllHave(fields, "short")} fewer replicas than wanted`,
    about: "Some chunks have fewer good replicas than wanted, and each at least two. Repair copies them.",
    todo: "Nothing. `gfs status` says when it will be done, or what it waits for.",
  },
  "health.at-risk": {
    text: ({ fields }) => `${ofAllHave(fields, "atRisk")} one copy left`,
    about: "The loss of one more server or disk could lose data. Repair copies these chunks first.",
    todo: "Stop no server. Start those again that are dead, if they can be.",
  },
  "health.lost": {
    text: ({ fields }) =>
      `${ofAllHave(fields, "lost")} no replica that can be read, ${field(fields, "away")} of them on dead servers: ${field(fields, "chunks")}`,
    about:
      "No server that can be reached has a good replica of these chunks; files that need them can't be read whole.",
    todo: "Start the servers again that are dead, with their disks. `gfs fsck` names all files; what is not on any disk any more must come from a backup.",
  },
};

const chunks: Readonly<Record<string, EventKind>> = {
  "replica.bad": {
    text: ({ fields, server, chunk, because }) =>
      `the replica of ${chunk} on ${server} is ${field(fields, "reason")}${because}`,
    about:
      "A server found that a replica of its own is corrupt or missing. Nobody reads it; it is replaced from a good one.",
    todo: "Nothing for one. Several on one server: its disk is going; take the server away.",
  },
  "scrub.corrupt": {
    text: ({ fields, server }) => `the scrub of ${server} found ${number(fields, "found", "bad replica")}`,
    about: "A server that read all that it holds found replicas that rotted. Each is a `replica.bad`, and is replaced.",
    todo: "As for `replica.bad`.",
  },
  "scrub.round-finished": {
    text: ({ server }) => `${server} has read and checked all that it holds`,
    about: "A round of a server's scrub is over; the next has begun.",
    todo: "Nothing.",
    burst: often,
  },
  "scrub.ordered": {
    text: ({ fields }) => `an operator has ${field(fields, "target")} read and checked`,
    about: "Somebody ran `gfs scrub` or `gfs fsck --verify`.",
    todo: "Nothing.",
  },
  "scrub.order-ended": {
    text: ({ fields }) =>
      `${field(fields, "target")} was read: ${number(fields, "healthy", "replica")} good, ${field(fields, "corrupt")} corrupt, ${field(fields, "missing")} missing, ${field(fields, "unverified")} not read`,
    about: "The end of it, or an operator stopped it. What was found is repaired.",
    todo: "`gfs scrub status` names what was found. What could not be read was on servers that were away: order it again when they are back.",
  },
  "repair.healed": {
    text: ({ server, chunk, because }) => `${chunk} has another replica, on ${server}${because}`,
    about: "A chunk was copied, for the reason that is told.",
    todo: "Nothing.",
    burst: often,
  },
  "repair.stopped": {
    text: ({ server, chunk }) => `the copy of ${chunk} to ${server} was stopped: it is not needed any more`,
    about: "A server came back with its replicas, or the file was removed, while a chunk was copied.",
    todo: "Nothing.",
    burst: often,
  },
  "repair.held": {
    text: ({ because }) => `repair is held back${because}`,
    about:
      "More than `mass_failure_share` of the servers were lost at once: a switch, a room, or a bad release. To copy all that they hold would be a storm for servers that will be back.",
    todo: "Bring them back. Only if they won't be: `gfs repair resume`. It goes on by itself when enough are back, or after `mass_failure_hold_seconds`.",
  },
  "repair.resumed": {
    text: ({ fields }) => `repair goes on${fields["by"] === "operator" ? ", by an operator's word" : ""}`,
    about: "Enough servers are back, somebody ran `gfs repair resume`, or it was held long enough.",
    todo: "Nothing.",
  },
  "repair.failed": {
    text: ({ server, chunk, because }) => `${chunk} could not be copied to ${server}${because}`,
    about: "A copy failed; it is tried again, rather elsewhere.",
    todo: "Nothing, unless it goes on: the reason names what refused.",
  },
  "seal.begin": {
    text: ({ chunk, because }) => `${chunk} is being sealed${because}`,
    about:
      "The open end of a file that is appended to is closed: it is full, its file changes, or a server of its chain is gone.",
    todo: "Nothing.",
    burst: often,
  },
  "seal.done": {
    text: ({ fields, chunk }) => `${chunk} is sealed, at ${size(fields, "length")}`,
    about: "The end of a seal: appends go on in the next chunk.",
    todo: "Nothing. A seal that was begun and does not end stands in `gfs status` with what it waits for.",
    burst: often,
  },
  "deletions.stopped": {
    text: ({ because }) => `deletions are stopped${because}`,
    about:
      "By what servers reported the master would delete a large share of all replicas, which is more likely a mistake.",
    todo: "Find out why (an old copy of the master's directory?). If it is right: `gfs master confirm`.",
  },
  "safe-mode.left": {
    text: ({ fields }) =>
      `safe mode is over${fields["by"] === "operator" ? ", by an operator's word" : ""}: ${field(fields, "now")}`,
    about: "After its start the master has heard of enough replicas, or waited long enough.",
    todo: "Nothing, unless something waits for `gfs master confirm`: `gfs status` says why.",
  },
};

const kinds = new Map<string, EventKind>(
  Object.entries({ ...master, ...servers, ...metadata, ...drains, ...health, ...chunks }),
);

/** Undefined: not for operators. */
export function eventKind(name: string): EventKind | undefined {
  return kinds.get(name);
}

/** All of them, for docs/OPERATIONS.md. */
export function eventKinds(): ReadonlyMap<string, EventKind> {
  return kinds;
}
