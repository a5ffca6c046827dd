/** DESIGN §4.5: a server that is forgotten takes the tails with it that nobody else has; their files go on. */
import { expect, test } from "bun:test";
import { ClusterClock } from "../../../src/master/cluster-clock.ts";
import { Commands } from "../../../src/master/commands.ts";
import { type MasterContext, newSoftState } from "../../../src/master/context.ts";
import { beginSeal } from "../../../src/master/core/seal.ts";
import { newMasterState } from "../../../src/master/core/state.ts";
import { endForgottenTails } from "../../../src/master/drains.ts";
import { Engine } from "../../../src/master/engine.ts";
import { ControlClient } from "../../../src/net/control-client.ts";
import { decommission } from "../../../src/wire/control/drains.ts";
import { appendTail, createFile } from "../../../src/wire/control/files.ts";
import { stat } from "../../../src/wire/control/namespace.ts";
import { chunkHandle, chunkVersion, generation, inodeId, volumeId } from "../../../src/wire/ids.ts";
import { simLimits } from "../../sim/sim-limits.ts";
import { Simulation } from "../../sim/world/simulation.ts";
import { codeOf } from "../chunkserver/store/sim-volume.ts";
import { started } from "./cluster-with-puts.ts";

/** One server of two is dead, on which all tails were open. */
function withTails(seed: number, tails: number) {
  const cluster = started(seed, 1, { limits: { writtenPage: 2 } });
  const paths = Array.from({ length: tails }, (_, i) => `/log${i}`);
  const inodes = paths.map((path) => {
    const { inode } = cluster.call(createFile, { id: cluster.nextId(), path, mode: "new", replicas: 1 });
    cluster.call(appendTail, { inode, recordBytes: 100 });
    return inode;
  });
  const [victim] = cluster.servers;
  victim!.machine.crash({ powerLoss: false });
  cluster.addServer();
  cluster.simulation.runFor(cluster.limits.heartbeatMs * (cluster.limits.deadHeartbeats + 2));
  const request = { id: cluster.nextId(), server: victim!.volume, force: true, lostMax: tails };
  const expectEnded = (): void => {
    for (const path of paths) expect(cluster.call(stat, { path }).extents).toEqual([]);
    for (const inode of inodes) cluster.call(appendTail, { inode, recordBytes: 100 });
  };
  return { cluster, request, expectEnded };
}

test("tails that only a forgotten server had end, page by page", () => {
  const { cluster, request, expectEnded } = withTails(1, 7);
  expect(cluster.call(decommission, request).lost).toBe(7);
  expectEnded();
});

test("so they do when the master starts again in between", () => {
  let between = 0;
  for (let n = 1; n <= 15; n++) {
    const { cluster, request, expectEnded } = withTails(n, 5);
    const call = cluster.begin(decommission, request);
    cluster.simulation.runFor(n / 4);
    if (!call.settled) between++;
    cluster.restart({ powerLoss: true });
    cluster.simulation.runFor(3_000);
    cluster.call(decommission, request);
    cluster.simulation.runFor(3_000);
    expectEnded();
  }
  expect(between).toBeGreaterThan(3);
});

test("more of them than an entry of the log can name end too, and no seal is given up whose end could not be logged", () => {
  const simulation = new Simulation(1);
  simulation.do(simulation.machine("m"), async (world) => {
    const log = { append: () => 1, lastPosition: 0, durablePosition: 0, entryBytesMax: 1_000 };
    const state = newMasterState(simLimits);
    const clock = new ClusterClock(world.clock);
    const engine = new Engine({ state, log, clock, events: world.events, onFatal: () => undefined });
    const control = new ControlClient(world, { role: "master", clusterId: () => undefined });
    const commands = new Commands(control, engine, () => undefined);
    const limits = { ...simLimits, writtenPage: 4 };
    const stopping = new AbortController().signal;
    const ctx: MasterContext = { world, limits, engine, state, commands, soft: newSoftState(0), stopping };

    engine.apply([{ kind: "volume-added", index: 0, volume: volumeId("0".repeat(32)), label: "gone" }]);
    const version = chunkVersion(1);
    const file = { kind: "inode-created", parent: inodeId(1), type: "file", replicas: 1, modifiedMs: 0 } as const;
    const handles = Array.from({ length: 100 }, (_, i) => chunkHandle(i + 1));
    for (const handle of handles) {
      const inode = inodeId(handle + 3);
      engine.apply([
        { ...file, inode, name: `f${handle}`, generation: generation(1) },
        { kind: "tail-opened", inode, handle, version, members: [0] },
      ]);
    }
    const [first] = handles;
    const { machine } = beginSeal({ handle: first!, version, members: [0], gone: new Set([0]) }, 0);
    let told = false;
    const resolveSealed = (): void => void (told = true);
    ctx.soft.seals.set(first!, { machine, timer: undefined, sealed: Promise.resolve(), resolveSealed });
    engine.apply([{ kind: "volume-marked", index: 0, mark: "forgotten" }]);

    log.entryBytesMax = 50;
    expect(await codeOf(endForgottenTails(ctx))).toBe("Usage");
    expect([told, ctx.soft.seals.has(first!), state.tails.size]).toEqual([false, true, handles.length]);
    log.entryBytesMax = 1_000;
    await endForgottenTails(ctx);
    expect([told, ctx.soft.seals.has(first!), state.tails.size]).toEqual([true, false, 0]);
  });
});
