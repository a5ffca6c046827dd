import { expect, test } from "bun:test";
import { concatBytes, utf8 } from "../../../src/base/bytes.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";

const [first, second, third] = [utf8("first record\n"), utf8("the second one\n"), utf8("a third\n")] as const;

test("DESIGN §4.3 a record prepared by the primary alone, fetched by a member, then the primary dies and the master restarts: its retry gets its offset, and it is there once", () => {
  const cluster = new SmallCluster({ chunkservers: 3 });
  const { simulation } = cluster;
  const { network } = simulation;
  const labels = cluster.as("client", async (client) => {
    await client.appendToFile("/log", first);
    return (await client.stat("/log")).extents[0]?.replicas.map(({ label }) => label) ?? [];
  });
  const [primary = "", fetcher = "", other = ""] = labels;
  const seen: string[] = [];
  using _ = simulation.onEvent(({ machine, name }) => seen.push(`${machine} ${name}`));

  // The members below don't hear of the second record, and then of nothing but the fence.
  network.block([primary], [fetcher, other]);
  const appended = cluster.begin("client", (client) => client.appendToFile("/log", second));
  const fenced = [primary, fetcher, other].map((label) => `${label} mutation.FENCE`);
  expect(simulation.runUntil(() => fenced.every((each) => seen.includes(each)))).toBe(true);
  expect(seen).not.toContain("master seal.done");
  network.heal(primary, fetcher);
  const bytes = first.length + second.length;
  const fetched = (): boolean => seen.includes(`${fetcher} mutation.FETCH`);
  expect(simulation.runUntil(fetched, 400)).toBe(true);
  expect(seen).not.toContain("master seal.done");

  cluster.server(primary).crash({ powerLoss: true });
  cluster.cluster.master.crash({ powerLoss: true });
  cluster.cluster.restart(cluster.cluster.master);
  expect(simulation.complete(appended, 60_000)).toMatchObject({ offset: first.length });
  cluster.as("reader", async (client) => {
    expect(await readAll(client, "/log")).toEqual(concatBytes([first, second]));
    expect(await client.appendToFile("/log", third)).toMatchObject({ offset: bytes });
    expect(await readAll(client, "/log")).toEqual(concatBytes([first, second, third]));
  });
  expect(cluster.violations).toEqual([]);
});
