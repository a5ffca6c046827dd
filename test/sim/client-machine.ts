import { GfsClient } from "../../src/client/gfs-client.ts";
import type { World } from "../../src/io.ts";
import type { Cluster } from "./cluster.ts";

export function connectTo(cluster: Cluster, world: World, label: string): Promise<GfsClient> {
  return GfsClient.connect(world, {
    master: cluster.masterAddress,
    label,
    location: { x: world.random.fraction() * 5, y: 0 },
    limits: cluster.limits,
  });
}

export function pause(world: World, ms: number): Promise<void> {
  return new Promise((resolve) => {
    world.clock.after(ms, resolve);
  });
}
