/** What an id is good for that was given for an append: as long as its session, which a client's end does not end; and what is said once the session has ended. */
import { describe, expect, test } from "bun:test";
import { asGfsError, GfsError } from "../../../src/base/errors.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { SmallCluster, readAll } from "../../paper/small-cluster.ts";
import { pause } from "../../sim/client-machine.ts";
import { simLimits } from "../../sim/sim-limits.ts";
import { codeOf, FakeCluster } from "./fake-cluster.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const idleMs = 2_000;

/** A file with a tail. */
function begun(cluster: SmallCluster): SmallCluster {
  for (const text of ["zero ", "one "]) cluster.as("maker", (client) => client.appendToFile("/f", utf8(text)));
  return cluster;
}

/** Appends "two " there, is interrupted with it on its way, and goes on for a while: the id it was given. */
function interrupted(cluster: SmallCluster): string {
  const error = cluster.as("user", async (client, world) => {
    await client.appendToFile("/f", utf8("first "));
    for (const server of cluster.cluster.servers) server.drive("/volume").slow(100);
    const abort = new AbortController();
    const append = client.appendToFile("/f", utf8("two "), { signal: abort.signal });
    const told = append.then(() => undefined, asGfsError);
    await pause(world, 20);
    abort.abort();
    const outcome = await told;
    for (const server of cluster.cluster.servers) server.drive("/volume").slow(1);
    await pause(world, 1_000);
    return outcome;
  });
  expect(error?.details).toMatchObject({ outcome: "unknown" });
  return String(error?.details["id"]);
}

const content = (cluster: SmallCluster): string =>
  cluster.as("reader", async (client) => new TextDecoder().decode(await readAll(client, "/f")));
const repeat = (cluster: SmallCluster, id: string): number | GfsError =>
  cluster.as("later", (client) =>
    client.appendToFile("/f", utf8("two "), { id }).then(({ offset }) => offset, asGfsError),
  );

describe("the id of an append that was interrupted", () => {
  test("is good after its client has ended in good order", () => {
    const cluster = begun(new SmallCluster({ chunkservers: 3 }));
    const id = interrupted(cluster);
    expect(repeat(cluster, id)).toBe(15);
    expect(content(cluster)).toBe("zero one first two ");
  });

  test("is of no use once its session has ended: nobody knows, and another try is not advised", () => {
    const limits = { ...simLimits, sessionIdleMs: idleMs };
    const cluster = begun(new SmallCluster({ chunkservers: 3, limits }));
    const id = interrupted(cluster);
    cluster.simulation.runFor(3 * idleMs);
    const error = repeat(cluster, id);
    expect(error).toMatchObject({ code: "OutcomeUnknown" });
    expect(error).not.toHaveProperty("details.id");
    expect(content(cluster)).toBe("zero one first two ");
  });
});

test("an append under a key whose session ends before its answer comes: the key is not offered for another try", () => {
  const limits = { ...simLimits, sessionIdleMs: idleMs };
  const cluster = begun(new SmallCluster({ chunkservers: 3, limits }));
  for (const server of cluster.cluster.servers) server.drive("/volume").slow(100);
  const append = cluster.begin("user", (client) =>
    client.appendToFile("/f", utf8("two "), { id: "key" }).then(() => undefined, asGfsError),
  );
  cluster.simulation.runFor(40);
  cluster.simulation.network.isolate("user");
  cluster.simulation.runFor(500);
  for (const server of cluster.cluster.servers) server.drive("/volume").slow(1);
  cluster.simulation.runFor(2.5 * idleMs);
  cluster.simulation.network.heal();
  const error = cluster.simulation.complete(append, 60_000);
  expect(error?.code).toBe("OutcomeUnknown");
  expect(error?.details).not.toHaveProperty("id");
  expect(content(cluster)).toBe("zero one two ");
});

describe("a change of which the answer was lost, by a master that then takes none", () => {
  const outcomes = (code: "MutationsStopped" | "DirectoryNotEmpty", act: (client: GfsClient) => Promise<unknown>) => {
    const cluster = new FakeCluster();
    let commits = 0;
    cluster.after = async (name) => {
      if (name === "draft-commit" && ++commits === 1) await new Promise(() => {});
    };
    cluster.before = (name) => {
      if (name === "draft-commit" && commits === 1) throw new GfsError(code, "not now");
    };
    return cluster.with((client) => codeOf(act(client)));
  };
  const put = (client: GfsClient): Promise<unknown> => client.put({ kind: "bytes", bytes: utf8("x") }, "/x");

  test("is of unknown outcome", () => {
    expect(outcomes("MutationsStopped", put)).toBe("OutcomeUnknown");
    expect(outcomes("MutationsStopped", (client) => client.appendToFile("/x", utf8("x"), { id: "k" }))).toBe(
      "OutcomeUnknown",
    );
  });

  test("is refused where the master has looked whether it was done", () => {
    expect(outcomes("DirectoryNotEmpty", put)).toBe("DirectoryNotEmpty");
  });
});
