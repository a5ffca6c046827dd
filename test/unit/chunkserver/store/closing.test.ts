import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../../src/base/checksum.ts";
import { GfsError } from "../../../../src/base/errors.ts";
import { openStore } from "../../../../src/chunkserver/store/open-store.ts";
import type { Store } from "../../../../src/chunkserver/store/store.ts";
import { sleep } from "../../../../src/net/deadline.ts";
import { chunkHandle, chunkVersion } from "../../../../src/wire/ids.ts";
import {
  codeOf,
  content,
  openOptions,
  optionsOf,
  origin,
  putChunk,
  recordOf,
  runOf,
  simVolume,
  writeOptions,
} from "./sim-volume.ts";

const h = chunkHandle;
const v = chunkVersion;
const data = content(10_000);
const tail = { handle: h(2), version: v(2), length: 10_000, crc: crc32(data), origin, appendTable: [] };

/** A sealed chunk 1, an open one 3, and fenced ones 2 and 4, of which the former has all its bytes and the latter none. */
async function prepare(store: Store): Promise<void> {
  await putChunk(store, writeOptions(1), data);
  for (const handle of [2, 3, 4]) await store.openReplica(openOptions(handle));
  for (const handle of [2, 3]) await store.durable(store.append(recordOf(handle, 1, { offset: 0, data })));
  for (const handle of [2, 4]) await store.promise(h(handle), v(2));
}

const operations: readonly (readonly [string, (store: Store) => Promise<unknown>])[] = [
  ["a replica that is opened", (store) => store.openReplica(openOptions(9))],
  ["a put", (store) => putChunk(store, writeOptions(9), data)],
  ["a large put", (store) => putChunk(store, writeOptions(9), content(300_000))],
  [
    "a put of one frame",
    (store) => {
      const { handle, version } = writeOptions(9);
      return store.writeWhole({ handle, version, origin }, runOf(data, 0, data.length), crc32(data));
    },
  ],
  ["a record", async (store) => store.durable(store.append(recordOf(3, 2, { offset: data.length, data })))],
  ["a fence of an open replica", (store) => store.promise(h(3), v(2))],
  ["a fence of a sealed one", (store) => store.promise(h(1), v(2))],
  ["a finish", (store) => store.finish(tail)],
  [
    "a tail that is fetched",
    async (store) => {
      const writer = await store.beginTail({ ...tail, handle: h(4) });
      await writer.write(runOf(data, 0, data.length));
      await writer.close();
    },
  ],
  ["a removal", (store) => store.moveAside(h(1))],
  ["an epoch", (store) => store.seeEpoch({ number: 7, startId: "0".repeat(16) })],
];

describe("a store that closes", () => {
  for (const [what, operation] of operations) {
    test(`refuses ${what}, however far it has come, or does it`, () => {
      // So many microseconds into it, and after it is closed.
      for (const us of [0, 50, 100, 200, 400, 800, 1_600, "closed"] as const) {
        const { simulation, machine } = simVolume();
        const outcome = simulation.do(machine, async (world) => {
          const store = await openStore(world, optionsOf());
          await prepare(store);
          if (us === "closed") await store.close();
          const running = operation(store).then(
            () => "done",
            (error: unknown) => (error instanceof GfsError ? error.code : String(error)),
          );
          if (us !== "closed" && us > 0) await sleep(world.clock, us / 1_000);
          await store.close();
          return running;
        });
        expect(["done", "Unavailable", "ChunkClosed", "Interrupted"]).toContain(outcome);
        if (us === "closed") expect(outcome).toBe("Unavailable");
      }
    });
  }

  test("tells those who wait for room in its log at once", () => {
    const codes = simVolume().with(async (store, world) => {
      const puts: Promise<string>[] = [];
      while (store.hasRoom) {
        puts.push(codeOf(putChunk(store, writeOptions(puts.length + 1), content(20_000))));
        await sleep(world.clock, 0.1);
      }
      const waiting = codeOf(store.room());
      await store.close();
      await Promise.all(puts);
      return [await waiting, await codeOf(store.room())];
    });
    expect(codes).toEqual(["Unavailable", "Unavailable"]);
  });
});
