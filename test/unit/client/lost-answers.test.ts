/** Answers that don't arrive, or can't be understood: what of the change is unknown then, and what is not (P3). */
import { describe, expect, test } from "bun:test";
import { asGfsError, GfsError } from "../../../src/base/errors.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { pause } from "../../sim/client-machine.ts";
import { codeOf, FakeCluster, sample, testLimits } from "./fake-cluster.ts";

const never = new Promise<void>(() => {});
const x = Uint8Array.of(120);
const put = (client: GfsClient): Promise<unknown> => client.put({ kind: "bytes", bytes: x }, "/x");
const large = (client: GfsClient): Promise<unknown> => client.appendToFile("/x", sample(testLimits.chunkBytes));
const underKey = (client: GfsClient): Promise<unknown> => client.appendToFile("/x", x, { id: "k" });
const writes = [
  ["a put", put],
  ["a large append", large],
  ["an append under a key", underKey],
] as const;

describe.each(writes)("%s of which no draft was heard", (_what, write) => {
  test("had no effect: a draft alone shows nowhere", () => {
    const cluster = new FakeCluster();
    cluster.after = (name) => (name === "draft-create" ? never : undefined);
    expect(cluster.with((client) => codeOf(write(client)))).toBe("Timeout");
    expect(cluster.files.has("/x")).toBe(false);
  });
});

test("a put that is asked for a draft again when its session has ended goes on in another one", () => {
  const cluster = new FakeCluster();
  let asked = 0;
  cluster.before = async (name) => {
    if (name !== "draft-create") return;
    asked++;
    if (asked === 1) await never;
    if (asked === 2) throw new GfsError("SessionExpired", "it has ended");
  };
  expect(cluster.with((client) => codeOf(put(client)))).toBe("done");
});

describe("a commit whose first answer is lost, and that is then refused with", () => {
  test.each(["Denied", "WrongCluster", "MutationsStopped"] as const)(
    "%s, before anybody looks whether it was done, is of unknown outcome",
    (code) => {
      const cluster = new FakeCluster();
      let commits = 0;
      cluster.after = (name) => (name === "draft-commit" && ++commits === 1 ? never : undefined);
      cluster.before = (name) => {
        if (name === "draft-commit" && commits === 1) throw new GfsError(code, "not now");
      };
      expect(cluster.with((client) => codeOf(put(client)))).toBe("OutcomeUnknown");
    },
  );
});

describe.each(writes)("%s whose commit is answered with what can't be understood", (_what, write) => {
  test("is of unknown outcome", () => {
    const cluster = new FakeCluster();
    cluster.garbled = "draft-commit";
    expect(cluster.with((client) => codeOf(write(client)))).toBe("OutcomeUnknown");
    expect(cluster.files.has("/x")).toBe(true);
  });
});

test("after a put of unknown outcome, which has no id, the session goes on", () => {
  const cluster = new FakeCluster();
  cluster.after = (name) => (name === "draft-commit" ? never : undefined);
  const code = cluster.with(async (client) => {
    const told = await codeOf(put(client));
    await client.makeDirectory("/next").catch(() => {});
    return told;
  });
  expect(code).toBe("OutcomeUnknown");
  expect(cluster.calls.filter((name) => name === "session-open")).toHaveLength(1);
});

describe("an interruption", () => {
  const act = (message: string, write: (client: GfsClient, signal: AbortSignal) => Promise<unknown>) => {
    const cluster = new FakeCluster();
    cluster.after = (name) => (name === message ? never : undefined);
    const error = cluster.with(async (client, world) => {
      const abort = new AbortController();
      const told = write(client, abort.signal).then(() => undefined, asGfsError);
      await pause(world, 300);
      abort.abort();
      const interrupted = await told;
      await client.makeDirectory("/next").catch(() => {});
      return interrupted;
    });
    expect(error?.code).toBe("Interrupted");
    cluster.after = () => {};
    return { cluster, details: error?.details };
  };

  test("of a large append's commit says that its outcome is unknown, and gives an id that tells", () => {
    const data = sample(testLimits.chunkBytes);
    const { cluster, details } = act("draft-commit", (client, signal) => client.appendToFile("/x", data, { signal }));
    expect(details).toMatchObject({ outcome: "unknown" });
    const id = String(details?.["id"]);
    expect(cluster.with(async (client) => (await client.appendToFile("/x", data, { id })).offset)).toBe(0);
    expect(cluster.content("/x")).toEqual(data);
  });

  test("of a commit under a key gives the key", () => {
    const { details } = act("draft-commit", (client, signal) => client.appendToFile("/x", x, { id: "k", signal }));
    expect(details).toMatchObject({ outcome: "unknown", id: "k" });
  });

  test("of a put's commit says that its outcome is unknown; there is no id, and the session goes on", () => {
    const { cluster, details } = act("draft-commit", (client, signal) =>
      client.put({ kind: "bytes", bytes: x }, "/x", { signal }),
    );
    expect(details).toEqual({ outcome: "unknown" });
    expect(cluster.calls.filter((name) => name === "session-open")).toHaveLength(1);
  });

  test("before the commit says that nothing was done", () => {
    const { details } = act("draft-create", (client, signal) =>
      client.put({ kind: "bytes", bytes: x }, "/x", { signal }),
    );
    expect(details).toEqual({});
  });
});
