import { describe, expect, test } from "bun:test";
import { GfsError } from "../../../src/base/errors.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { codeOf, FakeCluster, readAll, sample, testLimits } from "./fake-cluster.ts";

const chunk = testLimits.chunkBytes;

async function* stream(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.slice(at, at + pieceBytes);
}

describe("put", () => {
  test.each([0, 1, 65_536, chunk - 1, chunk, chunk + 1, 5 * chunk + 17])(
    "of %i bytes is read back the same",
    (bytes) => {
      const cluster = new FakeCluster();
      const data = sample(bytes);
      const got = cluster.with(async (client) => {
        const result = await client.put({ kind: "bytes", bytes: data }, "/a/b");
        expect(result).toMatchObject({ path: "/a/b", bytes, chunks: Math.ceil(bytes / chunk), shortChunks: 0 });
        return readAll(client, "/a/b");
      });
      expect(got).toEqual(data);
    },
  );

  test("of an empty file is one call, of a small one a place, one exchange of data and a commit", () => {
    const cluster = new FakeCluster();
    cluster.with(async (client) => {
      await client.put({ kind: "bytes", bytes: new Uint8Array(0) }, "/empty");
      await client.put({ kind: "bytes", bytes: sample(10) }, "/small");
    });
    expect(cluster.calls.filter((name) => !/session|cluster-info/.test(name))).toEqual([
      "create-file",
      "draft-create",
      "draft-commit",
    ]);
  });

  test.each([
    [1, 0],
    [2, 0],
    [3, 1],
    [5, 2],
    [6, 2],
    [7, 3],
  ])("of %i chunks, two a message, names %i pages before its commit", (chunks, pages) => {
    const cluster = new FakeCluster();
    const data = sample(chunks * chunk);
    const put = { kind: "bytes", bytes: data } as const;
    cluster.with((client) => client.put(put, "/f"), { limits: { ...testLimits, writtenPage: 2 } });
    expect(cluster.content("/f")).toEqual(data);
    expect(cluster.calls.filter((name) => name === "draft-written")).toHaveLength(pages);
  });

  test("of a local file reports progress up to its size, and never back", () => {
    const cluster = new FakeCluster();
    const data = sample(3 * chunk + 5);
    const told: number[] = [];
    cluster.servers[0]!.trouble.breakAfterBytes = 70_000;
    cluster.with(async (client, { disk }) => {
      const file = await disk.open("/local", "create");
      await file.write([data], 0);
      await client.uploadFile("/local", "/f", { onProgress: (done, total) => told.push(done, total ?? -1) });
    });
    const done = told.filter((_, i) => i % 2 === 0);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(done.at(-1)).toBe(data.length);
    expect(new Set(told.filter((_, i) => i % 2 === 1))).toEqual(new Set([data.length]));
    expect(cluster.content("/f")).toEqual(data);
  });

  test("of a stream needs no space for what is safe, and leaves nothing behind", () => {
    const cluster = new FakeCluster();
    const data = sample(12 * chunk + 100);
    const left = cluster.with(
      async (client, { disk }) => {
        await disk.makeDirectory("/spool");
        await client.put({ kind: "stream", stream: stream(data, 10_000), spoolDirectory: "/spool" }, "/f");
        return disk.list("/spool");
      },
      { limits: { ...testLimits, parallelChunks: 2 } },
    );
    expect(left).toEqual([]);
    expect(cluster.content("/f")).toEqual(data);
  });

  test("of a stream that breaks off is nothing", () => {
    const cluster = new FakeCluster();
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield sample(5 * chunk);
      throw new GfsError("LocalFile", "the pipe broke");
    }
    const code = cluster.with((client) =>
      codeOf(client.put({ kind: "stream", stream: broken(), spoolDirectory: "/" }, "/f")),
    );
    expect(code).toBe("LocalFile");
    expect(cluster.files.has("/f")).toBe(false);
    expect([...cluster.drafts.values()].map(({ state }) => state)).toEqual(["ended"]);
  });

  test("takes servers that were too slow again, where no chain can be had without them", () => {
    for (const bytes of [100, 3 * chunk]) {
      const cluster = new FakeCluster();
      const data = sample(bytes);
      cluster.with(async (client) => {
        for (const machine of cluster.machines.slice(0, 2)) machine.pause(1_500);
        await client.put({ kind: "bytes", bytes: data }, "/f");
      });
      expect(cluster.content("/f")).toEqual(data);
    }
  });

  test("ends when they stay slow; at once where they are gone, or full", () => {
    for (const trouble of ["slow", "gone", "full"] as const) {
      const cluster = new FakeCluster();
      const startMs = cluster.simulation.nowMs;
      const code = cluster.with(async (client) => {
        for (const [i, machine] of cluster.machines.slice(0, 2).entries()) {
          if (trouble === "slow") machine.pause(600_000);
          if (trouble === "gone") machine.crash({ powerLoss: false });
          if (trouble === "full") cluster.servers[i]!.trouble.refuseWrites = new GfsError("NoSpace", "full");
        }
        return codeOf(client.put({ kind: "bytes", bytes: sample(100) }, "/f"));
      });
      expect(code).toBe("TooFewServers");
      expect(cluster.simulation.nowMs - startMs).toBeLessThan(trouble === "slow" ? 8_000 : 1_000);
    }
  });

  test("of one frame leaves a head that is frozen after the stall time", () => {
    const cluster = new FakeCluster();
    const [first] = cluster.machines;
    const tookMs = cluster.with(async (client, { clock }) => {
      await client.put({ kind: "bytes", bytes: sample(100) }, "/before");
      first!.pause(60_000);
      const startMs = clock.monotonicMs();
      await client.put({ kind: "bytes", bytes: sample(100) }, "/f");
      return clock.monotonicMs() - startMs;
    });
    expect(tookMs).toBeLessThan(testLimits.putStallMs * 1.2);
  });

  test.each([3 * chunk, 65_537])(
    "of %i bytes goes on without a server that is down, breaks off, is full, or is silent",
    (bytes) => {
      for (const trouble of ["down", "breaks", "full", "silent"] as const) {
        const cluster = new FakeCluster();
        const [first] = cluster.servers;
        if (trouble === "down") cluster.machines[0]!.crash({ powerLoss: false });
        if (trouble === "breaks") first!.trouble.breakAfterBytes = 50_000;
        if (trouble === "full") first!.trouble.refuseWrites = new GfsError("NoSpace", "full");
        if (trouble === "silent") first!.trouble.silent = true;
        const data = sample(bytes);
        const startMs = cluster.simulation.nowMs;
        cluster.with((client) => client.put({ kind: "bytes", bytes: data }, "/f"));
        const tookMs = cluster.simulation.nowMs - startMs;
        expect(tookMs).toBeLessThan(trouble === "silent" ? 2 * testLimits.putStallMs : 1_000);
        const [, second] = cluster.servers;
        const got = cluster.files.get("/f")!.extents.flatMap(({ handle }) => [...second!.chunks.get(handle)!.bytes]);
        expect(got).toEqual([...data]);
      }
    },
  );

  test("ends with the server's refusal where no chain is left, and gives its draft up", () => {
    const cluster = new FakeCluster();
    for (const { trouble } of cluster.servers) trouble.refuseWrites = new GfsError("NoSpace", "full");
    const code = cluster.with((client) => codeOf(client.put({ kind: "bytes", bytes: sample(10) }, "/f")));
    expect(code).toBe("TooFewServers");
    expect([...cluster.drafts.values()].map(({ state }) => state)).toEqual(["ended"]);
  });

  test("takes effect once, however often answers are lost and the master starts anew", () => {
    const cluster = new FakeCluster();
    let lost = 0;
    cluster.after = async (name) => {
      if (name !== "draft-commit" || lost++ > 1) return;
      cluster.simulation.after(0, () => {
        cluster.master.crash({ powerLoss: false });
        cluster.master.restart();
        cluster.simulation.after(300, () => cluster.master.run((world) => cluster.serve(world)));
      });
      await new Promise(() => {});
    };
    const result = cluster.with((client) => client.put({ kind: "bytes", bytes: sample(10) }, "/f"));
    expect(lost).toBe(3);
    expect(result.bytes).toBe(10);
    expect(cluster.content("/f")).toEqual(sample(10));
  });

  test("whose commit is never answered has an unknown outcome, and no draft is aborted under it", () => {
    const cluster = new FakeCluster();
    cluster.after = async (name) => {
      if (name === "draft-commit") await new Promise(() => {});
    };
    const code = cluster.with((client) => codeOf(client.put({ kind: "bytes", bytes: sample(10) }, "/f")));
    expect(code).toBe("OutcomeUnknown");
    expect(cluster.calls).not.toContain("draft-abort");
  });

  test("that is interrupted ends at once and is nothing", () => {
    const cluster = new FakeCluster();
    for (const { trouble } of cluster.servers) trouble.silent = true;
    const startMs = cluster.simulation.nowMs;
    const code = cluster.with((client, { clock }) => {
      const abort = new AbortController();
      clock.after(100, () => abort.abort());
      return codeOf(client.put({ kind: "bytes", bytes: sample(10) }, "/f", { signal: abort.signal }));
    });
    expect(code).toBe("Interrupted");
    expect(cluster.simulation.nowMs - startMs).toBeLessThan(200);
    expect(cluster.files.size).toBe(0);
  });

  test.each([
    ["shrinks", async (file: { truncate: (bytes: number) => Promise<void> }) => file.truncate(10)],
    [
      "changes",
      async (file: { write: (pieces: Uint8Array[], at: number) => Promise<void> }) =>
        file.write([sample(9)], chunk * 9),
    ],
  ] as const)("of a local file that %s meanwhile is refused", (_, change) => {
    const cluster = new FakeCluster();
    const code = cluster.with(async (client, { disk, clock }) => {
      const file = await disk.open("/local", "create");
      await file.write([sample(4 * chunk)], 0);
      cluster.before = async (name) => {
        if (name !== "chunk-allocate") return;
        cluster.before = () => {};
        await change(file);
      };
      await sleep(clock, 5);
      return codeOf(client.uploadFile("/local", "/f"));
    });
    expect(code).toBe("SourceChanged");
    expect(cluster.files.has("/f")).toBe(false);
  });

  test.each([
    ["/none", "NotFound"],
    ["/", "IsDirectory"],
  ])("of the local %s is %s", (path, expected) => {
    expect(new FakeCluster().with((client) => codeOf(client.uploadFile(path, "/f")))).toBe(expected);
  });

  test.each(["relative", "", "/a//b", "/../x", "/a\0b", `/${"x".repeat(256)}`])(
    "to %j is refused before anything is sent",
    (path) => {
      const cluster = new FakeCluster();
      expect(cluster.with((client) => codeOf(client.put({ kind: "bytes", bytes: sample(1) }, path)))).toBe(
        "PathInvalid",
      );
      expect(cluster.calls).toEqual(["cluster-info"]);
    },
  );
});
