/**
 * Repair of a server that is lost: its rate without limits against a local copy with a sync in the same run, what each server that is left did of it, and what foreground
 * gets keep of their rate while repair runs under its default limits. REPAIR_MB (4096): bytes of files that are stored; REPAIR_REPLICAS (3) times each, on REPAIR_SERVERS (5).
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { GfsClient } from "../../src/gfs.ts";
import { cpuMicros, makeFile, startLoad } from "./bench-load.ts";
import { localCopy } from "./bench-limits.ts";
import { atMost, mib, type Row, shareOf, told } from "./bench-rows.ts";
import { TestCluster } from "./processes.ts";

const fileBytes = 256 * mib;
const asked = (name: string, usual: number): number => Number(process.env[name] ?? usual);
const files = Math.max(1, Math.round((asked("REPAIR_MB", 4_096) * mib) / fileBytes));
const replicas = asked("REPAIR_REPLICAS", 3);
const servers = asked("REPAIR_SERVERS", 5);
const quick = {
  GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: "1",
  GFS_MASTER_SAFE_MODE_SECONDS: "1",
  GFS_MASTER_REPLICATION_FACTOR: String(replicas),
  // Of three servers each is a third.
  GFS_MASTER_MASS_FAILURE_SHARE: "1",
};
const lookMs = 100;

/** Bytes that a process has read and written, files and sockets. */
function movedBytes(pid: number): number {
  const io = readFileSync(`/proc/${pid}/io`, "utf8");
  return ["rchar", "wchar"].reduce((sum, name) => sum + Number(new RegExp(`${name}: (\\d+)`).exec(io)?.[1] ?? 0), 0);
}

async function until(check: () => Promise<boolean>): Promise<void> {
  while (!(await check())) await Bun.sleep(lookMs);
}

interface Healing {
  readonly seconds: number;
  readonly bytes: number;
}

/** A server is killed and counted dead; resolves then, with what resolves when as many bytes as were missing are copied. */
async function lose(
  cluster: TestCluster,
  client: GfsClient,
  i: number,
): Promise<{ readonly healing: Promise<Healing> }> {
  const before = (await client.operator.repairStatus()).doneBytes;
  await cluster.chunkservers[i - 1]?.kill();
  let bytes = 0;
  await until(async () => {
    bytes = (await client.operator.repairStatus()).missingBytes;
    return bytes > 0;
  });
  const startedMs = performance.now();
  const heal = async (): Promise<Healing> => {
    await until(async () => (await client.operator.repairStatus()).doneBytes - before >= bytes);
    return { seconds: (performance.now() - startedMs) / 1_000, bytes };
  };
  return { healing: heal() };
}

export async function repairRows(directory: string): Promise<Row[]> {
  const source = join(directory, "repair-source");
  await makeFile(source, fileBytes);
  await using cluster = await TestCluster.start({ directory, chunkservers: servers, env: quick });
  await startLoad(cluster, ["upload", "/file", files, 2, fileBytes, source]).result;
  await using client = await GfsClient.connect({ master: cluster.address });
  const copy = await localCopy(source, directory);

  // Without limits.
  const free = ["--streams-per-server", "8", "--streams", "64", "--rate", "none", "--server-rate", "none"];
  await cluster.run(["repair", "limits", ...free]);
  const left = cluster.chunkservers.filter((_, i) => i !== 1);
  const before = left.map(({ pid }) => movedBytes(pid));
  const busy = left.map(({ pid }) => cpuMicros(pid));
  const first = await (await lose(cluster, client, 2)).healing;
  const cpuSeconds = left.reduce((sum, { pid }, i) => sum + cpuMicros(pid) - (busy[i] ?? 0), 0) / 1e6;
  const work = left.map(({ pid }, i) => movedBytes(pid) - (before[i] ?? 0));
  const share = (Math.max(...work) / work.reduce((sum, bytes) => sum + bytes, 0)) * work.length;

  // Under the default limits, beside gets; an empty server has come for the lost one.
  await cluster.run(["repair", "limits", "--reset"]);
  rmSync(cluster.chunkDirectory(2), { recursive: true, force: true });
  await cluster.restartChunkserver(2);
  await until(async () => (await client.operator.repairStatus()).short === 0);
  const gets = async (lost?: number): Promise<number> => {
    const chunkservers = cluster.chunkservers.filter((_, i) => i + 1 !== lost);
    const { address, master } = cluster;
    const args = ["download", "/file", files, 2, fileBytes, source];
    return (await startLoad({ address, master, chunkservers }, args).result).rate;
  };
  await gets();
  const alone = await gets();
  const { healing } = await lose(cluster, client, 3);
  const beside = await gets(3);
  const second = await healing;
  return [
    told("local copy with a sync", copy, "MB/s"),
    shareOf("repair without limits", first.bytes / 1e6 / first.seconds, "MB/s", {
      name: "the copy",
      value: copy,
      percent: 60,
    }),
    told("processor time of all servers for 1 GB", (1e9 * cpuSeconds) / first.bytes, "s"),
    told("bytes repaired", first.bytes / 1e6, "MB"),
    atMost("most that one server did, of its share", share, "", 2),
    told("gets alone", alone, "MB/s"),
    shareOf("gets beside repair by default limits", beside, "MB/s", { name: "alone", value: alone, percent: 70 }),
    told("repair by default limits", second.bytes / 1e6 / second.seconds, "MB/s"),
  ];
}
