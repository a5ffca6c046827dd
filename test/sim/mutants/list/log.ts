/** Rules taken out: operation log, outbox, checkpoint and recovery (DESIGN §4.1, §4.7). */
import type { Mutant } from "../mutant.ts";

export const logMutants: readonly Mutant[] = [
  {
    name: "outbox-open",
    rule: "nothing leaves the master before the log is durable up to it",
    edits: [
      {
        file: "src/master/engine.ts",
        find: "    await this.#outbox.until(this.#log.lastPosition);\n    return value;",
        replace: "    await Promise.resolve();\n    return value;",
      },
    ],
    scenarios: ["forgetful"],
  },
  {
    name: "log-not-synced",
    rule: "the log is synced before what it holds leaves",
    edits: [
      {
        file: "src/log/mirror.ts",
        find: 'this.#current = await this.#disk.open(`${this.directory}/${segmentFileName(current)}`, "through");',
        replace: 'this.#current = await this.#disk.open(`${this.directory}/${segmentFileName(current)}`, "write");',
      },
      {
        file: "src/log/mirror.ts",
        find: 'const file = await this.#disk.open(spare, "through");',
        replace: 'const file = await this.#disk.open(spare, "write");',
      },
    ],
    scenarios: ["forgetful"],
  },
  {
    name: "acknowledged-before-the-write",
    rule: "a group commit tells nobody before its batch is written",
    edits: [
      {
        file: "src/log/segment-log.ts",
        find: 'await this.#everywhere("write", (mirror) => mirror.writeThrough(encoded.pieces, this.#offset));',
        replace:
          'const at = this.#offset;\n    void this.#everywhere("write", (mirror) => mirror.writeThrough(encoded.pieces, at));\n    await Promise.resolve();',
      },
    ],
    scenarios: ["forgetful"],
  },
  {
    name: "torn-tail-refused",
    rule: "a torn tail is cut at the last whole record, and the start goes on",
    edits: [
      {
        file: "src/log/survey.ts",
        find: "const beyond = next === undefined ? positionBeyond(bytes, header, walk) : undefined;",
        replace:
          "const torn = bytes.subarray(walk.end).some((byte) => byte !== 0) ? walk.last + 1 : undefined;\n    const beyond = next === undefined ? (positionBeyond(bytes, header, walk) ?? torn) : undefined;",
      },
    ],
    scenarios: ["brief", "squall"],
  },
  {
    name: "whole-batch-cut",
    rule: "recovery keeps every whole batch",
    edits: [
      {
        file: "src/log/segment.ts",
        find: "    each(end, batch);\n    end = aligned(end + batch.bytes);",
        replace:
          '    const after = aligned(end + batch.bytes);\n    if (last >= header.first && typeof decodeBatch(segment, after, seed) === "string") return { end, last, lastCrc, why: "the last" };\n    each(end, batch);\n    end = after;',
      },
      {
        file: "src/log/segment.ts",
        find: "return findLaterBatch(segment, walk.end, seedOf(header), walk.last)?.last;",
        replace:
          'return walk.why === "the last" ? undefined : findLaterBatch(segment, walk.end, seedOf(header), walk.last)?.last;',
      },
    ],
    scenarios: ["brief"],
  },
  {
    name: "checkpoint-without-answers",
    rule: "a checkpoint holds the answers that sessions may ask for again",
    edits: [
      {
        file: "src/master/core/dump-sessions.ts",
        find: "for (const [session, { answers }] of sorted(state.sessions.byId))",
        replace: "for (const [session, { answers }] of sorted(state.sessions.byId).slice(0, 0))",
      },
    ],
    scenarios: ["lostAnswersRestarts"],
  },
  {
    name: "checkpoint-without-append-tables",
    rule: "a checkpoint holds the append tables",
    edits: [
      {
        file: "src/master/core/dump-sessions.ts",
        find: "for (const [inode] of sorted(state.appendTables.byInode))",
        replace: "for (const [inode] of sorted(state.appendTables.byInode).slice(0, 0))",
      },
    ],
    scenarios: ["lostAppendsRestarts"],
  },
  {
    name: "log-trimmed-too-early",
    rule: "the volume log lets go only of bytes that are synced in their data files",
    edits: [
      {
        file: "src/chunkserver/store/chunk-filer.ts",
        find: "    await file.write([bytes, trailerOf(ground, active)], 0);\n    await file.sync();",
        replace: "    await file.write([bytes, trailerOf(ground, active)], 0);",
      },
      {
        file: "src/chunkserver/store/chunk-filer.ts",
        find: "      await file.truncate(length + trailer.length);\n    }\n    await file.sync();",
        replace: "      await file.truncate(length + trailer.length);\n    }",
      },
    ],
    scenarios: ["spills"],
  },
  {
    name: "epoch-does-not-rise",
    rule: "each start of the master has a higher epoch",
    edits: [
      {
        file: "src/master/operation-log.ts",
        find: "const number = Math.max(state.cluster.epoch?.number ?? 0, restored?.epoch ?? 0) + 1;",
        replace: "const number = Math.max(1, state.cluster.epoch?.number ?? 0, restored?.epoch ?? 0);",
      },
      {
        file: "src/master/core/apply.ts",
        find: 'assert(record.epoch.number > (state.cluster.epoch?.number ?? 0), "epochs rise");',
        replace: "",
      },
    ],
    scenarios: ["brief"],
  },
  {
    name: "cluster-time-goes-back",
    rule: "cluster time goes on from the log, and never back",
    edits: [
      {
        file: "src/master/cluster-clock.ts",
        find: "this.#baseMs = clusterMs + Math.min",
        replace: "this.#baseMs = 0 * clusterMs + Math.min",
      },
      {
        file: "src/master/engine.ts",
        find: "clusterMs: Math.max(this.now().clusterMs, this.state.cluster.clusterMs),",
        replace: "clusterMs: this.now().clusterMs,",
      },
    ],
    scenarios: ["brief"],
  },
  {
    name: "checkpoint-without-tails",
    rule: "a checkpoint holds the open tails",
    edits: [
      {
        file: "src/master/core/dump-sessions.ts",
        find: "sorted(state.tails), (writer",
        replace: "sorted(state.tails).slice(0, 0), (writer",
      },
    ],
    scenarios: ["lostAnswersRestarts", "brief"],
  },
  {
    name: "outbox-lets-all-go",
    rule: "what leaves the master waits for its own position in the log",
    edits: [
      {
        file: "src/master/outbox.ts",
        find: "if (next === undefined || next.position > position) break;",
        replace: "if (next === undefined) break;",
      },
    ],
    scenarios: ["forgetful"],
  },
  {
    name: "early-facts-told",
    rule: "a read waits until all that it can depend on is durable",
    edits: [
      {
        file: "src/master/engine.ts",
        find: "return this.release(compute(this.now()));",
        replace: "return compute(this.now());",
      },
    ],
    scenarios: ["earlyFacts"],
  },
  {
    name: "commit-wakes-all",
    rule: "a group commit wakes those whose entries are in it",
    edits: [
      {
        file: "src/log/segment-log.ts",
        find: "if (waiter.position <= this.#durable) waiter.resolve();",
        replace: "if (waiter.position > 0) waiter.resolve();",
      },
    ],
    scenarios: ["hastyAppends"],
  },
];
