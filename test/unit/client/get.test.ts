import { describe, expect, test } from "bun:test";
import { concatBytes } from "../../../src/base/bytes.ts";
import { codeOf, FakeCluster, readAll, sample, testLimits } from "./fake-cluster.ts";

const pieces = [sample(70_000, 1), sample(200_000, 2), sample(1, 3), sample(65_536, 4), sample(130_000, 5)];
const whole = Uint8Array.from(pieces.flatMap((piece) => [...piece]));

function withFile(): FakeCluster {
  const cluster = new FakeCluster();
  cluster.addFile("/f", pieces);
  return cluster;
}

describe("read", () => {
  test.each([
    [0, undefined],
    [0, 1],
    [1, 69_999],
    [69_999, 2],
    [70_000, 200_000],
    [269_999, 3],
    [123_456, 234_567],
    [465_536, 1_000],
    [10, 0],
    [1_000_000, 5],
  ])("from %i, %p bytes, gives exactly these", (offset, length) => {
    const range = length === undefined ? { offset } : { offset, length };
    const got = withFile().with((client) => readAll(client, "/f", range));
    expect(got).toEqual(whole.slice(offset, length === undefined ? undefined : offset + length));
  });

  test.each([
    ["down", 500],
    ["breaks", 500],
    ["silent", 2 * testLimits.readStallMs],
    ["corrupt", 500],
    ["empty", 500],
  ] as const)("goes on from the same byte where the nearest replica is %s", (trouble, withinMs) => {
    const cluster = withFile();
    const [first] = cluster.servers;
    if (trouble === "down") cluster.machines[0]!.crash({ powerLoss: false });
    if (trouble === "breaks") first!.trouble.breakAfterBytes = 66_000;
    if (trouble === "silent") first!.trouble.silent = true;
    if (trouble === "corrupt") first!.trouble.corruptReads = true;
    if (trouble === "empty") first!.chunks.clear();
    const startMs = cluster.simulation.nowMs;
    const got = cluster.with((client) => readAll(client, "/f"));
    expect(got).toEqual(whole);
    expect(cluster.simulation.nowMs - startMs).toBeLessThan(withinMs);
    const [, second] = cluster.servers;
    if (trouble === "breaks") expect(second!.reads.some(({ offset }) => offset > 0)).toBe(true);
    const reported = { corrupt: "corrupt", empty: "missing" } as Partial<Record<string, string>>;
    expect(cluster.suspects[0]).toBe(reported[trouble] === undefined ? undefined! : `1 ${reported[trouble]}`);
  });

  test("uses the connections of the read before it", () => {
    const cluster = withFile();
    const dialled = (): number => cluster.servers.reduce((sum, { connections }) => sum + connections, 0);
    const [first, all] = cluster.with(async (client) => {
      await readAll(client, "/f");
      const before = dialled();
      for (let i = 0; i < 5; i++) await readAll(client, "/f");
      return [before, dialled()];
    });
    expect(all).toBe(first);
  });

  test("of bytes that no replica has right ends with Corrupt, and never gives them out", () => {
    const cluster = withFile();
    for (const { trouble } of cluster.servers) trouble.corruptReads = true;
    expect(cluster.with((client) => codeOf(readAll(client, "/f")))).toBe("Corrupt");
    expect(new Set(cluster.suspects)).toEqual(new Set(["1 corrupt", "2 corrupt", "3 corrupt"]));
  });

  test.each([0, 1, 2])("waits for replicas that are busy, also where number %i is corrupt", (corrupt) => {
    const cluster = withFile();
    for (const [i, { trouble }] of cluster.servers.entries())
      if (i === corrupt) trouble.corruptReads = true;
      else trouble.busyReads = 6;
    expect(cluster.with((client) => readAll(client, "/f"))).toEqual(whole);
  });

  test.each([0, 1, 2])("says Busy, not Corrupt, where all but number %i stay busy", (corrupt) => {
    const cluster = withFile();
    for (const [i, { trouble }] of cluster.servers.entries())
      if (i === corrupt) trouble.corruptReads = true;
      else trouble.busyReads = Number.POSITIVE_INFINITY;
    const startMs = cluster.simulation.nowMs;
    expect(cluster.with((client) => codeOf(readAll(client, "/f")))).toBe("Busy");
    expect(cluster.simulation.nowMs - startMs).toBeLessThan(2 * testLimits.clientTimeoutMs);
  });

  test("ends within the client's time-out where nobody answers", () => {
    const cluster = withFile();
    for (const machine of cluster.machines) machine.crash({ powerLoss: true });
    const startMs = cluster.simulation.nowMs;
    expect(["Unavailable", "Timeout"]).toContain(cluster.with((client) => codeOf(readAll(client, "/f"))));
    expect(cluster.simulation.nowMs - startMs).toBeLessThan(2 * testLimits.clientTimeoutMs);
  });

  test("that nobody can answer names the file, and where to look", () => {
    const message = (cluster: FakeCluster): unknown =>
      cluster.with((client) =>
        readAll(client, "/f").catch((error: unknown) => (error instanceof Error ? error.message : error)),
      );
    const down = withFile();
    for (const machine of down.machines) machine.crash({ powerLoss: true });
    const { handle } = down.files.get("/f")!.extents[0]!;
    expect(message(down)).toStartWith(`Cannot read chunk ${handle} of /f: none of its ${down.servers.length} replicas`);
    const unknown = withFile();
    unknown.servers.length = 0;
    expect(message(unknown)).toBe(`Cannot read chunk ${handle} of /f: no live server is known to hold it (gfs status)`);
  });

  test("of a chunk that is lost for good says so at once, and gives what lies before and behind it", () => {
    const cluster = withFile();
    const { handle } = cluster.files.get("/f")!.extents[2]!;
    cluster.lost.set(handle, "s1 is forgotten");
    const startMs = cluster.simulation.nowMs;
    const [got, error] = cluster.with(async (client) => {
      const read: Uint8Array[] = [];
      try {
        for await (const piece of client.read("/f")) read.push(piece);
      } catch (thrown) {
        return [concatBytes(read), thrown] as const;
      }
      return [concatBytes(read), undefined] as const;
    });
    expect(got).toEqual(whole.subarray(0, 270_000));
    expect(error).toMatchObject({
      code: "ChunkLost",
      message: `Cannot read chunk ${handle} of /f: no replica is left: s1 is forgotten`,
    });
    expect(cluster.simulation.nowMs - startMs).toBeLessThan(testLimits.clientTimeoutMs / 5);
    const range = { offset: 270_001 };
    expect(cluster.with((client) => readAll(client, "/f", range))).toEqual(whole.subarray(270_001));
  });

  test("of a chunk that is lost while it is read says so after one more look", () => {
    const cluster = withFile();
    const { handle } = cluster.files.get("/f")!.extents[2]!;
    for (const { chunks } of cluster.servers) chunks.delete(handle);
    let looks = 0;
    cluster.before = (message) => {
      if (message === "locate" && ++looks > 1) cluster.lost.set(handle, "s1 no longer has it");
    };
    expect(cluster.with((client) => codeOf(readAll(client, "/f", { length: 300_000 })))).toBe("ChunkLost");
  });

  test("waits for replicas that are yet to be reported", () => {
    const cluster = withFile();
    for (const machine of cluster.machines) machine.pause(2_000);
    expect(cluster.with((client) => readAll(client, "/f"))).toEqual(whole);
  });

  test("that its consumer leaves, or that is interrupted, lets everything go", () => {
    const cluster = withFile();
    const code = cluster.with(async (client) => {
      for await (const _ of client.read("/f")) break;
      const abort = new AbortController();
      const reading = (async () => {
        for await (const _ of client.read("/f", { signal: abort.signal })) abort.abort();
      })();
      return codeOf(reading);
    });
    expect(code).toBe("Interrupted");
  });

  test("of a file that is appended to ends where its primary says, and sees every acknowledged byte", () => {
    const cluster = withFile();
    const got = cluster.with(async (client) => {
      const seen: number[] = [];
      for (let i = 0; i < 5; i++) {
        await client.appendToFile("/f", sample(100, i));
        seen.push((await readAll(client, "/f", { offset: whole.length })).length);
      }
      return seen;
    });
    expect(got).toEqual([100, 200, 300, 400, 500]);
  });

  test.each([
    ["/none", {}, "NotFound"],
    ["/f", { offset: -1 }, "RangeInvalid"],
    ["/f", { length: 1.5 }, "RangeInvalid"],
    ["f", {}, "PathInvalid"],
  ])("of %s %p is %s", (path, range, expected) => {
    expect(withFile().with((client) => codeOf(readAll(client, path, range)))).toBe(expected);
  });
});

describe("download", () => {
  test("gives the target its name when it is whole, and leaves nothing else", () => {
    const [got, names] = withFile().with(async (client, { disk }) => {
      await disk.makeDirectory("/out");
      await client.downloadFile("/f", "/out/a");
      await client.downloadFile("/f", "/out");
      const file = await disk.open("/out/a", "read");
      const into = new Uint8Array(whole.length + 1);
      return [into.slice(0, await file.read(into, 0)), await disk.list("/out")] as const;
    });
    expect(got).toEqual(whole);
    expect(names).toEqual(["a", "f"]);
  });

  test("never takes the place of a file without being told to, and of nothing else at all", () => {
    const codes = withFile().with(async (client, { disk }) => {
      await disk.makeDirectory("/out/f");
      await (await disk.open("/out/a", "create")).close();
      return [
        await codeOf(client.downloadFile("/f", "/out/a")),
        await codeOf(client.downloadFile("/f", "/out/a", { overwrite: true })),
        await codeOf(client.downloadFile("/f", "/out", { overwrite: true })),
        await codeOf(client.downloadFile("/none", "/out/b")),
        await codeOf(client.downloadFile("/f", "/nowhere/b")),
        (await disk.list("/out")).join(),
      ];
    });
    expect(codes).toEqual(["Exists", "done", "IsDirectory", "NotFound", "NotFound", "a,f"]);
  });

  test("that fails, is interrupted or finds the disk full leaves nothing", () => {
    const cluster = withFile();
    cluster.client.mount("/small", 100_000);
    const outcome = cluster.with(async (client, { disk }) => {
      const full = await codeOf(client.downloadFile("/f", "/small/a"));
      const abort = new AbortController();
      const onProgress = (): void => abort.abort();
      const interrupted = await codeOf(client.downloadFile("/f", "/small/b", { signal: abort.signal, onProgress }));
      for (const { trouble } of cluster.servers) trouble.corruptReads = true;
      const corrupt = await codeOf(client.downloadFile("/f", "/small/c"));
      return [full, interrupted, corrupt, (await disk.list("/small")).join()];
    });
    expect(outcome).toEqual(["NoSpace", "Interrupted", "Corrupt", ""]);
  });
});
