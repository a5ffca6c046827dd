import { describe, expect, test } from "bun:test";
import { locate } from "../../../src/wire/control/files.ts";
import { beginPut, started } from "./cluster-with-puts.ts";

describe("a replica found bad before its chunk is published", () => {
  test.each([
    ["corrupt", "told in a heartbeat"],
    ["missing", "told in a heartbeat"],
    ["corrupt", "reported to a new master"],
  ] as const)("is replaced after it: %s, %s", (reason, how) => {
    const cluster = started(40, 4);
    const put = beginPut(cluster, "/f");
    const holder = cluster.servers.find(({ volume }) => volume === put.volumes[0]);
    if (holder === undefined) throw new Error("no holder");
    const { handle, version } = put;
    if (how === "told in a heartbeat") holder.bad = [{ handle, version, reason }];
    else {
      const entry = { promisedVersion: version, dataVersion: version, length: 1_000, crc: 8 };
      holder.reported.push({ handle, state: "corrupt", ...entry });
      cluster.restart();
    }
    cluster.simulation.runFor(3_000);
    expect(holder.bad).toEqual([]);
    put.commit();
    cluster.simulation.runFor(20_000);
    // In its place, or on another server.
    expect(cluster.servers.flatMap((server) => server.told)).toContain(`clone ${handle}`);
    const found = cluster.call(locate, { target: { kind: "path", path: "/f" }, offset: 0, length: 5_000 });
    expect(found.extents[0]?.replicas).toHaveLength(3);
  });
});

/** A server has told that its replica is corrupt, and was given a copy in its place. */
function copiedOnce(seed: number) {
  const cluster = started(seed, 3);
  const { handle, version, commit, volumes } = beginPut(cluster, "/f");
  commit();
  const [holder] = cluster.servers.filter(({ volume }) => volume === volumes[0]);
  if (holder === undefined) throw new Error("no holder");
  const copies = (): number => holder.told.filter((told) => told === `clone ${handle}`).length;
  const found = [{ handle, version, reason: "corrupt" as const }];
  holder.bad = found;
  cluster.simulation.runFor(20_000);
  expect(copies()).toBe(1);
  return { cluster, holder, found, copies };
}

describe("a replica that was copied to the server which had a bad one", () => {
  test.each(["healthy", "corrupt", "missing"] as const)(
    "is bad by what its server finds now, not by a late heartbeat: %s",
    (verdict) => {
      const { cluster, holder, found, copies } = copiedOnce(41);
      holder.verdict = verdict;
      // The heartbeat that told it comes again.
      holder.bad = found;
      cluster.simulation.runFor(20_000);
      expect(holder.bad).toEqual([]);
      expect(copies()).toBe(verdict === "healthy" ? 1 : 2);
    },
  );

  test("is not judged by what was asked of the copy before it", () => {
    const { cluster, holder, found, copies } = copiedOnce(42);
    Object.assign(holder, { verdict: "corrupt", verdictMs: 700, bad: found });
    cluster.simulation.runFor(600);
    // Told once more, as where the answer was lost: asked for by the time that the next copy is made.
    Object.assign(holder, { verdictMs: 9_000, bad: found });
    cluster.simulation.runFor(30_000);
    expect(copies()).toBe(2);
  });
});
