import { describe, expect, test } from "bun:test";
import { chunkVersion } from "../../../src/wire/ids.ts";
import { beginPut, started } from "./cluster-with-puts.ts";

describe("a sealed chunk's replica that a full report shows fenced", () => {
  test("is told that it is sealed", () => {
    const cluster = started(50, 3);
    const { handle, version, volumes, commit } = beginPut(cluster, "/f");
    commit();
    const [first] = cluster.servers.filter(({ volume }) => volumes.includes(volume));
    const fenced = { handle, state: "fenced", promisedVersion: version, dataVersion: chunkVersion(0) } as const;
    first?.reported.push({ ...fenced, length: 1_000, crc: 7 });
    // Every server registers with the new master, and reports.
    cluster.restart();
    cluster.simulation.runFor(5_000);
    expect(cluster.servers.flatMap(({ told }) => told)).toEqual([`finish ${handle}`]);
  });
});
