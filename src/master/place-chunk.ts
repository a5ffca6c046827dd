/** Finds servers for a new chunk, and the handle it will have (DESIGN §2, §4.2). */
import { GfsError } from "../base/errors.ts";
import type { Whereabouts } from "../wire/control/common.ts";
import { chunkVersion, type VolumeId } from "../wire/ids.ts";
import type { MasterContext } from "./context.ts";
import { planHandles } from "./core/chunk-apply.ts";
import type { VolumeIndex } from "./core/chunk-table.ts";
import type { PlacedChunk } from "./core/decision.ts";
import { candidatesOf, place } from "./core/placement.ts";
import { findVolume, volumeAt } from "./core/volumes.ts";

export interface WantedChunk {
  readonly replicas: number;
  readonly minReplicas: number;
  readonly bytes: number;
  readonly from: Whereabouts;
  readonly excluded: ReadonlySet<VolumeIndex>;
  /** For the error's text. */
  readonly what: string;
}

const firstVersion = chunkVersion(1);

/** The handle is free only until something else is decided: the decision must follow without a wait. @throws GfsError("TooFewServers" | "Unavailable" | "NoSpace") */
export function placeChunk(ctx: MasterContext, wanted: WantedChunk): PlacedChunk {
  const { chosen } = place(candidatesOf(ctx.state.volumes), { ...wanted, use: "new", weights: ctx.limits });
  const { handles, reserveUpTo } = planHandles(ctx.state.chunks, 1, ctx.limits.handleBatch);
  const [handle] = handles;
  const chain = ctx.commands.addresses(chosen);
  if (handle === undefined || chain.length !== chosen.length)
    throw new GfsError("Bug", `Cannot place ${wanted.what}: a chosen server has no address`);
  // Equal servers take turns, until their heartbeats tell how busy they are.
  for (const member of chosen) volumeAt(ctx.state.volumes, member).placements++;
  return { placement: { handle, version: firstVersion, chain }, members: chosen, reserveUpTo };
}

/** Volumes that the client wants to be left out; unknown ones don't matter. */
export function volumeIndexes(ctx: MasterContext, volumes: readonly VolumeId[]): Set<VolumeIndex> {
  return new Set(volumes.flatMap((volume) => findVolume(ctx.state.volumes, volume)?.index ?? []));
}
