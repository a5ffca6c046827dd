/** Whom a chunkserver obeys (DESIGN §4.1): the newest start of its own cluster's master that it has seen. */
import { GfsError } from "../base/errors.ts";
import type { Caller } from "../net/control-server.ts";
import type { ClusterId, Epoch, VolumeId } from "../wire/ids.ts";
import type { Context } from "./context.ts";

interface Command {
  readonly clusterId: ClusterId;
  readonly epoch: Epoch;
  readonly volume: VolumeId;
}

/** @throws GfsError Denied | WrongCluster | ReplicaMissing (another volume) | EpochStale */
export async function obey({ store }: Context, command: Command, caller: Caller): Promise<void> {
  if (caller.role !== "master") throw new GfsError("Denied", `Cannot obey a ${caller.role}: only the master commands`);
  if (store.clusterId === undefined)
    throw new GfsError("Unavailable", `Cannot obey the master: volume ${store.volume} has not registered yet`);
  if (command.clusterId !== store.clusterId)
    throw new GfsError(
      "WrongCluster",
      `Cannot obey a master of cluster ${command.clusterId}: this is ${store.clusterId}`,
    );
  if (command.volume !== store.volume)
    throw new GfsError("ReplicaMissing", `Cannot obey a command for volume ${command.volume}: this is ${store.volume}`);
  await store.seeEpoch(command.epoch);
}
