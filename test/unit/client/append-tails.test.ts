/** Tails that can be opened, and then take nothing: records go on to the next one, for as long as they have time. */
import { describe, expect, test } from "bun:test";
import { GfsError } from "../../../src/base/errors.ts";
import { route } from "../../../src/net/control-server.ts";
import { appendAnswers } from "../../../src/wire/control/append-answers.ts";
import { noFaults } from "../../sim/world/fault-settings.ts";
import { codeOf, FakeCluster, testLimits } from "./fake-cluster.ts";

const record = new TextEncoder().encode("once\n");

describe("append", () => {
  test("that all tails refuse, each of which opens, ends in time, and asks for them less and less often", () => {
    const cluster = new FakeCluster();
    cluster.addFile("/log", []);
    for (const { trouble } of cluster.servers) trouble.refuseRecords = new GfsError("ChunkFull", "it does not fit");
    let tails = 0;
    cluster.before = (name) => {
      if (name === "append-tail") tails++;
    };
    expect(cluster.with((client) => codeOf(client.appendToFile("/log", record)))).toBe("OutcomeUnknown");
    expect(tails).toBeGreaterThan(2);
    expect(tails).toBeLessThan(50);
  });

  test("goes to the next tail where a primary has no space, whatever the sealed ones took", () => {
    const cluster = new FakeCluster(noFaults, [route(appendAnswers, () => Promise.resolve({ answers: [] }))]);
    cluster.addFile("/log", []);
    cluster.servers[0]!.trouble.refuseRecords = new GfsError("NoSpace", "the disk is full");
    expect(cluster.with(async (client) => (await client.appendToFile("/log", record)).offset)).toBe(0);
  });

  test("goes to the next tail where the first primary was silent for all the time there was", () => {
    const cluster = new FakeCluster();
    cluster.addFile("/log", []);
    cluster.servers[0]!.trouble.silent = true;
    const limits = { ...testLimits, clientTimeoutMs: 600, prepareMs: 500, connectMs: 200 };
    const appended = cluster.with(async (client) => (await client.appendToFile("/log", record)).offset, {
      limits,
    });
    expect(appended).toBe(0);
  });
});
