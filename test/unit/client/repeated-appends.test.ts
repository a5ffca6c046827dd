/** An append that took effect, unknown to who asked for it, is repeated under its id: whatever has become of the cluster meanwhile, it is never told as refused. */
import { describe, expect, test } from "bun:test";
import { asGfsError, type GfsError } from "../../../src/base/errors.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { pause } from "../../sim/client-machine.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A file with a tail. */
function begun(): SmallCluster {
  const cluster = new SmallCluster({ chunkservers: 3 });
  for (const text of ["zero ", "one "]) cluster.as("maker", (client) => client.appendToFile("/f", utf8(text)));
  return cluster;
}

/** Appends "two " to /f, gives up when it is on its way, appends `more`, and goes: the id to repeat it under. */
function interrupted(cluster: SmallCluster, key: string | undefined, more = 0): string {
  const drives = cluster.cluster.servers.map((server) => server.drive("/volume"));
  const error = cluster.as("user", async (client, world) => {
    await client.appendToFile("/f", utf8("first "));
    for (const drive of drives) drive.slow(100);
    const abort = new AbortController();
    const options = { signal: abort.signal, id: key };
    const told = client.appendToFile("/f", utf8("two "), options).then(() => undefined, asGfsError);
    await pause(world, 20);
    abort.abort();
    const outcome = await told;
    for (const drive of drives) drive.slow(1);
    await pause(world, 1_000);
    for (let i = 0; i < more; i++) await client.appendToFile("/f", utf8("."));
    return outcome;
  });
  expect(error?.details).toMatchObject({ outcome: "unknown" });
  return String(error?.details["id"]);
}

/** Two of three servers die, one after the other: the tail is sealed, and there is no other. */
function lose(cluster: SmallCluster): void {
  for (const server of cluster.cluster.servers.slice(0, 2)) {
    server.crash({ powerLoss: false });
    cluster.simulation.runFor(15_000);
  }
}

const repeat = (cluster: SmallCluster, id: string): number | GfsError =>
  cluster.as("later", (client) =>
    client.appendToFile("/f", utf8("two "), { id }).then(({ offset }) => offset, asGfsError),
  );
const content = (cluster: SmallCluster): string =>
  cluster.as("reader", async (client) => new TextDecoder().decode(await readAll(client, "/f")));

describe.each(["@place", "key"])("an append that is repeated under its id, a %s,", (kind) => {
  const key = kind === "key" ? kind : undefined;

  test("is answered where it was, also where there are too few servers for another one", () => {
    const cluster = begun();
    const id = interrupted(cluster, key);
    lose(cluster);
    expect(repeat(cluster, id)).toBe(15);
    expect(content(cluster)).toBe("zero one first two ");
  });

  test("is of unknown outcome where its file is gone, and not advised again", () => {
    const cluster = begun();
    const id = interrupted(cluster, key);
    cluster.as("remover", (client) => client.remove("/f"));
    const error = repeat(cluster, id);
    expect(error).toMatchObject({ code: "OutcomeUnknown" });
    expect(error).not.toHaveProperty("details.id");
  });
});

test("an append is repeated under its place when its answer is long forgotten: it is not told as refused", () => {
  const cluster = begun();
  const id = interrupted(cluster, undefined, 70);
  lose(cluster);
  expect(repeat(cluster, id)).toMatchObject({ code: "OutcomeUnknown" });
});

test("an append under a key that nothing was done under is refused at once where there are too few servers", () => {
  const cluster = begun();
  lose(cluster);
  const beganMs = cluster.simulation.nowMs;
  expect(repeat(cluster, "fresh")).toMatchObject({ code: "TooFewServers" });
  expect(cluster.simulation.nowMs - beganMs).toBeLessThan(1_000);
  cluster.cluster.reviveAll();
  cluster.simulation.runFor(10_000);
  expect(content(cluster)).toBe("zero one ");
  expect(repeat(cluster, "fresh")).toBe(9);
});

test("a large append under a key is answered where it was, also when its file is gone", () => {
  const cluster = begun();
  const large = new Uint8Array(6_000_000).fill(7);
  const append = () =>
    cluster.as("appender", (client) =>
      client.appendToFile("/f", large, { id: "k" }).then(({ offset }) => offset, asGfsError),
    );
  expect(append()).toBe(9);
  cluster.as("remover", (client) => client.remove("/f", { skipTrash: true }));
  expect(append()).toBe(9);
});
