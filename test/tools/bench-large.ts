/** Large files: puts and gets of one, and of four at once, against what the disk and loopback give in the same run. */
import { join } from "node:path";
import { localCopy, loopback, writeAndSync } from "./bench-limits.ts";
import { makeFile, shell } from "./bench-load.ts";
import { atLeast, mib, type Row, runs, Samples, shareOf, told } from "./bench-rows.ts";
import { gfsPath, TestCluster } from "./processes.ts";

const bigBytes = Number(process.env["BIG_MB"] ?? 1_024) * mib;
const partBytes = Math.floor(bigBytes / 4);

/** One shell command that runs four others at once and fails if any does. */
function fourAtOnce(command: (i: number) => string): string {
  const started = [1, 2, 3, 4].map((i) => `${command(i)} & pids="$pids $!"`).join("; ");
  return `pids=; ${started}; for p in $pids; do wait $p || exit 1; done`;
}

export async function largeRows(directory: string): Promise<Row[]> {
  const source = join(directory, "source");
  await makeFile(source, bigBytes);
  for (const i of [1, 2, 3, 4]) await makeFile(`${source}.${i}`, partBytes);
  const samples = new Samples();
  // Replaced files go at once, or the disk would hold every run's.
  const env = { GFS_MASTER_TRASH_SECONDS: "1", GFS_MASTER_DELETE_GRACE_SECONDS: "1" };
  await using cluster = await TestCluster.start({ env });
  const call = (args: string): string => `${gfsPath} ${args} --quiet --master ${cluster.address}`;
  const timed = async (name: string, bytes: number, command: string): Promise<void> =>
    samples.note(name, bytes / 1e6 / (await shell(command)));
  for (let run = 0; run < runs; run++) {
    samples.note("one file", await writeAndSync(directory, 1, bigBytes));
    await timed("put 1", bigBytes, call(`put ${source} /one --overwrite --replicas 1`));
    samples.note("three files", await writeAndSync(directory, 3, bigBytes));
    await timed("put 3", bigBytes, call(`put ${source} /three --overwrite`));
    const put = (i: number): string => call(`put ${source}.${i} /four.${i} --overwrite`);
    await timed("4 puts", 4 * partBytes, fourAtOnce(put));
    // Four puts of three replicas write as many.
    samples.note("twelve files", 4 * (await writeAndSync(directory, 12, partBytes)));
    samples.note("copy", await localCopy(source, directory));
    samples.note("loopback", await loopback(4 * bigBytes));
    await timed("get", bigBytes, `${call("get /three -")} | cat > /dev/null`);
    const get = (i: number): string => `${call(`get /four.${i} -`)} | cat > /dev/null`;
    await timed("4 gets", 4 * partBytes, fourAtOnce(get));
  }
  const of = (name: string): number => samples.of(name);
  const size = `${Math.round(bigBytes / mib)} MiB`;
  const part = `${Math.round(partBytes / mib)} MiB`;
  const whole = (name: string, percent: number) => ({ name, value: of(name), percent });
  return [
    told("limit: write and sync one file", of("one file"), "MB/s"),
    told("limit: write and sync three at once, each", of("three files"), "MB/s"),
    told(`limit: write and sync twelve of ${part} at once, each three`, of("twelve files"), "MB/s"),
    told("limit: local copy with a sync", of("copy"), "MB/s"),
    told("limit: loopback TCP", of("loopback"), "MB/s"),
    shareOf(`put ${size}, 1 replica`, of("put 1"), "MB/s", whole("one file", 60)),
    shareOf(`put ${size}, 3 replicas`, of("put 3"), "MB/s", whole("three files", 70)),
    atLeast(`get ${size}, 3 replicas, to a pipe`, of("get"), "MB/s", 800),
    shareOf(`4 puts of ${part} at once, in sum`, of("4 puts"), "MB/s", whole("put 3", 80)),
    shareOf(`4 gets of ${part} at once, in sum`, of("4 gets"), "MB/s", whole("get", 80)),
  ];
}
