/** Sessions that a client leaves, since a large append in them is of unknown outcome: somebody may repeat it there, for as long as a session lasts that nobody names. */
import { describe, expect, test } from "bun:test";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import type { World } from "../../../src/io.ts";
import { protocol } from "../../../src/limits.ts";
import { decodeCbor } from "../../../src/wire/cbor.ts";
import { clientHeartbeat } from "../../../src/wire/control/files.ts";
import { pause } from "../../sim/client-machine.ts";
import { codeOf, FakeCluster, sample, testLimits } from "./fake-cluster.ts";

const never = new Promise<void>(() => {});
const x = Uint8Array.of(120);
const large = sample(testLimits.chunkBytes);
/** As in session.ts. */
const windowMax = protocol.mutationWindow - 64;
const beatMs = 1_500;

/** The answers to commits get lost. `named`: the sessions in each heartbeat. */
function start() {
  const cluster = new FakeCluster();
  const named: (readonly number[])[] = [];
  cluster.after = (name) => (name === "draft-commit" ? never : undefined);
  cluster.before = (name, request) => {
    if (name !== "client-heartbeat" || !(request instanceof Uint8Array)) return;
    named.push(clientHeartbeat.request.parse(decodeCbor(request)).sessions);
  };
  return { cluster, named };
}

const lose = (client: GfsClient, path: string): Promise<string> => codeOf(client.appendToFile(path, large));

describe("a session that was left", () => {
  test("is not named in heartbeats any more", () => {
    const { cluster, named } = start();
    const codes = cluster.with(async (client, world) => {
      const told = [await lose(client, "/1"), await lose(client, "/2"), await lose(client, "/3")];
      await pause(world, beatMs);
      return told;
    });
    expect(codes).toEqual(["OutcomeUnknown", "OutcomeUnknown", "OutcomeUnknown"]);
    expect(named.at(-1)).toEqual([]);
  });

  test("is left once, and not with it the next one", () => {
    const { cluster, named } = start();
    cluster.with(async (client, world) => {
      const first = lose(client, "/1");
      await pause(world, 500);
      const second = lose(client, "/2");
      await first;
      await client.appendToFile("/3", new Uint8Array(0));
      await second;
      await client.appendToFile("/4", new Uint8Array(0));
      await pause(world, beatMs);
    });
    expect(cluster.calls.filter((name) => name === "session-open")).toHaveLength(2);
    expect(named.at(-1)).toHaveLength(1);
  });

  test("is named as long as there is a line of records in it", () => {
    const { cluster, named } = start();
    cluster.addFile("/f", [large]);
    cluster.with(async (client, world) => {
      const appender = await client.appender("/f");
      await appender.append(x);
      await lose(client, "/1");
      await pause(world, beatMs);
      expect(named.at(-1)).toHaveLength(1);
      // The line lets its connection go, and finds no file when it wants another one.
      await pause(world, 20_000);
      cluster.files.delete("/f");
      expect(await codeOf(appender.append(x))).toBe("NotFound");
      await pause(world, beatMs);
    });
    expect(named.at(-1)).toEqual([]);
  });
});

describe("a change that waits for its place in a session", () => {
  /** Once the commit is on its way, more than may come after it before it is answered. */
  async function fill(client: GfsClient, world: World): Promise<void> {
    await pause(world, 500);
    for (let i = 0; i <= windowMax; i++) await client.appendToFile(`/empty-${i}`, new Uint8Array(0));
  }

  test("goes on in the next session when that one is left", () => {
    const { cluster } = start();
    const told = cluster.with(async (client, world) => Promise.all([lose(client, "/1"), codeOf(fill(client, world))]));
    expect(told).toEqual(["OutcomeUnknown", "done"]);
    expect(cluster.calls.filter((name) => name === "session-open")).toHaveLength(2);
  });

  test("is interrupted as any other", () => {
    const { cluster } = start();
    const told = cluster.with(async (client, world) => {
      const lost = lose(client, "/1");
      const filled = codeOf(fill(client, world));
      await pause(world, 3_000);
      const abort = new AbortController();
      const waiting = codeOf(client.makeDirectory("/d", { signal: abort.signal }));
      await pause(world, 500);
      const before = cluster.calls.includes("mkdir");
      abort.abort();
      return [before, await waiting, await lost, await filled];
    });
    expect(told).toEqual([false, "Interrupted", "OutcomeUnknown", "done"]);
  });
});
