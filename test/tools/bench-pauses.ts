/**
 * The longest that a request waits while the master does something with a million files: a client asks every 5 ms. What it waited for is the time that the master's main thread was on a
 * processor meanwhile, as far as this process could take the answer; the rest is the machine's, which may be busy with other things. Linux only.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { GfsClient } from "../../src/gfs.ts";
import { makeHostWorld } from "../../src/host/world.ts";
import { protocol } from "../../src/limits.ts";
import { ControlClient } from "../../src/net/control-client.ts";
import {
  chunkAllocate,
  draftCommit,
  draftCreate,
  draftWritten,
  sessionOpen,
  type WrittenChunk,
} from "../../src/wire/control/files.ts";
import { chunkHandle, chunkVersion, sequence } from "../../src/wire/ids.ts";
import { files, filesInLog, makeDataDirectory } from "./bench-start.ts";
import { atMost, type Row, Samples, told } from "./bench-rows.ts";
import { beginWait } from "./bench-load.ts";
import { Teller } from "./bench-teller.ts";
import { volumeOf } from "./million-files.ts";
import { TestCluster } from "./processes.ts";

/** 1.6 TB in chunks of 64 MB. */
const chunksOfOne = 25_000;
const askEveryMs = 5;
const timeoutMs = 60_000;

const version = chunkVersion(1);

/** One file of very many chunks, put by calls alone. */
async function putMany(control: ControlClient, master: string): Promise<void> {
  const { session } = await control.call(master, sessionOpen, { label: "" }, { timeoutMs });
  const mutation = (n: number) => ({ session, sequence: sequence(n), floor: sequence(n) });
  const target = { kind: "put" as const, path: "/many", overwrite: false };
  const { draft } = await control.call(master, draftCreate, { id: mutation(1), target }, { timeoutMs });
  const written: WrittenChunk[] = [];
  while (written.length < chunksOfOne) {
    const wanted = Array.from({ length: 100 }, () => ({ draft, bytes: 64_000_000, excluded: [] }));
    const placed = await Promise.all(wanted.map((each) => control.call(master, chunkAllocate, each, { timeoutMs })));
    for (const { placement } of placed) {
      const { handle, chain } = placement;
      written.push({ handle, version, length: 64_000_000, crc: 1, volumes: chain.map(({ volume }) => volume) });
    }
  }
  const page = protocol.writtenChunksMax;
  const first = written[0]?.handle ?? chunkHandle(1);
  let from = 0;
  for (; written.length - from > page; from += page) {
    const body = { draft, first, from, chunks: written.slice(from, from + page) };
    await control.call(master, draftWritten, body, { timeoutMs });
  }
  await control.call(
    master,
    draftCommit,
    { id: mutation(2), draft, first, chunks: written.slice(from) },
    { timeoutMs },
  );
}

export async function pauseRows(directory: string): Promise<Row[]> {
  const data = join(directory, "master");
  await makeDataDirectory(data);
  await using cluster = await TestCluster.start({ directory, chunkservers: 0 });
  await using client = await GfsClient.connect({ master: cluster.address });
  const asker = new ControlClient(makeHostWorld({ logLevel: "error", logFormat: "text" }), {
    role: "client",
    clusterId: () => undefined,
  });
  const teller = new ControlClient(makeHostWorld({ logLevel: "error", logFormat: "text" }), {
    role: "chunkserver",
    clusterId: () => undefined,
  });
  const samples = new Samples();
  const during = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    const state = { going: true };
    const working = work().finally(() => {
      state.going = false;
    });
    working.catch(() => undefined);
    let [longest, busiest] = [0, 0];
    while (state.going) {
      const waited = beginWait(cluster.master.pid);
      await client.stat("/");
      const { ms, serversOwnMs } = waited();
      longest = Math.max(longest, ms);
      busiest = Math.max(busiest, serversOwnMs);
      await Bun.sleep(askEveryMs);
    }
    await working;
    samples.note(name, busiest);
    samples.note(`${name}, on the clock`, longest);
  };
  const checkpoints = (): number =>
    readdirSync(join(data, "checkpoints")).filter((name) => name.endsWith("checkpoint")).length;
  const until = async (done: () => Promise<boolean> | boolean): Promise<void> => {
    while (!(await done())) await Bun.sleep(100);
  };
  const verb = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await cluster.run(args, { timeoutMs: 600_000 });
    if (code !== 0) throw new Error(`gfs ${args.join(" ")}: ${stderr}`);
  };
  // Handles were given in the order in which the files were made.
  const held = { count: files, at: (n: number) => ({ handle: n + 1, file: (n + filesInLog) % files }) };
  const tellers = [0, 1, 2].map(
    (index) => new Teller(teller, { master: cluster.address, volume: volumeOf(index), held }),
  );
  try {
    // As much is in the log as makes a checkpoint due.
    await during("a checkpoint", () => until(() => checkpoints() > 1));
    for (const each of tellers) await each.begin();
    await during("nothing", () => Bun.sleep(3_000));
    await during("a report", async () => {
      for (const each of tellers) await each.tell();
    });
    await during("ls -R", () => verb("ls", "-R", "/"));
    await during(`a file of ${chunksOfOne} chunks`, () => putMany(asker, cluster.address));
    await during("rm -r", () => verb("rm", "-r", "--skip-trash", "/data"));
    await during("reaping", () => Bun.sleep(15_000));
  } finally {
    for (const each of tellers) each.end();
    teller.close();
    asker.close();
  }
  const works = ["nothing", "a checkpoint", "a report", "ls -R", `a file of ${chunksOfOne} chunks`, "rm -r", "reaping"];
  const waits = (work: string): Row[] => [
    atMost(`${work}: longest that a stat waited for the master`, samples.of(work), "ms", 50),
    told(`${work}: longest on the clock`, samples.of(`${work}, on the clock`), "ms"),
  ];
  return works.flatMap(waits);
}
