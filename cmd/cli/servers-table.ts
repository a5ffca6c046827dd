/** Servers for people: one row each, and the worst first where only some can be shown. */
import { formatDuration, formatSize } from "../../src/config/units.ts";
import type { ServerStatus } from "../../src/wire/control/namespace.ts";
import { counted, hasRegistered, showAddress, showName, showServer, table } from "./output.ts";

export const noServer = "no chunkserver has registered yet (start one: gfs chunk --help)";

/** What of a server an operator looks at first: lower is worse. */
function rankOf(server: ServerStatus): number {
  const { liveness, slow, full, draining } = server;
  if (liveness !== "live") return ["dead", "retired", "suspect"].indexOf(liveness);
  if (slow !== undefined || full === true) return 3;
  return draining === true ? 4 : 5;
}

/** The worst first, the fullest first among those that are well. */
export function worstFirst(servers: readonly ServerStatus[]): ServerStatus[] {
  return servers.toSorted((a, b) => rankOf(a) - rankOf(b) || usedShare(b) - usedShare(a));
}

/** From 0 to 1; 1 where there is no space at all. */
function usedShare({ totalBytes, freeBytes }: ServerStatus): number {
  return totalBytes > 0 ? 1 - freeBytes / totalBytes : 1;
}

/** Of its space: `-` where it is not known, as of one that has yet to register, or that is out of service. */
function spaceText(server: ServerStatus, text: (server: ServerStatus) => string): string {
  return server.totalBytes === 0 ? "-" : text(server);
}

/** `live`, `not registered yet`, `dead, silent for 2 min 5 s`, `live, draining` … */
export function stateText(server: ServerStatus): string {
  const { liveness, silentMs, retiredReason, draining, slow, full } = server;
  const live = liveness === "live" ? `${slow === undefined ? "" : ", slow"}${full === true ? ", full" : ""}` : "";
  const mark = live + (draining === true ? ", draining" : "");
  if (liveness === "retired") return `retired: ${retiredReason ?? "its disk failed"}${mark}`;
  // It was not heard of before the master's start: that is no silence.
  if (liveness === "suspect" && !hasRegistered(server)) return `not registered yet${mark}`;
  return (liveness === "live" ? "live" : `${liveness}, silent for ${formatDuration(silentMs)}`) + mark;
}

/** Of what makes data durable: a sync. */
function latencyText({ times }: ServerStatus): string {
  const sync = times?.sync;
  return sync === undefined ? "-" : `${sync.ms < 10 ? sync.ms.toFixed(1) : Math.round(sync.ms)} ms`;
}

/** How long ago the oldest of what it holds was read and checked; before the first round, how far that is. */
function scrubText({ scrub, lastHeartbeatMs, silentMs }: ServerStatus): string {
  if (scrub === undefined || scrub.everyMs === 0) return "-";
  const nowMs = lastHeartbeatMs + silentMs;
  if (scrub.oldestMs !== undefined) return `${formatDuration(Math.max(0, nowMs - scrub.oldestMs))} ago`;
  return scrub.totalBytes === 0 ? "-" : `${Math.floor((100 * scrub.doneBytes) / scrub.totalBytes)} % yet`;
}

interface Column {
  readonly title: string;
  /** `repeated`: labels that several servers have. */
  readonly cell: (server: ServerStatus, repeated: ReadonlySet<string>) => string;
  readonly right?: boolean;
  /** Of what only some releases or servers tell: left out where no server does. */
  readonly optional?: boolean;
}

const columns: readonly Column[] = [
  { title: "SERVER", cell: showServer },
  {
    title: "VOLUME",
    cell: ({ volume, label }, repeated) => (repeated.has(label) ? volume.slice(0, 12) : "-"),
    optional: true,
  },
  { title: "ADDRESS", cell: showAddress },
  {
    title: "LOCATION",
    cell: ({ location }) => (location === undefined ? "-" : `${location.x},${location.y}`),
    optional: true,
  },
  { title: "RACK", cell: ({ rack }) => (rack === undefined ? "-" : showName(rack)), optional: true },
  { title: "USED", cell: (server) => spaceText(server, ({ usedBytes }) => formatSize(usedBytes)), right: true },
  { title: "FREE", cell: (server) => spaceText(server, ({ freeBytes }) => formatSize(freeBytes)), right: true },
  { title: "FULL", cell: (server) => spaceText(server, () => `${Math.round(usedShare(server) * 100)} %`), right: true },
  { title: "CHUNKS", cell: ({ replicas }) => String(replicas), right: true },
  { title: "LOAD", cell: ({ streams }) => String(streams), right: true },
  { title: "LATENCY", cell: latencyText, right: true, optional: true },
  { title: "SCRUBBED", cell: scrubText, right: true, optional: true },
  { title: "HEARD", cell: (server) => (hasRegistered(server) ? formatDuration(server.silentMs) : "-"), right: true },
  { title: "STATE", cell: stateText },
];

/** `max`: the worst so many; the rest is counted. */
export function serversTable(servers: readonly ServerStatus[], max = Number.POSITIVE_INFINITY): string {
  if (servers.length === 0) return noServer;
  const shown = servers.length > max ? worstFirst(servers).slice(0, max) : servers;
  const repeated = repeatedLabels(servers);
  const used = columns.filter(
    ({ cell, optional }) => optional !== true || servers.some((each) => cell(each, repeated) !== "-"),
  );
  const right = used.flatMap((column, i) => (column.right === true ? [i] : []));
  const rows = table(
    [used.map(({ title }) => title), ...shown.map((each) => used.map(({ cell }) => cell(each, repeated)))],
    right,
  );
  const left = servers.length - shown.length;
  return left === 0 ? rows : `${rows}\nand ${left} more, none in a worse state: gfs servers`;
}

/** Of a disk that was replaced, mostly: only their volume ids tell them apart. */
export function repeatedLabels(servers: readonly ServerStatus[]): Set<string> {
  const seen = new Set<string>();
  const repeated = new Set<string>();
  for (const { label } of servers) {
    if (label !== "" && seen.has(label)) repeated.add(label);
    seen.add(label);
  }
  return repeated;
}

/**
 * Who lies on one disk with others: their space is the same, and so is their loss. Of one that is gone nobody knows where its directory is now; its successor lies on the disk that
 * it had.
 */
export function sharedDisks(servers: readonly ServerStatus[], max = Number.POSITIVE_INFINITY): string[] {
  const sharing = new Map<string, string[]>();
  for (const server of servers) {
    const { fileSystem, liveness } = server;
    if (fileSystem === undefined || (liveness !== "live" && liveness !== "suspect")) continue;
    sharing.set(fileSystem, [...(sharing.get(fileSystem) ?? []), showServer(server)]);
  }
  const disks = [...sharing.values()].filter(({ length }) => length > 1);
  const lines = disks.slice(0, max).map((labels) => `on one disk, whose space they share: ${few(labels)}`);
  return disks.length > max ? [...lines, `and ${counted(disks.length - max, "more disk")} that servers share`] : lines;
}

const fewMax = 5;

/** `a, b, c and 7 more` */
export function few(names: readonly string[]): string {
  const left = names.length - fewMax;
  return left <= 1 ? names.join(", ") : `${names.slice(0, fewMax).join(", ")} and ${left} more`;
}
