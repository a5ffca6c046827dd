import { describe, expect, test } from "bun:test";
import { tableToWire } from "../../src/chunkserver/core/append-table.ts";
import { committedAnswers, primaryFailed, primaryTick, stoppedReason } from "../../src/chunkserver/core/primary.ts";
import { appendRecordBytesMax, protocol } from "../../src/limits.ts";
import { sequence, sessionId } from "../../src/wire/ids.ts";
import { answersOf, AppendChain, refusalsOf } from "./append-chain.ts";

describe("paper §3.3 atomic record appends", () => {
  test("the client gives only the data; the offset is of the file system's choosing, and is returned", () => {
    const chain = new AppendChain({ fileOffset: 64_000_000 });
    chain.append("ten bytes.", { number: 1 });
    chain.append("more", { session: 2, number: 1 });
    expect(answersOf(chain.syncAll())).toEqual([
      [1, 64_000_000],
      [1, 64_000_010],
    ]);
  });

  test("a record that would exceed the chunk is refused for the next one; the paper pads, here the chunk is sealed short", () => {
    const chain = new AppendChain({ chunkBytes: 20 });
    chain.append("fifteen bytes..", { number: 1 });
    expect(chain.append("sixteen bytes...", { number: 2 })).toEqual([]);
    // What was accepted before is answered first, and nothing but it is in the chunk.
    const effects = chain.syncAll();
    expect(answersOf(effects)).toEqual([[1, 0]]);
    expect(refusalsOf(effects)).toEqual(["ChunkFull"]);
    expect(stoppedReason(chain.primary)).toBe("full");
    for (const log of chain.logs) expect(log).toEqual(["fifteen bytes.."]);
  });

  test("a record exactly as long as the rest of the chunk fits", () => {
    const chain = new AppendChain({ chunkBytes: 20 });
    chain.append("fifteen bytes..", { number: 1 });
    expect(refusalsOf(chain.append("five.", { number: 2 }))).toEqual([]);
  });

  test.each([
    [64_000_000, 4 * 1_048_576],
    [4 * 1_048_576, 1_048_576],
    [65_536, 16_384],
  ])("a record is at most a quarter of the chunk size, and 4 MiB: of %d", (chunkBytes, recordBytes) => {
    expect(appendRecordBytesMax(chunkBytes)).toBe(recordBytes);
    expect(recordBytes).toBeLessThanOrEqual(protocol.appendRecordBytesMax);
  });

  test("the paper: at least once. Here exactly once: a retry of an answered record gets the first answer", () => {
    const chain = new AppendChain();
    chain.append("record", { number: 1 });
    chain.syncAll();
    expect(answersOf(chain.append("record", { number: 1 }))).toEqual([[1, 0]]);
    expect(chain.logs[0]).toEqual(["record"]);
    expect(refusalsOf(chain.append("another", { number: 1 }))).toEqual(["IdReused"]);
  });

  test("if an append fails at any replica, the client retries: under the same id, on the next chunk, with the table of the first", () => {
    const chain = new AppendChain();
    chain.append("answered ", { number: 1 });
    chain.syncAll();
    chain.append("prepared everywhere, not answered ", { number: 2 });
    expect(refusalsOf(primaryFailed(chain.primary, "a member was reset"))).toEqual(["ChunkClosed"]);
    // The seal found it in the longest prefix: its table has it, so the retry is answered and not written again.
    const next = new AppendChain({ fileOffset: 43, appendTable: tableToWire(chain.primary.table) });
    expect(answersOf(next.append("prepared everywhere, not answered ", { number: 2 }))).toEqual([[2, 9]]);
    expect(next.logs[0]).toEqual([]);
    // The seal cut it off: the retry is written, once.
    const table = [{ session: sessionId(1), answers: committedAnswers(chain.primary, sessionId(1)) }];
    const cut = new AppendChain({ fileOffset: 9, appendTable: table });
    cut.append("prepared everywhere, not answered ", { number: 2 });
    expect(answersOf(cut.syncAll())).toEqual([[2, 9]]);
  });

  test("records of one client keep their order: none is accepted before the one that comes first", () => {
    const chain = new AppendChain();
    expect(refusalsOf(chain.append("third", { number: 3 }))).toEqual(["ProtocolError"]);
    chain.append("first", { number: 1 });
    chain.append("second", { number: 2 });
    chain.append("third", { number: 3 });
    chain.syncAll();
    expect(chain.logs[2]).toEqual(["first", "second", "third"]);
  });

  test("a member that is silent for the prepare deadline, and not a moment less, rolls the chunk back", () => {
    const chain = new AppendChain();
    chain.append("record", { number: 1, nowMs: 100 });
    expect(primaryTick(chain.primary, 5_099)).toEqual([]);
    expect(refusalsOf(primaryTick(chain.primary, 5_100))).toEqual(["ChunkClosed"]);
    expect(chain.primary.table.sessions.get(sessionId(1))!.at(-1)!.sequence).toBe(sequence(1));
  });
});
