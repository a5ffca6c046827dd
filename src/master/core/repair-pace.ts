/**
 * How much is copied at a time: clones and bytes per second, of each server and of the cluster. Time is an argument.
 *
 * A clone is paid for when it begins: its bytes are a debt of both its servers, and of the cluster, that wanes at the rate of each limit; a server in debt begins no other. So
 * a clone runs at the full rate of its servers and the next one waits, and over any time no more is copied than the limits allow, whatever the sizes of the chunks. The
 * target is told the rate as well, so that what was paid for in advance does not come in one burst.
 */
import type { VolumeIndex } from "./chunk-table.ts";

/** Rates in bytes per second; 0: no limit. Of a server both what it sends and what it takes count. */
export interface PaceLimits {
  readonly streams: number;
  readonly streamsPerServer: number;
  readonly rate: number;
  readonly serverRate: number;
}

interface Debt {
  bytes: number;
  atMs: number;
}

interface ServerPace {
  streams: number;
  readonly debt: Debt;
  /** Bytes that it copied lately, halved every `workHalfMs`: who did less is chosen. */
  readonly work: Debt;
}

export interface RepairPace {
  streams: number;
  readonly debt: Debt;
  /** Bytes of clones that ended lately, halved every `rateHalfMs`. */
  readonly copied: Debt;
  readonly servers: Map<VolumeIndex, ServerPace>;
}

export interface Transfer {
  readonly source: VolumeIndex;
  readonly target: VolumeIndex;
  readonly bytes: number;
}

const workHalfMs = 60_000;
const rateHalfMs = 15_000;
/** What a limit that was not used for a while gives at once: as much as it allows in this time. */
const savedMs = 500;

export function createRepairPace(): RepairPace {
  return { streams: 0, debt: { bytes: 0, atMs: 0 }, copied: { bytes: 0, atMs: 0 }, servers: new Map() };
}

function serverPace(pace: RepairPace, volume: VolumeIndex): ServerPace {
  let server = pace.servers.get(volume);
  if (server === undefined) {
    server = { streams: 0, debt: { bytes: 0, atMs: 0 }, work: { bytes: 0, atMs: 0 } };
    pace.servers.set(volume, server);
  }
  return server;
}

function owed(debt: Debt, rate: number, nowMs: number): number {
  if (rate === 0) return 0;
  return Math.max(-rate * (savedMs / 1_000), debt.bytes - (rate * Math.max(0, nowMs - debt.atMs)) / 1_000);
}

function owe(debt: Debt, bytes: number, { rate, nowMs }: { rate: number; nowMs: number }): void {
  debt.bytes = owed(debt, rate, nowMs) + bytes;
  debt.atMs = nowMs;
}

/** Whether the cluster's limits let another clone begin. */
export function mayBegin(pace: RepairPace, limits: PaceLimits, nowMs: number): boolean {
  return pace.streams < limits.streams && owed(pace.debt, limits.rate, nowMs) <= 0;
}

/** Whether the server's limits let it take part in another clone. */
export function hasRoom(pace: RepairPace, volume: VolumeIndex, of: { limits: PaceLimits; nowMs: number }): boolean {
  const server = pace.servers.get(volume);
  if (server === undefined) return of.limits.streamsPerServer > 0;
  return server.streams < of.limits.streamsPerServer && owed(server.debt, of.limits.serverRate, of.nowMs) <= 0;
}

/** What it copied lately, in bytes. */
export function workOf(pace: RepairPace, volume: VolumeIndex, nowMs: number): number {
  const work = pace.servers.get(volume)?.work;
  return work === undefined ? 0 : faded(work, workHalfMs, nowMs);
}

function faded({ bytes, atMs }: Debt, halfMs: number, nowMs: number): number {
  return bytes * 0.5 ** (Math.max(0, nowMs - atMs) / halfMs);
}

/** What clones copied lately, in bytes per second; 0 once it is long ago. */
export function copyRate(pace: RepairPace, nowMs: number): number {
  const rate = (faded(pace.copied, rateHalfMs, nowMs) * Math.LN2 * 1_000) / rateHalfMs;
  return rate < 1 ? 0 : rate;
}

/** The rate for one clone, in bytes per second; undefined: none. */
export function rateOfOne({ rate, serverRate }: PaceLimits): number | undefined {
  const rates = [rate, serverRate].filter((each) => each > 0);
  return rates.length === 0 ? undefined : Math.min(...rates);
}

export function beginTransfer(
  pace: RepairPace,
  { source, target, bytes }: Transfer,
  { limits, nowMs }: { limits: PaceLimits; nowMs: number },
): void {
  pace.streams++;
  owe(pace.debt, bytes, { rate: limits.rate, nowMs });
  for (const volume of [source, target]) {
    const server = serverPace(pace, volume);
    server.streams++;
    owe(server.debt, bytes, { rate: limits.serverRate, nowMs });
    server.work.bytes = workOf(pace, volume, nowMs) + bytes;
    server.work.atMs = nowMs;
  }
}

/** `unused`: bytes that were paid for, and not copied. */
export function endTransfer(
  pace: RepairPace,
  { source, target, bytes }: Transfer,
  { unused, limits, nowMs }: { unused: number; limits: PaceLimits; nowMs: number },
): void {
  pace.streams--;
  owe(pace.debt, -unused, { rate: limits.rate, nowMs });
  pace.copied.bytes = faded(pace.copied, rateHalfMs, nowMs) + bytes - unused;
  pace.copied.atMs = nowMs;
  for (const volume of [source, target]) {
    const server = serverPace(pace, volume);
    server.streams--;
    owe(server.debt, -unused, { rate: limits.serverRate, nowMs });
    server.work.bytes = Math.max(0, workOf(pace, volume, nowMs) - unused);
    server.work.atMs = nowMs;
  }
}
