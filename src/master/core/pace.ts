/**
 * Which servers are slow (DESIGN §4.5): each is compared with the median of the others, by what all of them say of themselves. Slow is soft, and a
 * preference alone: such a server is chosen last, for new chunks and by readers, and counts as live in all else.
 *
 * A server becomes slow, and quick again, only when several rounds in a row say so. One that is slow and therefore has too little to do to be judged is
 * forgiven after a while, so that it can show how it is now; each time that it is slow again after that, later.
 */
import type { OperationTimes } from "../../wire/control/chunkservers.ts";

/** Of one server, as of its last heartbeat and the last round. */
export interface Pace {
  times: OperationTimes | undefined;
  /** Why it is slow; undefined: it is not. */
  slow: string | undefined;
  /** Rounds in a row against the present verdict. */
  against: number;
  /** Rounds in a row in which a slow one did too little to be judged. */
  idle: number;
  /** Times in a row that it was forgiven. */
  forgiven: number;
}

type Operation = keyof OperationTimes;

const operations = ["sync", "read"] as const satisfies readonly Operation[];
const says: Readonly<Record<Operation, string>> = { sync: "a sync takes", read: "a read takes" };
/** Compared are only operations of which a server has done so many lately, or that took it so long in all … */
const countMin = 8;
const sumMsMin = 1_000;
/** … where so many others have too. */
const peersMin = 2;
/** Slow is at least so many times as slow as the others, and so much slower. */
const slowFactor = 4;
const slowByMs = 20;
/** Between the two nothing changes. */
const quickFactor = 2;
const quickByMs = 10;
const roundsToSlow = 4;
const roundsToQuick = 6;
const idleRoundsMax = 24;
const forgivenMax = 4;

export function newPace(): Pace {
  return { times: undefined, slow: undefined, against: 0, idle: 0, forgiven: 0 };
}

/** One round, to be made once a heartbeat interval, of live servers alone. Gives those whose verdict changed. */
export function judgePaces<Server extends { readonly pace: Pace }>(servers: readonly Server[]): Server[] {
  const peers = new Map(operations.map((operation) => [operation, sortedTimes(servers, operation)]));
  return servers.filter(({ pace }) => {
    const compared = operations.flatMap((operation) => compare(pace, operation, peers.get(operation) ?? []) ?? []);
    return pace.slow === undefined ? becomesSlow(pace, compared) : becomesQuick(pace, compared);
  });
}

interface Compared {
  readonly operation: Operation;
  readonly ms: number;
  readonly othersMs: number;
}

function becomesSlow(pace: Pace, compared: readonly Compared[]): boolean {
  const found = compared.find(({ ms, othersMs }) => ms >= slowFactor * othersMs && ms >= othersMs + slowByMs);
  pace.against = found === undefined ? 0 : pace.against + 1;
  if (found === undefined || pace.against < roundsToSlow) return false;
  pace.slow = `${says[found.operation]} ${round(found.ms)} ms, at the others ${round(found.othersMs)} ms`;
  pace.against = 0;
  pace.idle = 0;
  return true;
}

function becomesQuick(pace: Pace, compared: readonly Compared[]): boolean {
  const stillSlow = compared.some(({ ms, othersMs }) => ms > quickFactor * othersMs && ms > othersMs + quickByMs);
  pace.against = stillSlow || compared.length === 0 ? 0 : pace.against + 1;
  pace.idle = compared.length === 0 ? pace.idle + 1 : 0;
  const quick = pace.against >= roundsToQuick;
  if (!quick && pace.idle < idleRoundsMax * 2 ** pace.forgiven) return false;
  pace.forgiven = quick ? 0 : Math.min(forgivenMax, pace.forgiven + 1);
  pace.slow = undefined;
  pace.against = 0;
  return true;
}

function sortedTimes(servers: readonly { readonly pace: Pace }[], operation: Operation): number[] {
  const times = servers.flatMap(({ pace }) => timeOf(pace, operation) ?? []);
  return times.sort((a, b) => a - b);
}

function timeOf({ times }: Pace, operation: Operation): number | undefined {
  const time = times?.[operation];
  const enough = time !== undefined && (time.count >= countMin || time.count * time.ms >= sumMsMin);
  return enough ? time.ms : undefined;
}

/** With the median of the others, the lower of two; `sorted` has its own time too. */
function compare(pace: Pace, operation: Operation, sorted: readonly number[]): Compared | undefined {
  const ms = timeOf(pace, operation);
  if (ms === undefined || sorted.length - 1 < peersMin) return undefined;
  const middle = Math.floor((sorted.length - 2) / 2);
  const own = sorted.indexOf(ms);
  return { operation, ms, othersMs: sorted[own <= middle ? middle + 1 : middle] ?? 0 };
}

function round(ms: number): string {
  return ms < 10 ? ms.toFixed(1) : String(Math.round(ms));
}
