/** A simulated master with fake chunkservers, and puts of one chunk to it. */
import { draftCommit, draftCreate } from "../../../src/wire/control/files.ts";
import type { InodeId } from "../../../src/wire/ids.ts";
import { MasterInSim } from "./master-in-sim.ts";

export function started(
  seed: number,
  servers = 0,
  changes: ConstructorParameters<typeof MasterInSim>[1] = {},
): MasterInSim {
  const cluster = new MasterInSim(seed, changes);
  cluster.start();
  for (let i = 0; i < servers; i++) cluster.addServer();
  return cluster;
}

/** A draft with one chunk, and what commits it. */
export function beginPut(cluster: MasterInSim, path: string, overwrite = false) {
  const target = { kind: "put" as const, path, overwrite };
  const { draft, placement } = cluster.call(draftCreate, { id: cluster.nextId(), target, firstChunkBytes: 1_000 });
  if (placement === undefined) throw new Error("no placement");
  const { handle, version, chain } = placement;
  const volumes = chain.map(({ volume }) => volume);
  const chunks = [{ handle, version, length: 1_000, crc: 7, volumes }];
  return {
    handle,
    version,
    volumes,
    commit: () => cluster.call(draftCommit, { id: cluster.nextId(), draft, chunks }).inode,
  };
}

export function putFile(cluster: MasterInSim, path: string, overwrite = false): InodeId {
  return beginPut(cluster, path, overwrite).commit();
}
