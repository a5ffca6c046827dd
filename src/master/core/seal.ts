/**
 * The seal of one chunk (DESIGN §4.3, seal 1–5) as a state machine: `stepSeal` takes an event and the time, and says what to log and to
 * send. Every message may be lost, doubled, late or of unknown outcome; events that don't fit the phase are ignored, effects are repeated
 * until answered. Nothing durable lives here: after a restart of the master `resumeSeal` begins again with the fences, at the same version.
 */
import { unreachable } from "../../base/assert.ts";
import { chunkVersion } from "../../wire/ids.ts";
import type { FenceAnswer } from "../../wire/control/commands.ts";
import type { ChunkHandle, ChunkVersion } from "../../wire/ids.ts";
import type { VolumeIndex } from "./chunk-table.ts";
import { advanceSeal, backOff, fenceAgain } from "./seal-advance.ts";
import { fullHolders, holdsAll } from "./seal-target.ts";
import type {
  Failure,
  Held,
  SealEffect,
  SealEvent,
  SealLimits,
  SealMachine,
  SealParty,
  SealStep,
} from "./seal-types.ts";

export interface SealSubject {
  readonly handle: ChunkHandle;
  /** The chunk's own for `beginSeal`, the fence's for `resumeSeal`. */
  readonly version: ChunkVersion;
  readonly members: readonly VolumeIndex[];
  /** Members that are dead or retired now. */
  readonly gone: ReadonlySet<VolumeIndex>;
}

export interface SealTime {
  readonly nowMs: number;
  readonly limits: SealLimits;
}

/** Nobody is told before the record is durable: the first effect logs `seal-begun` at the next version. */
export function beginSeal(chunk: SealSubject, nowMs: number): SealStep {
  const version = chunkVersion(chunk.version + 1);
  const machine = newMachine({ ...chunk, version }, nowMs);
  return { machine, effects: [{ kind: "log-seal-begun", handle: chunk.handle, version }] };
}

/** Of a chunk that the log says is being sealed: fences again, at the same version. */
export function resumeSeal(chunk: SealSubject, time: SealTime): SealStep {
  const machine = newMachine(chunk, time.nowMs);
  return stepSeal(machine, { kind: "begun-durable", version: chunk.version }, time);
}

function newParty(volume: VolumeIndex, role: SealParty["role"]): SealParty {
  return {
    volume,
    role,
    gone: false,
    holds: undefined,
    sealed: undefined,
    fetching: undefined,
    refusing: false,
    excluded: undefined,
    inFlight: undefined,
    attempts: 0,
    retryAtMs: 0,
    finished: false,
  };
}

function newMachine(chunk: SealSubject, nowMs: number): SealMachine {
  return {
    handle: chunk.handle,
    version: chunk.version,
    parties: chunk.members.map((volume) => ({ ...newParty(volume, "member"), gone: chunk.gone.has(volume) })),
    phase: "beginning",
    beganMs: nowMs,
    quorumMs: undefined,
    loneMs: undefined,
    copyingMs: undefined,
    target: undefined,
    sealedMembers: [],
    sparesAskedMs: undefined,
    behind: undefined,
    waitsFor: "the log",
  };
}

/** The machine after the event, and what to do. The argument is left as it was. */
export function stepSeal(before: SealMachine, event: SealEvent, time: SealTime): SealStep {
  if (before.phase === "done") return { machine: before, effects: [] };
  const machine: SealMachine = { ...before, parties: before.parties.map((party) => ({ ...party })) };
  const effects: SealEffect[] = [];
  take(machine, event, { time, effects });
  advanceSeal(machine, time, effects);
  return { machine, effects };
}

interface Step {
  readonly time: SealTime;
  readonly effects: SealEffect[];
}

function take(machine: SealMachine, event: SealEvent, step: Step): void {
  switch (event.kind) {
    case "begun-durable":
      if (machine.phase === "beginning" && event.version === machine.version) machine.phase = "fencing";
      return;
    case "fence-answered": {
      const party = answering(machine, event, "fence");
      if (party !== undefined) takeFenceAnswer(machine, party, { ...step, answer: event.answer });
      return;
    }
    case "fence-failed": {
      const party = partyOf(machine, event.volume);
      // Of an earlier attempt, or overtaken by an answer: says nothing new.
      if (party?.inFlight !== "fence") return;
      const fits = answering(machine, event, "fence");
      if (fits !== undefined) takeFenceFailure(fits, event.failure, step.time);
      return;
    }
    case "fetch-done": {
      const party = fetchingParty(machine, event);
      if (party === undefined) return;
      party.inFlight = undefined;
      if (party.gone || party.excluded !== undefined) return;
      party.attempts = 0;
      party.holds = party.fetching;
      return;
    }
    case "fetch-failed": {
      const party = fetchingParty(machine, event);
      if (party === undefined) return;
      backOff(party, step.time);
      // Decided without it: what it says of others, their finishes will tell.
      if (machine.phase !== "fencing" && machine.phase !== "copying") return;
      const { failure, source } = event;
      if (failure.kind === "failed") takeFetchRefusal(machine, party, { ...step, failure, source });
      return;
    }
    case "spares-chosen":
      if (machine.phase !== "copying") return;
      for (const volume of event.volumes)
        if (partyOf(machine, volume) === undefined) machine.parties.push(newParty(volume, "spare"));
      if (event.volumes.length === 0) machine.waitsFor = `a spare server: ${event.why ?? "none can take a copy"}`;
      return;
    case "sealed-durable":
      if (machine.phase === "logging" && event.version === machine.version) machine.phase = "finishing";
      return;
    case "finish-done": {
      const party = answering(machine, event, "finish");
      if (party === undefined || party.finished) return;
      party.finished = true;
      step.effects.push({ kind: "finished", handle: machine.handle, volume: party.volume });
      return;
    }
    case "finish-failed": {
      if (partyOf(machine, event.volume)?.inFlight !== "finish") return;
      const party = answering(machine, event, "finish");
      if (party !== undefined && !party.finished)
        takeFinishFailure(machine, party, { ...step, failure: event.failure });
      return;
    }
    case "volume-gone": {
      const party = partyOf(machine, event.volume);
      if (party !== undefined) lose(machine, party);
      return;
    }
    case "volume-back": {
      const party = partyOf(machine, event.volume);
      if (party === undefined || !party.gone) return;
      Object.assign(party, { gone: false, refusing: false, inFlight: undefined, attempts: 0, retryAtMs: 0 });
      return;
    }
    case "confirmed":
      if (machine.behind !== undefined) acceptHigher(machine, machine.behind.version, step.effects);
      return;
    case "released":
      machine.phase = "done";
      step.effects.push({ kind: "done", handle: machine.handle });
      return;
    case "tick":
      return;
    default:
      unreachable(event);
  }
}

function partyOf(machine: SealMachine, volume: VolumeIndex): SealParty | undefined {
  return machine.parties.find((party) => party.volume === volume);
}

/** The party whose fetch in flight is the one told of; undefined for a late one. */
function fetchingParty(machine: SealMachine, told: Held & { readonly volume: VolumeIndex }): SealParty | undefined {
  const party = partyOf(machine, told.volume);
  if (party?.inFlight !== "fetch" || party.fetching === undefined) return undefined;
  return party.fetching.length === told.length && party.fetching.crc === told.crc ? party : undefined;
}

/** The party that an answer at the machine's version comes from, its message settled; undefined for a late one. */
function answering(
  machine: SealMachine,
  event: { readonly volume: VolumeIndex; readonly version: ChunkVersion },
  what: "fence" | "finish",
): SealParty | undefined {
  const fits =
    what === "fence" ? machine.phase === "fencing" || machine.phase === "copying" : machine.phase === "finishing";
  const party = partyOf(machine, event.volume);
  if (party === undefined || !fits || event.version !== machine.version) return undefined;
  if (party.inFlight === what) party.inFlight = undefined;
  return party.gone ? undefined : party;
}

function takeFenceAnswer(machine: SealMachine, party: SealParty, step: Step & { answer: FenceAnswer }): void {
  const { answer, time } = step;
  party.refusing = false;
  switch (answer.kind) {
    case "fenced":
      // A doubled answer to an earlier attempt must not take back what a fetch has added since.
      if (party.holds !== undefined) return;
      party.attempts = 0;
      party.holds = { length: answer.prepared, crc: answer.crc, appendTable: answer.appendTable };
      return;
    case "sealed":
      party.holds = { length: answer.length, crc: answer.crc, appendTable: undefined };
      if (party.sealed !== undefined) return;
      party.sealed = answer.dataVersion;
      becomeBehind(machine, party, { ...step, version: answer.dataVersion, knows: "is sealed" });
      return;
    case "refused":
      if (party.holds !== undefined) return;
      backOff(party, time);
      if (answer.promised > machine.version)
        becomeBehind(machine, party, { ...step, version: answer.promised, knows: "promised" });
      return;
    case "error":
      if (party.holds !== undefined) return;
      if (answer.error.code === "Corrupt") {
        // By its own word it has nothing to tell and never votes again: a seal that waited for it would never end.
        party.excluded = "corrupt";
        step.effects.push(badEffect(machine, party, answer.error.message));
        return;
      }
      takeFenceFailure(party, { kind: "failed", ...answer.error }, time);
      return;
    default:
      unreachable(answer);
  }
}

function takeFenceFailure(party: SealParty, failure: Failure, time: SealTime): void {
  backOff(party, time);
  party.refusing = failure.kind === "refused";
  // By its own word it will never vote again; anything else, and no answer at all, says nothing about what it holds.
  if (failure.kind === "failed" && (failure.code === "VolumeRetired" || failure.code === "DiskFailed"))
    party.gone = true;
}

/** Attempts to copy before another spare is asked. */
const copyAttemptsMax = 3;

function takeFetchRefusal(
  machine: SealMachine,
  party: SealParty,
  step: Step & {
    readonly failure: { readonly code: string; readonly message: string };
    readonly source: VolumeIndex | undefined;
  },
): void {
  const { effects, failure } = step;
  if (failure.code !== "Corrupt") {
    if (party.role === "spare" && party.attempts >= copyAttemptsMax) party.excluded = "copy failed";
    return;
  }
  const named = step.source === undefined ? undefined : partyOf(machine, step.source);
  if (named !== undefined) {
    blameSource(machine, named, { effects, why: failure.message });
    return;
  }
  if (party.role === "member") {
    party.excluded = "corrupt";
    effects.push(badEffect(machine, party, `its bytes do not continue to those of the others: ${failure.message}`));
    return;
  }
  // A spare had nothing of its own that could be wrong: it is its only source.
  const sources = machine.target === undefined ? [] : fullHolders(machine, machine.target);
  const [source] = sources;
  if (source === undefined || sources.length > 1) return;
  blameSource(machine, source, { effects, why: `a spare could not copy its bytes: ${failure.message}` });
}

function blameSource(
  machine: SealMachine,
  source: SealParty,
  { effects, why }: { readonly effects: SealEffect[]; readonly why: string },
): void {
  if (source.excluded !== undefined || source.gone) return;
  effects.push(badEffect(machine, source, why));
  reopenBlamed(machine);
  source.excluded = "corrupt";
  fenceAgain(machine);
}

/**
 * What members were blamed for beside a source that does not count any more: they are asked once more, and who is corrupt by its own word says so. What one told when it is sealed stays known.
 */
function reopenBlamed(machine: SealMachine): void {
  for (const party of machine.parties)
    if (party.role === "member" && party.excluded === "corrupt")
      Object.assign(party, { excluded: undefined, holds: undefined });
}

function takeFinishFailure(machine: SealMachine, party: SealParty, step: Step & { failure: Failure }): void {
  const { failure, effects } = step;
  backOff(party, step.time);
  if (failure.kind !== "failed") return;
  if (failure.code === "Corrupt" || failure.code === "ReplicaMissing") {
    party.excluded = "corrupt";
    effects.push(badEffect(machine, party, failure.message, failure.code === "Corrupt" ? "corrupt" : "missing"));
  }
  if (failure.code === "VolumeRetired" || failure.code === "DiskFailed") party.gone = true;
}

function badEffect(
  machine: SealMachine,
  party: SealParty,
  why: string,
  reason: "corrupt" | "missing" = "corrupt",
): SealEffect {
  return { kind: "bad", handle: machine.handle, volume: party.volume, reason, why };
}

/** Its answer is forgotten; what is not logged yet is decided anew among the others. */
function lose(machine: SealMachine, party: SealParty): void {
  party.gone = true;
  party.inFlight = undefined;
  if (machine.phase !== "fencing" && machine.phase !== "copying") return;
  const counted = party.holds !== undefined;
  const { target } = machine;
  const wasSource = counted && party.excluded === undefined && (target === undefined || holdsAll(party, target));
  Object.assign(party, { holds: undefined, sealed: undefined });
  if (wasSource) reopenBlamed(machine);
  if (counted && machine.phase === "copying") fenceAgain(machine);
}

function becomeBehind(
  machine: SealMachine,
  party: SealParty,
  step: Step & { readonly version: ChunkVersion; readonly knows: string },
): void {
  if (machine.behind !== undefined && machine.behind.version >= step.version) return;
  const why = `chunk ${machine.handle} ${step.knows} at version ${step.version} on a server, and the log has only begun to seal it at ${machine.version}`;
  machine.behind = { volume: party.volume, version: step.version, why };
  step.effects.push({ kind: "behind", handle: machine.handle, volume: party.volume, version: step.version, why });
}

/**
 * An operator accepted it: the fence begins anew above everything that was promised. Or at the version at which a replica is sealed, where that is the highest: it can't be
 * sealed at another one any more.
 */
function acceptHigher(machine: SealMachine, higher: ChunkVersion, effects: SealEffect[]): void {
  const begun = machine.version;
  const highest = Math.max(begun, higher);
  const isSealedThere = machine.parties.some(({ sealed }) => sealed === highest);
  machine.version = chunkVersion(isSealedThere ? highest : highest + 1);
  machine.behind = undefined;
  fenceAgain(machine);
  for (const party of machine.parties) {
    party.inFlight = undefined;
    party.retryAtMs = 0;
    // What was sealed stays known, so that its answer does not stop us again.
    if (party.sealed === undefined) party.holds = undefined;
  }
  if (machine.version === begun) return;
  machine.phase = "beginning";
  effects.push({ kind: "log-seal-begun", handle: machine.handle, version: machine.version });
}
