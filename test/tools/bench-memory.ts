/** Most memory that processes ever had resident, in transfers and at a million files. Linux only: it reads /proc. */
import { join, resolve } from "node:path";
import { makeFile, peakMib, resetPeak, startLoad } from "./bench-load.ts";
import { atMost, mib, type Row, told } from "./bench-rows.ts";
import { cleanEnvironment, TestCluster } from "./processes.ts";

const oneBytes = Number(process.env["BIG_MB"] ?? 1_024) * mib;

async function transfer(
  cluster: TestCluster,
  work: "upload" | "download",
  streams: 1 | 4,
  file: { readonly source: string; readonly bytes: number },
): Promise<{ readonly client: number; readonly server: number }> {
  for (const { pid } of cluster.chunkservers) resetPeak(pid);
  const args = [work, `/${streams}`, streams, streams, file.bytes, file.source];
  const { peakMib: client } = await startLoad(cluster, args).result;
  const server = Math.max(...cluster.chunkservers.map(({ pid }) => peakMib(pid) ?? Number.NaN));
  return { client, server };
}

export async function memoryRows(directory: string): Promise<Row[]> {
  const rows: Row[] = [];
  {
    const source = join(directory, "memory-source");
    await makeFile(source, oneBytes);
    await using cluster = await TestCluster.start();
    for (const [streams, bar] of [[1, 150] as const, [4, 256] as const]) {
      const many = streams === 1 ? "one stream" : "four streams";
      for (const work of ["upload", "download"] as const) {
        const { client, server } = await transfer(cluster, work, streams, { source, bytes: oneBytes });
        const verb = work === "upload" ? "put" : "get";
        rows.push(atMost(`memory of the client, ${verb}, ${many}`, client, "MiB", bar));
        rows.push(atMost(`memory of a chunkserver, ${verb}, ${many}`, server, "MiB", bar));
      }
    }
  }
  const script = resolve(import.meta.dirname, "bench-namespace.ts");
  const child = Bun.spawn([process.execPath, script, "--files", "1000000"], {
    stdout: "pipe",
    stderr: "inherit",
    env: cleanEnvironment(),
  });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error("bench-namespace.ts failed");
  const figure = (pattern: RegExp): number => Number(pattern.exec(text)?.[1]);
  rows.push(
    atMost("master's memory a one-chunk file, at a million", figure(/^resident (\d+) B a file/m), "B", 300),
    told("master's full collection at a million files", figure(/^collection ([\d.]+) ms/m), "ms"),
  );
  return rows;
}
