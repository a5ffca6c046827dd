/** How long an operation goes on: as long as its own time lasts, whoever it shares its way with. */
import { describe, expect, test } from "bun:test";
import { GfsError } from "../../../src/base/errors.ts";
import { appendRecordBytesMax } from "../../../src/limits.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { codeOf, FakeCluster, readAll, sample, testLimits } from "./fake-cluster.ts";

const large = sample(appendRecordBytesMax(testLimits.chunkBytes) + 1);
const small = sample(100);

/** The master does not answer these messages until so many ms from now. */
function awayFor(cluster: FakeCluster, clock: { monotonicMs(): number }, ms: number, ...messages: string[]): void {
  const untilMs = clock.monotonicMs() + ms;
  cluster.before = (name) => {
    if (messages.includes(name) && clock.monotonicMs() < untilMs)
      throw new GfsError("Unavailable", "the master is away");
  };
}

describe("an append that came while others to the file were waiting", () => {
  test.each([
    ["small", small],
    ["large", large],
  ])("%s: does not end with their time", (_, data) => {
    const cluster = new FakeCluster();
    cluster.addFile("/log", []);
    const codes = cluster.with(async (client, { clock }) => {
      awayFor(cluster, clock, testLimits.clientTimeoutMs + 1_000, "append-tail");
      const first = codeOf(client.appendToFile("/log", small));
      await sleep(clock, testLimits.clientTimeoutMs / 2);
      const second = codeOf(client.appendToFile("/log", data));
      return [await first, await second];
    });
    expect(codes).toEqual(["Unavailable", "done"]);
    expect(cluster.content("/log")).toEqual(data);
  });

  test("and were never sent: of an appender too", () => {
    const cluster = new FakeCluster();
    cluster.addFile("/log", []);
    const codes = cluster.with(async (client, { clock }) => {
      await using appender = await client.appender("/log");
      awayFor(cluster, clock, testLimits.clientTimeoutMs + 1_000, "append-tail");
      const first = [1, 2, 3].map(() => codeOf(appender.append(small)));
      await sleep(clock, testLimits.clientTimeoutMs / 2);
      return await Promise.all([...first, codeOf(appender.append(small))]);
    });
    expect(codes).toEqual(["Unavailable", "Unavailable", "Unavailable", "done"]);
    expect(cluster.content("/log")).toEqual(small);
  });

  test("and had been sent: goes to the next tail where nobody knows what became of them", () => {
    const cluster = new FakeCluster();
    cluster.addFile("/log", []);
    for (const { trouble } of cluster.servers) trouble.silent = true;
    const codes = cluster.with(async (client, { clock }) => {
      const first = codeOf(client.appendToFile("/log", small));
      await sleep(clock, 100);
      awayFor(cluster, clock, testLimits.clientTimeoutMs + 1_000, "append-tail");
      await sleep(clock, testLimits.clientTimeoutMs / 2);
      for (const { trouble } of cluster.servers) trouble.silent = false;
      const second = codeOf(client.appendToFile("/log", small));
      return [await first, await second];
    });
    expect(codes).toEqual(["OutcomeUnknown", "done"]);
  });

  test("has all its time after a large one that it had to wait for", () => {
    const cluster = new FakeCluster();
    const codes = cluster.with(async (client, { clock }) => {
      await client.appendToFile("/log", small);
      await using appender = await client.appender("/log");
      const { clientTimeoutMs } = testLimits;
      awayFor(cluster, clock, clientTimeoutMs - 500, "draft-commit");
      const before = codeOf(client.appendToFile("/log", large));
      await sleep(clock, 200);
      const behind = codeOf(appender.append(small));
      const first = await before;
      awayFor(cluster, clock, clientTimeoutMs / 2, "append-tail");
      return [first, await behind];
    });
    expect(codes).toEqual(["done", "done"]);
  });
});

describe("what waits for a session that another operation is opening", () => {
  test.each([
    ["an append", async (cluster: FakeCluster) => cluster.addFile("/f", []), "append"],
    ["a put", async () => {}, "put"],
  ] as const)("%s: is not interrupted with it", (_, prepare, kind) => {
    const cluster = new FakeCluster();
    const codes = cluster.with(async (client, { clock }) => {
      await prepare(cluster);
      awayFor(cluster, clock, 2_000, "session-open");
      const run = (signal?: AbortSignal): Promise<string> =>
        codeOf(
          kind === "append"
            ? client.appendToFile("/f", small, { signal })
            : client.put({ kind: "bytes", bytes: small }, "/f", { overwrite: true, signal }),
        );
      const controller = new AbortController();
      clock.after(1_000, () => controller.abort());
      return Promise.all([run(controller.signal), run()]);
    });
    expect(codes).toEqual(["Interrupted", "done"]);
  });
});

describe("what the master is asked", () => {
  test("is asked until the time is nearly over, however long the pauses have become", () => {
    for (let awayMs = 3_000; awayMs <= testLimits.clientTimeoutMs - 200; awayMs += 300) {
      const cluster = new FakeCluster();
      cluster.addFile("/log", []);
      const codes = cluster.with(async (client, { clock }) => {
        awayFor(cluster, clock, awayMs, "append-tail", "draft-create");
        const append = codeOf(client.appendToFile("/log", small));
        const put = codeOf(client.put({ kind: "bytes", bytes: small }, "/f"));
        return [await append, await put];
      });
      expect(codes).toEqual(["done", "done"]);
    }
  });
});

describe("a code that says where else to look", () => {
  test("is never the last word on an append", () => {
    const cluster = new FakeCluster();
    cluster.addFile("/log", []);
    cluster.after = (name) => {
      // Whoever is named as the primary never is.
      if (name === "append-tail")
        for (const { chunks } of cluster.servers) for (const chunk of chunks.values()) chunk.closed = true;
    };
    const told = cluster.with((client) =>
      client.appendToFile("/log", small).then(
        () => "done",
        (error: unknown) => (error instanceof GfsError ? `${error.code}: ${error.message}` : String(error)),
      ),
    );
    expect(told).toBe("Unavailable: not the primary");
    expect(cluster.calls.filter((name) => name === "append-tail").length).toBeGreaterThan(3);
  });

  test("is never the last word on a read", () => {
    const cluster = new FakeCluster();
    cluster.addFile("/f", [small]);
    for (const { chunks } of cluster.servers) chunks.clear();
    expect(cluster.with((client) => codeOf(readAll(client, "/f")))).toBe("Unavailable");
  });
});
