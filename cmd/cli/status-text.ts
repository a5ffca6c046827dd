/**
 * The state of a cluster in a screenful, however many servers it has and however much is wrong: what its data is, then what is wrong and what to do, then the numbers.
 */
import type { ClusterStatus } from "../../src/client/api.ts";
import { are, formatDuration, formatSize, have } from "../../src/config/units.ts";
import type { ServerStatus } from "../../src/wire/control/namespace.ts";
import { asLastTold, counted, hasRegistered, showName, showServer, table } from "./output.ts";
import { few, repeatedLabels, serversTable, sharedDisks } from "./servers-table.ts";

const alarmsMax = 6;
const serversMax = 8;
const chunksMax = 5;
const lineCharsMax = 200;

/** One line: what the data is, in the worst word that is true of any of it. */
export function verdictOf(status: ClusterStatus): string {
  const { chunks, health } = status;
  const { total, lost, atRisk, short, pending, unsealedShort, unsealedAtRisk } = chunks;
  if (health === "healthy")
    return total === 0
      ? `healthy (${status.bytes > 0 ? "the first chunks are not counted yet" : "no chunks yet"})`
      : `healthy: ${total === 1 ? "the only chunk" : `all ${total} chunks`} (${formatSize(chunks.totalBytes)}) ${have(total)} the replicas wanted`;
  if (health === "starting")
    return `starting: ${pending} of ${counted(total, "chunk")} ${are(pending)} not reported yet`;
  const others = short - atRisk;
  const parts = [
    ...(lost > 0 ? [`${lost} (${formatSize(chunks.lostBytes)}) ${have(lost)} no replica that can be read`] : []),
    ...(atRisk > 0 ? [`${atRisk} (${formatSize(chunks.atRiskBytes)}) ${have(atRisk)} one copy left`] : []),
    ...(others > 0
      ? [`${others} (${formatSize(chunks.shortBytes - chunks.atRiskBytes)}) ${have(others)} fewer replicas than wanted`]
      : []),
    ...(unsealedAtRisk > 0
      ? [`${unsealedAtRisk} that ${are(unsealedAtRisk)} appended to ${have(unsealedAtRisk)} one server left`]
      : []),
    ...(unsealedShort > unsealedAtRisk
      ? [
          `${unsealedShort - unsealedAtRisk} that ${are(unsealedShort - unsealedAtRisk)} appended to ${have(unsealedShort - unsealedAtRisk)} too few servers`,
        ]
      : []),
    ...(pending > 0 ? [`${pending} ${are(pending)} not reported yet`] : []),
  ];
  const word = { lost: "LOST", "at-risk": "AT RISK", degraded: "degraded" }[health];
  return `${word}: of ${counted(total, "chunk")} (${formatSize(chunks.totalBytes)}) ${parts.join(", ")}${untilWhole(status)}`;
}

function untilWhole({ chunks, repair, warnings }: ClusterStatus): string {
  if (chunks.short === 0) return "";
  const what = chunks.lost > 0 ? "the short ones are whole" : "whole";
  const bytes = formatSize(chunks.missingBytes);
  if (repair.estimateMs !== undefined)
    return `; ${what} in about ${formatDuration(repair.estimateMs)} (${bytes} to copy)`;
  const why = repair.noEstimate ?? "nothing has been copied yet";
  // What is told at length below is only named here.
  const [head = why] = why.split(": ");
  const below = warnings.some((warning) => warning.startsWith(`${head}: `));
  return `; ${bytes} to copy, no estimate: ${below ? head : why}`;
}

/** What is to be accepted with it must be read whole. */
const toConfirm = "gfs master confirm";

/** What is wrong, the worst first, each with what to do. */
export function alarmsOf(status: ClusterStatus): string[] {
  const { servers, stopped, safeMode, chunks, repair } = status;
  const dead = servers.filter(({ liveness }) => liveness === "dead");
  const suspect = servers.filter(({ liveness }) => liveness === "suspect");
  const silent = suspect.filter(hasRegistered);
  // In safe mode its line tells how many are awaited.
  const awaited = safeMode.active ? [] : suspect.filter((server) => !hasRegistered(server));
  const retired = servers.filter(({ liveness }) => liveness === "retired");
  const replaced = retired.filter((server) => successorOf(server, servers) !== undefined);
  const broken = retired.filter((server) => !replaced.includes(server));
  const gone = chunks.lost - chunks.away;
  // They are no files any more for whoever runs `gfs fsck`.
  const removed =
    status.trash.entries === 0 ? "" : "; those of removed files count until they are purged: gfs trash purge PATH";
  return [
    ...(stopped.mutations === undefined
      ? []
      : [
          `changes are stopped: ${stopped.mutations}; if this copy of the master's data is the right one: ${toConfirm}`,
        ]),
    ...(chunks.away > 0
      ? [
          `${counted(chunks.away, "lost chunk")} ${are(chunks.away)} on dead servers: start them again with their disks${removed}`,
        ]
      : []),
    ...(gone > 0
      ? [`${counted(gone, "lost chunk")} ${are(gone)} on no server that is known: gfs fsck names the files${removed}`]
      : []),
    ...(stopped.deletions === undefined || stopped.deletions === stopped.mutations
      ? []
      : [`deletions are stopped: ${stopped.deletions}; if that is right: ${toConfirm}`]),
    ...(dead.length === 0
      ? []
      : [
          `${named(dead, servers)} ${are(dead.length)} dead, silent for ${since(dead)}: start ${dead.length === 1 ? "it" : "them"} again${replacedBy(dead, servers)}${repair.running > 0 ? "; what is short is copied elsewhere meanwhile" : ""}`,
        ]),
    ...(replaced.length === 0
      ? []
      : [`${named(replaced, servers)} ${are(replaced.length)} out of service${replacedBy(replaced, servers)}`]),
    ...(broken.length === 0
      ? []
      : [
          `${named(broken, servers)} ${are(broken.length)} out of service: replace the disk and start with an empty directory`,
        ]),
    ...(silent.length === 0
      ? []
      : [`${named(silent, servers)} ${have(silent.length)} been silent for ${since(silent)}`]),
    ...(awaited.length === 0
      ? []
      : [
          `${named(awaited, servers)} ${have(awaited.length)} not registered since the master's start, ${since(awaited)} ago`,
        ]),
    ...(safeMode.active ? [`safe mode: ${safeMode.reason}`] : []),
    ...status.warnings,
  ];
}

function named(servers: readonly ServerStatus[], all: readonly ServerStatus[]): string {
  const repeated = repeatedLabels(all);
  const names = few(
    servers.map((server) =>
      repeated.has(server.label) ? `${showServer(server)}, volume ${server.volume.slice(0, 12)}` : showServer(server),
    ),
  );
  return servers.length === 1 ? `server ${names}` : `${servers.length} servers (${names})`;
}

/** Where a server of the same name runs the disk may have been replaced: then this one never comes. */
function replacedBy(gone: readonly ServerStatus[], all: readonly ServerStatus[]): string {
  const one = gone.find((server) => successorOf(server, all) !== undefined);
  return one === undefined ? "" : ` (if its disk was replaced: gfs decommission ${one.volume.slice(0, 12)} --force)`;
}

function successorOf({ label }: ServerStatus, all: readonly ServerStatus[]): ServerStatus | undefined {
  return label === "" ? undefined : all.find((other) => other.liveness === "live" && other.label === label);
}

/** Of several the longest silence. */
function since(servers: readonly ServerStatus[]): string {
  return formatDuration(Math.max(...servers.map(({ silentMs }) => silentMs)));
}

/** Whether a script that asks should be told that all is well. */
export function isWell(status: ClusterStatus): boolean {
  const { health, stopped, safeMode, dataDirs } = status;
  const writes = dataDirs.every(({ state }) => state === "in use");
  return (
    health === "healthy" &&
    stopped.mutations === undefined &&
    stopped.deletions === undefined &&
    !safeMode.active &&
    writes
  );
}

export function describeStatus(status: ClusterStatus): string {
  const alarms = alarmsOf(status);
  const more = alarms.length - alarmsMax;
  const shown = more > 1 ? alarms.slice(0, alarmsMax) : alarms;
  return [
    cut(verdictOf(status), 400),
    ...shown.map((alarm) => `! ${cut(showName(alarm), alarm.includes(toConfirm) ? 2_048 : lineCharsMax)}`),
    ...(more > 1 ? [`! and ${more} more: gfs status --json`] : []),
    factsOf(status),
    ...serversOf(status),
    ...chunksOf(status),
  ].join("\n");
}

function factsOf(status: ClusterStatus): string {
  const { chunks, repair, garbage, trash } = status;
  const states = [
    `${chunks.healthy} healthy`,
    ...(chunks.short > 0 ? [`${chunks.short} short`] : []),
    ...(chunks.lost > 0 ? [`${chunks.lost} lost`] : []),
    ...(chunks.pending > 0 ? [`${chunks.pending} pending`] : []),
    ...(chunks.open > 0 ? [`${chunks.open} open`] : []),
    ...(chunks.sealing > 0 ? [`${chunks.sealing} sealing`] : []),
    ...(chunks.misplaced > 0 ? [`${chunks.misplaced} not spread over racks as wanted`] : []),
  ];
  const security = status.secure
    ? "with a secret"
    : status.insecureBind
      ? "WITHOUT a secret, open to the network (--insecure)"
      : "without a secret, this machine only";
  const dirs = status.dataDirs.map((dir) => `${dir.path} (${dir.state})`).join(", ");
  return table([
    ["cluster", `${status.clusterId}, ${security}`],
    ["master", `gfs ${status.version}, up ${formatDuration(status.uptimeMs)}, epoch ${status.epoch.number}; ${dirs}`],
    [
      "files",
      `${status.files} in ${counted(status.directories, "directory", "directories")}, ${formatSize(status.bytes)}${asLastTold(status.openFiles)}; trash: ${counted(trash.entries, "entry", "entries")}, ${formatSize(trash.bytes)}`,
    ],
    ["metadata", `up to entry ${status.log.position} of the log; copies of it: ${copiesOf(status)}`],
    ["chunks", states.join(", ")],
    [
      "repair",
      `${repair.running} running, ${repair.queued} waiting, ${repair.done} (${formatSize(repair.doneBytes)}) done since the start`,
    ],
    ["garbage", `${counted(garbage.waiting, "replica")} waiting, ${garbage.deleted} deleted since the start`],
    [
      "clients",
      `${status.clients.length} connected, ${counted(status.sessions, "session")}, ${counted(status.drafts, "put")} in progress${keptPuts(status)}`,
    ],
  ]);
}

function keptPuts({ drafts, stopped }: ClusterStatus): string {
  return drafts === 0 || stopped.mutations === undefined ? "" : " (none is given up before gfs master confirm)";
}

/** On chunkservers: a master whose directory is lost comes back from them. */
function copiesOf({ metadataCopies: { wanted, copies } }: ClusterStatus): string {
  if (wanted === 0) return "none wanted (master.metadata_copies is 0)";
  const each = copies.map(({ label, behindMs, failure }) => {
    if (failure !== undefined) return `${label} failing`;
    if (behindMs === undefined) return `${label} being made`;
    return behindMs === 0 ? `${label} complete` : `${label} ${formatDuration(behindMs)} behind`;
  });
  const missing = wanted - copies.length;
  return [...each, ...(missing > 0 ? [`${missing} of ${wanted} to come`] : [])].join(", ");
}

function serversOf({ servers }: ClusterStatus): string[] {
  const lines = [serversTable(servers, serversMax), ...sharedDisks(servers, 2)];
  if (servers.length <= serversMax) return lines;
  const states = new Map<string, number>();
  for (const { liveness } of servers) states.set(liveness, (states.get(liveness) ?? 0) + 1);
  return [
    `${servers.length} servers: ${[...states].map(([state, count]) => `${count} ${state}`).join(", ")}`,
    ...lines,
  ];
}

function chunksOf({ shortChunks, chunks }: ClusterStatus): string[] {
  if (shortChunks.length === 0) return [];
  const rows = shortChunks
    .slice(0, chunksMax)
    .map((chunk) => [
      String(chunk.handle),
      `${chunk.healthy} of ${chunk.wanted}`,
      cut(showName(chunk.path), 80),
      cut(chunk.why, 100),
    ]);
  const total = Math.max(shortChunks.length, chunks.lost + chunks.short + chunks.sealing);
  const more = total - rows.length;
  return [table([["CHUNK", "REPLICAS", "FILE", "WHY"], ...rows]), ...(more > 0 ? [`and ${more} more: gfs fsck`] : [])];
}

function cut(text: string, max = lineCharsMax): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}
