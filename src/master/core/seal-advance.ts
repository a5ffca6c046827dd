/** What a seal machine does next (DESIGN §4.3 seal 2–5), after its event was taken: messages to send, the length to decide, the record to log. */
import { assert, defined } from "../../base/assert.ts";
import { are, counted } from "../../config/units.ts";
import type { AppendTable } from "../../wire/control/common.ts";
import type { VolumeIndex } from "./chunk-table.ts";
import {
  answered,
  chooseTarget,
  fullHolders,
  holdersNeeded,
  holdsAll,
  members,
  respondersNeeded,
} from "./seal-target.ts";
import type { Held, SealEffect, SealLimits, SealMachine, SealParty } from "./seal-types.ts";

interface Time {
  readonly nowMs: number;
  readonly limits: SealLimits;
}

/** The next attempt at this party waits, longer each time, at most `fenceMs`. */
export function backOff(party: SealParty, { nowMs, limits }: Time): void {
  party.inFlight = undefined;
  party.attempts++;
  const waitMs = Math.max(1, limits.fenceAfterQuorumMs) * 2 ** Math.min(10, party.attempts - 1);
  party.retryAtMs = nowMs + Math.min(limits.fenceMs, waitMs);
}

export function advanceSeal(machine: SealMachine, time: Time, effects: SealEffect[]): void {
  if (machine.behind !== undefined) {
    machine.waitsFor = `gfs master confirm: ${machine.behind.why}`;
    return;
  }
  if (machine.phase === "fencing") fence(machine, time, effects);
  if (machine.phase === "copying") copy(machine, time, effects);
  if (machine.phase === "finishing") finish(machine, time, effects);
}

function due(party: SealParty, nowMs: number): boolean {
  return !party.gone && party.excluded === undefined && party.inFlight === undefined && nowMs >= party.retryAtMs;
}

function sendFences(machine: SealMachine, time: Time, effects: SealEffect[]): void {
  for (const party of members(machine)) {
    if (party.holds !== undefined || !due(party, time.nowMs)) continue;
    party.inFlight = "fence";
    effects.push({ kind: "send-fence", handle: machine.handle, version: machine.version, volume: party.volume });
  }
}

function fence(machine: SealMachine, time: Time, effects: SealEffect[]): void {
  sendFences(machine, time, effects);
  const { nowMs, limits } = time;
  const count = answered(machine).filter((party) => party.role === "member").length;
  const silent = members(machine).filter((party) => party.holds === undefined && party.excluded === undefined);
  // Nobody listens there, or the server is dead: it can't answer. No answer in time is no such proof.
  const awaited = silent.filter((party) => !party.gone && !party.refusing);
  if (count >= respondersNeeded(machine, limits)) {
    machine.loneMs = undefined;
    machine.quorumMs ??= nowMs;
    if (awaited.length > 0 && nowMs < machine.quorumMs + limits.fenceAfterQuorumMs) {
      machine.waitsFor = `${counted(awaited.length, "more member")} to answer the fence`;
      return;
    }
  } else {
    machine.quorumMs = undefined;
    if (!loneSuffices(machine, { count, silent, time })) return;
  }
  const choice = chooseTarget(machine);
  if (choice === undefined) return;
  const since = machine.quorumMs ?? nowMs;
  if (choice.disputed && silent.length > 0 && nowMs < since + limits.loneSealMs) {
    machine.waitsFor = "another member to answer: those that did disagree about the checksum";
    return;
  }
  blame(machine, choice.corrupt, effects);
  machine.target = choice.target;
  machine.phase = "copying";
  machine.copyingMs = nowMs;
}

/** A single member left alive suffices when it was so for `loneSealMs` (and then only with a spare: `holdersNeeded`). */
function loneSuffices(
  machine: SealMachine,
  state: { readonly count: number; readonly silent: readonly SealParty[]; readonly time: Time },
): boolean {
  const { count, silent, time } = state;
  const alive = silent.filter((party) => !party.gone).length;
  if (count !== 1 || alive > 0) {
    machine.loneMs = undefined;
    const all = members(machine).length;
    const dead = members(machine).filter((party) => party.gone).length;
    machine.waitsFor =
      dead === all
        ? all === 1
          ? "its only server, which is dead or retired"
          : `any of its ${all} servers: all are dead or retired`
        : `answers to the fence: ${count} of ${respondersNeeded(machine, time.limits)} needed, ${dead} of ${counted(all, "server")} ${are(dead)} dead`;
    return false;
  }
  machine.loneMs ??= time.nowMs;
  machine.waitsFor = `a second server: a single one of ${members(machine).length} is left alive`;
  return time.nowMs >= machine.loneMs + time.limits.loneSealMs;
}

function blame(machine: SealMachine, corrupt: readonly SealParty[], effects: SealEffect[]): void {
  for (const party of corrupt) {
    party.excluded = "corrupt";
    const why = "its bytes have another checksum than those of the other members, at the same length";
    effects.push({ kind: "bad", handle: machine.handle, volume: party.volume, reason: "corrupt", why });
  }
}

function copy(machine: SealMachine, time: Time, effects: SealEffect[]): void {
  const { nowMs, limits } = time;
  // A member that answers only now may know a longer prefix, or settle a dispute.
  sendFences(machine, time, effects);
  const choice = chooseTarget(machine);
  if (choice === undefined) {
    fenceAgain(machine);
    return;
  }
  blame(machine, choice.corrupt, effects);
  const { target } = choice;
  machine.target = target;
  const full = fullHolders(machine, target);
  const needed = holdersNeeded(machine, target);
  const lagging = answered(machine).filter((party) => party.role === "member" && !holdsAll(party, target));
  const spares = machine.parties.filter(
    (party) => party.role === "spare" && !party.gone && party.excluded === undefined && !holdsAll(party, target),
  );
  const copyUntilMs = defined(machine.copyingMs, "the time since when it copies") + limits.fenceMs;
  if (full.length >= needed && (lagging.length === 0 || nowMs >= copyUntilMs)) {
    logSealed(machine, { target, full }, effects);
    return;
  }
  const holding = { ...target, appendTable: tableFor(machine, target) };
  const sources = full.map((party) => party.volume);
  for (const party of [...lagging, ...(full.length < needed ? spares : [])])
    sendFetch(machine, party, { holding, sources, nowMs, effects });
  machine.waitsFor =
    full.length < needed ? `a second whole copy of ${target.length} bytes` : "members to copy the tail";
  const hopeful = lagging.filter((party) => party.attempts === 0).length + spares.length;
  if (full.length + hopeful < needed) askForSpares(machine, needed - full.length - hopeful, { time, effects });
}

function sendFetch(
  machine: SealMachine,
  party: SealParty,
  order: {
    holding: Held & { readonly appendTable: AppendTable };
    sources: readonly VolumeIndex[];
    nowMs: number;
    effects: SealEffect[];
  },
): void {
  if (!due(party, order.nowMs)) return;
  const { holding, sources } = order;
  Object.assign(party, { inFlight: "fetch", fetching: holding });
  const { handle, version } = machine;
  order.effects.push({ kind: "send-fetch", handle, version, volume: party.volume, sources, ...holding });
}

function askForSpares(
  machine: SealMachine,
  count: number,
  { time, effects }: { readonly time: Time; readonly effects: SealEffect[] },
): void {
  if (machine.sparesAskedMs !== undefined && time.nowMs < machine.sparesAskedMs + time.limits.fenceMs) return;
  machine.sparesAskedMs = time.nowMs;
  const excluded = machine.parties.map((party) => party.volume);
  effects.push({ kind: "choose-spares", handle: machine.handle, count, excluded });
}

function logSealed(
  machine: SealMachine,
  seal: { readonly target: Held; readonly full: readonly SealParty[] },
  effects: SealEffect[],
): void {
  machine.phase = "logging";
  machine.waitsFor = "the log";
  machine.sealedMembers = seal.full.map((party) => party.volume);
  effects.push({
    kind: "log-chunk-sealed",
    handle: machine.handle,
    version: machine.version,
    length: seal.target.length,
    crc: seal.target.crc,
    members: machine.sealedMembers,
    appendTable: tableFor(machine, seal.target),
  });
}

/**
 * The append table of exactly the target's bytes: every holder has it, from its fence or with the bytes that it fetched. A shorter one would have a record
 * appended again whose bytes are sealed, a longer one promise records that are not there. Only where sealed replicas decide (accepted by an operator) may
 * nobody have it: the longest that is not too long is next best then.
 */
function tableFor(machine: SealMachine, target: Held): AppendTable {
  for (const { holds } of fullHolders(machine, target)) if (holds?.appendTable !== undefined) return holds.appendTable;
  const parties = answered(machine);
  assert(
    parties.some((party) => party.sealed !== undefined),
    `nobody has the append table of the ${target.length} bytes of chunk ${machine.handle}`,
  );
  const told = parties.flatMap(({ holds }) => (holds?.appendTable === undefined ? [] : [holds]));
  const fitting = told.filter((each) => each.length <= target.length).toSorted((a, b) => b.length - a.length);
  return fitting[0]?.appendTable ?? [];
}

/** Until every named member confirmed it. One that is gone is finished when it comes back, by its report. */
function finish(machine: SealMachine, { nowMs }: Time, effects: SealEffect[]): void {
  const target = defined(machine.target, "what was sealed");
  const open = machine.parties.filter(
    (party) =>
      machine.sealedMembers.includes(party.volume) && !party.finished && !party.gone && party.excluded === undefined,
  );
  // An empty chunk's extent is dropped with its record: nothing is left to finish.
  if (open.length === 0 || target.length === 0) {
    machine.phase = "done";
    machine.waitsFor = "";
    effects.push({ kind: "done", handle: machine.handle });
    return;
  }
  machine.waitsFor = `${open.length} members to confirm the seal`;
  for (const party of open) {
    if (!due(party, nowMs)) continue;
    party.inFlight = "finish";
    const { handle, version } = machine;
    effects.push({ kind: "send-finish", handle, version, volume: party.volume, ...target });
  }
}

/** What is not logged yet is decided anew. */
export function fenceAgain(machine: SealMachine): void {
  Object.assign(machine, { phase: "fencing", target: undefined, copyingMs: undefined, quorumMs: undefined });
}

/** When, after `nowMs`, the machine wants its next `tick`; undefined: only an answer can move it. */
export function nextSealTickMs(machine: SealMachine, { nowMs, limits }: Time): number | undefined {
  if (machine.behind !== undefined || machine.phase === "done") return undefined;
  const times: number[] = [];
  for (const party of machine.parties)
    if (!party.gone && party.excluded === undefined && party.inFlight === undefined && wantsMessage(machine, party))
      times.push(party.retryAtMs);
  if (machine.phase === "fencing") {
    if (machine.quorumMs !== undefined) times.push(machine.quorumMs + limits.fenceAfterQuorumMs);
    if (machine.quorumMs !== undefined) times.push(machine.quorumMs + limits.loneSealMs);
    if (machine.loneMs !== undefined) times.push(machine.loneMs + limits.loneSealMs);
  }
  if (machine.phase === "copying") {
    times.push((machine.copyingMs ?? 0) + limits.fenceMs);
    if (machine.sparesAskedMs !== undefined) times.push(machine.sparesAskedMs + limits.fenceMs);
  }
  const ahead = times.filter((time) => time > nowMs);
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}

function wantsMessage(machine: SealMachine, party: SealParty): boolean {
  if (machine.phase === "fencing") return party.role === "member" && party.holds === undefined;
  if (machine.phase === "finishing") return machine.sealedMembers.includes(party.volume) && !party.finished;
  if (machine.phase !== "copying") return false;
  if (party.role === "member" && party.holds === undefined) return true;
  return machine.target !== undefined && !holdsAll(party, machine.target);
}
