/** An operator takes a server out of the cluster, or changes his mind (core/drain.ts). */
import { GfsError } from "../../base/errors.ts";
import { counted } from "../../config/units.ts";
import { chunkVersion } from "../../wire/ids.ts";
import type { decommission, drain, undrain } from "../../wire/control/drains.ts";
import type { LogRecord } from "../../wire/log-records.ts";
import { isHolder, replicasAt } from "./chunk-replicas.ts";
import type { ChunkView } from "./chunk-scan.ts";
import { chunkOf, handleAt, membersAt, stateAt, type VolumeIndex } from "./chunk-table.ts";
import type { ChunkHandle } from "../../wire/ids.ts";
import type { Decision, ReplyOf, RequestOf } from "./decision.ts";
import { findServer } from "./server-names.ts";
import type { MasterState } from "./state.ts";
import { isCounted, isGone, isUsable, nameOf, type Volume } from "./volumes.ts";

type Named<Message extends typeof drain | typeof undrain | typeof decommission> = Omit<RequestOf<Message>, "id">;

function marked(volume: Volume, mark: "none" | "draining" | "forgotten"): LogRecord {
  return { kind: "volume-marked", index: volume.index, mark };
}

/** @throws GfsError of `findServer` */
export function decideDrain(
  { volumes }: Pick<MasterState, "volumes">,
  { server }: Named<typeof drain>,
): Decision<ReplyOf<typeof drain>> {
  const found = findServer(volumes, server, "drain");
  const begun = found.mark === "none";
  const { volume, label } = found;
  return { records: begun ? [marked(found, "draining")] : [], reply: { volume, label, begun } };
}

/** @throws GfsError of `findServer` */
export function decideUndrain(
  { volumes }: Pick<MasterState, "volumes">,
  { server }: Named<typeof undrain>,
): Decision<ReplyOf<typeof undrain>> {
  const found = findServer(volumes, server, "undrain");
  const undrained = found.mark === "draining";
  const { volume, label } = found;
  return { records: undrained ? [marked(found, "none")] : [], reply: { volume, label, undrained } };
}

/** What forgetting a volume costs. */
export interface Cost {
  /** Chunks that nobody else could give back now. */
  lost: number;
  lostBytes: number;
  /** Chunks that have fewer replicas than wanted without it. */
  short: number;
  /** The first of the lost ones. */
  readonly first: { readonly handle: ChunkHandle; readonly bytes: number }[];
}

const firstMax = 100;

export function noCost(): Cost {
  return { lost: 0, lostBytes: 0, short: 0, first: [] };
}

/** Adds what the slots from `from` on and before `end` cost. Of a chunk that isn't sealed all that was appended or written is lost with the last of its chain. */
export function addCost(
  { chunks, volumes }: ChunkView,
  cost: Cost,
  of: { readonly volume: VolumeIndex; readonly from: number; readonly end: number },
): void {
  for (let slot = of.from; slot < of.end; slot++) {
    const state = stateAt(chunks, slot);
    if (state === undefined) continue;
    if (state !== "sealed") {
      const members = membersAt(chunks, slot);
      if (!members.includes(of.volume)) continue;
      if (members.every((member) => member === of.volume || isGone(volumes.byIndex[member])))
        addLost(cost, handleAt(chunks, slot), 0);
      else cost.short++;
      continue;
    }
    const replicas = replicasAt(chunks, slot);
    const held = replicas.find(({ volume }) => volume === of.volume);
    if (held === undefined || !(isHolder(held.health) || held.health === "unfinished")) continue;
    const others = replicas.filter(
      ({ volume, health }) => volume !== of.volume && isHolder(health) && isUsable(volumes.byIndex[volume]),
    );
    if (others.length === 0) addLost(cost, handleAt(chunks, slot), chunks.lengths.get(slot));
    else if (others.filter(({ volume }) => isCounted(volumes.byIndex[volume])).length < chunks.goals.get(slot))
      cost.short++;
  }
}

function addLost(cost: Cost, handle: ChunkHandle, bytes: number): void {
  cost.lost++;
  cost.lostBytes += bytes;
  if (cost.first.length < firstMax) cost.first.push({ handle, bytes });
}

/** What the master knows when it decides: `unsafe` why it is not safe to stop, or undefined; the cost, where it is forced; in how many ms it is dead if it stays silent. */
export interface Judged {
  readonly unsafe: string | undefined;
  readonly cost: Cost | undefined;
  readonly deadInMs: number;
}

/** Of one that is neither drained nor gone: what to do before it can be forgotten. */
function howOn({ liveness }: Volume, deadInMs: number): string {
  if (liveness !== "suspect") return "drain it first, or stop it";
  return `wait until it is dead (${Math.max(1, Math.ceil(deadInMs / 1_000))} s), or drain it first`;
}

/** Forgets a server. @throws GfsError("Denied") with the reason, GfsError of `findServer` */
export function decideDecommission(
  { volumes }: Pick<MasterState, "volumes">,
  request: Named<typeof decommission>,
  { unsafe, cost, deadInMs }: Judged,
): Decision<ReplyOf<typeof decommission>> {
  const found = findServer(volumes, request.server, "forget");
  const { volume, label } = found;
  const what = `Cannot forget ${nameOf(found)}`;
  if (unsafe !== undefined && !request.force) throw new GfsError("Denied", `${what}: ${unsafe}`);
  if (unsafe !== undefined && found.mark !== "draining" && !isGone(found))
    throw new GfsError("Denied", `${what}: it is ${found.liveness}; ${howOn(found, deadInMs)}`);
  const lost = unsafe === undefined ? 0 : (cost?.lost ?? Infinity);
  if (lost > request.lostMax)
    throw new GfsError(
      "Denied",
      `${what}: ${counted(lost, "chunk")} would be lost with it, and the loss of ${request.lostMax} was accepted`,
    );
  return { records: [marked(found, "forgotten")], reply: { volume, label, lost } };
}

/**
 * The end of a tail of which all members are forgotten: it is sealed at nothing, for no fence can ever be answered, and its file could neither be appended to nor removed. No records: it
 * is another one.
 */
export function decideTailEnd(
  { volumes, chunks }: Pick<MasterState, "volumes" | "chunks">,
  handle: ChunkHandle,
): LogRecord[] {
  const { members, state, version: before } = chunkOf(chunks, handle);
  if (members.some((member) => volumes.byIndex[member]?.mark !== "forgotten")) return [];
  const version = state === "open" ? chunkVersion(before + 1) : before;
  const begun: LogRecord[] = state === "open" ? [{ kind: "seal-begun", handle, version }] : [];
  const nothing = { length: 0, crc: 0, members: [], appendTable: [], modifiedMs: 0 };
  return [...begun, { kind: "chunk-sealed", handle, version, ...nothing }];
}
