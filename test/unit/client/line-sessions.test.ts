/** Sessions that a client opens for its records: each ends at the master with the last line in it, but where somebody was given an id. */
import { describe, expect, test } from "bun:test";
import { asGfsError } from "../../../src/base/errors.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import type { World } from "../../../src/io.ts";
import { readAll, SmallCluster } from "../../paper/small-cluster.ts";
import { pause } from "../../sim/client-machine.ts";
import { simLimits } from "../../sim/sim-limits.ts";
import { codeOf } from "./fake-cluster.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const idleMs = 4_000;
const limits = { ...simLimits, sessionIdleMs: idleMs };

/** A file with a tail. */
function begun(): SmallCluster {
  const cluster = new SmallCluster({ chunkservers: 3, limits });
  for (const text of ["zero ", "one "]) cluster.as("maker", (client) => client.appendToFile("/f", utf8(text)));
  return cluster;
}

const sessions = async (client: GfsClient): Promise<number> => (await client.status()).sessions;

/** A file that goes while there is a line to it: the next record breaks the line. */
async function breakLine(client: GfsClient, path: string): Promise<void> {
  await client.appendToFile(path, utf8("x"));
  const appender = await client.appender(path);
  await appender.append(utf8("x"));
  await client.remove(path, { skipTrash: true });
  expect(await codeOf(appender.append(utf8("x")))).not.toBe("done");
}

/** Appends "two " to /f, and gives up when it is on its way: the id that it was given. */
async function giveUp(cluster: SmallCluster, client: GfsClient, world: World): Promise<string> {
  const drives = cluster.cluster.servers.map((server) => server.drive("/volume"));
  await client.appendToFile("/f", utf8("first "));
  for (const drive of drives) drive.slow(100);
  const abort = new AbortController();
  const told = client.appendToFile("/f", utf8("two "), { signal: abort.signal }).then(() => undefined, asGfsError);
  await pause(world, 20);
  abort.abort();
  const error = await told;
  for (const drive of drives) drive.slow(1);
  await pause(world, 1_000);
  expect(error?.details).toMatchObject({ outcome: "unknown" });
  return String(error?.details["id"]);
}

describe("the session of records", () => {
  test("ends with the last line in it, however many appends are refused", () => {
    const cluster = begun();
    const [a, b] = cluster.cluster.servers;
    a?.crash({ powerLoss: false });
    cluster.simulation.runFor(15_000);
    b?.crash({ powerLoss: false });
    cluster.simulation.runFor(10_000);
    const seen = cluster.as("user", async (client, world) => {
      const codes = new Set<string>();
      for (let i = 0; i < 20; i++) codes.add(await codeOf(client.appendToFile("/f", utf8("x"))));
      await pause(world, 500);
      return { codes: [...codes], sessions: await sessions(client) };
    });
    // The client's own, for its mutations.
    expect(seen).toEqual({ codes: ["TooFewServers"], sessions: 1 });
    expect(cluster.as("looker", sessions)).toBe(0);
  });

  test("stays while there is another line in it", () => {
    const cluster = begun();
    const seen = cluster.as("user", async (client, world) => {
      await breakLine(client, "/gone");
      const appender = await client.appender("/f");
      // Its line is in the same session as the one to /f.
      await breakLine(client, "/gone too");
      await pause(world, 2 * idleMs);
      const { offset } = await appender.append(utf8("two "));
      return { offset, sessions: await sessions(client) };
    });
    expect(seen).toEqual({ offset: 9, sessions: 2 });
  });

  test("is not closed where an id was given out, but not kept alive for it either", () => {
    const cluster = begun();
    const seen = cluster.as("user", async (client, world) => {
      await breakLine(client, "/gone");
      const appender = await client.appender("/f");
      await giveUp(cluster, client, world);
      await client.remove("/f", { skipTrash: true });
      expect(await codeOf(appender.append(utf8("x")))).not.toBe("done");
      await pause(world, 500);
      const before = await sessions(client);
      await pause(world, 2 * idleMs);
      return { before, after: await sessions(client) };
    });
    expect(seen).toEqual({ before: 2, after: 1 });
  });

  test("takes a repeat under the id of a record after its client has ended", () => {
    const cluster = begun();
    const id = cluster.as("user", async (client, world) => {
      await breakLine(client, "/gone");
      return giveUp(cluster, client, world);
    });
    expect(cluster.as("later", async (client) => (await client.appendToFile("/f", utf8("two "), { id })).offset)).toBe(
      15,
    );
    expect(cluster.as("reader", async (client) => new TextDecoder().decode(await readAll(client, "/f")))).toBe(
      "zero one first two ",
    );
  });
});
