/** Copies of the metadata on servers, as the master keeps them and tells of them (DESIGN §4.1). */
import { describe, expect, test } from "bun:test";
import { GfsError } from "../../../src/base/errors.ts";
import { status } from "../../../src/wire/control/namespace.ts";
import { started } from "./cluster-with-puts.ts";
import { addFiles } from "./data-copies.ts";
import type { MasterInSim } from "./master-in-sim.ts";

const copiesOf = (cluster: MasterInSim) => cluster.call(status, {}).metadataCopies.copies;

describe("a copy of the metadata", () => {
  test("is as far behind as what it lacks is old, however long nothing came before", () => {
    const cluster = started(1, 2, { limits: { metadataCopies: 1 } });
    addFiles(cluster, 0, 1);
    cluster.simulation.runFor(60_000);
    expect(copiesOf(cluster)).toMatchObject([{ behindMs: 0 }]);
    for (const server of cluster.servers) server.refusesMetadata = new GfsError("Unavailable", "it is away");
    addFiles(cluster, 1, 2);
    cluster.simulation.runFor(3_000);
    const [copy] = copiesOf(cluster);
    expect(copy?.behindMs).toBeGreaterThanOrEqual(3_000);
    expect(copy?.behindMs).toBeLessThan(5_000);
  });

  test("that is not wanted, on a server that does not drop it, is asked to go again later, without a failure each time", () => {
    const cluster = started(2, 0, { limits: { metadataCopies: 1 } });
    const failed: unknown[] = [];
    cluster.simulation.onEvent(({ name, fields }) => {
      if (name === "master.task-failed") failed.push(fields);
    });
    const metadata = { checkpoint: 0, last: 1 };
    const servers = [cluster.addServer({ metadata }), cluster.addServer({ metadata })];
    // Another volume has its address.
    const [, surplus] = servers;
    if (surplus !== undefined) surplus.refusesMetadata = new GfsError("ReplicaMissing", "this is another volume");
    const asked = () => surplus?.told.filter((what) => what === "metadata-drop").length ?? 0;
    cluster.simulation.runFor(30_000);
    expect(asked()).toBe(1);
    if (surplus !== undefined) surplus.refusesMetadata = undefined;
    cluster.simulation.runFor(120_000);
    expect(asked()).toBe(2);
    expect(failed).toEqual([]);
  });
});
