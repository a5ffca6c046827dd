/**
 * Load on a cluster from one compiled process, for the benchmark: `gfs-bench MASTER WORK ARGUMENTS…`; prints one JSON object. Data is random, and what is read is
 * compared in length.
 */
import { GfsClient } from "../../src/gfs.ts";

const [master = "", work = "", ...rest] = process.argv.slice(2);

/** Runs `count` calls of `run`, `width` at a time; calls a second. */
async function rate(count: number, width: number, run: (i: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let i = next++; i < count; i = next++) await run(i);
    }),
  );
  return count / ((performance.now() - startedMs) / 1_000);
}

async function main(): Promise<void> {
  await using client = await GfsClient.connect({ master });
  const [path = "/bench", countText = "1000", widthText = "1", sizeText = "0"] = rest;
  const count = Number(countText);
  const width = Number(widthText);
  const data = crypto.getRandomValues(new Uint8Array(Number(sizeText)));
  const name = (i: number): string => `${path}/${i}`;
  const result = await (async () => {
    switch (work) {
      case "put":
        return rate(count, width, (i) => client.put({ kind: "bytes", bytes: data }, name(i)));
      case "stat":
        return rate(count, width, (i) => client.stat(name(i)));
      case "read":
        return rate(count, width, async (i) => {
          let bytes = 0;
          for await (const piece of client.read(name(i))) bytes += piece.length;
          if (bytes !== data.length) throw new Error(`${name(i)} has ${bytes} bytes, not ${data.length}`);
        });
      case "append-serial": {
        await using appender = await client.appender(path);
        return await rate(count, 1, () => appender.append(data));
      }
      case "append": {
        await using appender = await client.appender(path);
        const startedMs = performance.now();
        const pending: Promise<unknown>[] = [];
        for (let i = 0; i < count; i++) {
          await appender.ready();
          pending.push(appender.append(data));
        }
        await Promise.all(pending);
        return count / ((performance.now() - startedMs) / 1_000);
      }
      default:
        throw new Error(`unknown work ${work}`);
    }
  })();
  process.stdout.write(`${JSON.stringify({ rate: result, residentMb: process.memoryUsage().rss / 1e6 })}\n`);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exit(1);
  },
);
