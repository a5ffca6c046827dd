import type { KnownKill, Mutant } from "./mutant.ts";

/** The first that noticed, then others: the source changes, and with it what a seed does. */
function seeds(scenario: string, ...numbers: readonly number[]): KnownKill[] {
  return numbers.map((seed) => ({ scenario, seed }));
}

export const mutants: readonly Mutant[] = [
  // ------------------------------------------------ DESIGN §4.3, the rules that were modelled
  {
    name: "seal-with-one-copy",
    rule: "a seal is logged only when at least min(2, chain length) members hold all of it durably",
    edits: [
      {
        file: "src/master/core/seal-target.ts",
        find: "return target.length === 0 ? 1 : Math.min(2, members(machine).length);",
        replace: "return target.length < 0 ? 2 : 1 + 0 * members(machine).length;",
      },
    ],
    killedBy: seeds("lone", 1, 2, 3, 4, 5, 6),
  },
  {
    name: "no-seal-before-replace",
    rule: "what replaces or removes a file first seals its open tail",
    edits: [
      {
        file: "src/master/core/tails.ts",
        find: "  if (open === undefined) return;\n",
        replace: "  if (open === undefined || inode > 0) return;\n",
      },
      {
        file: "src/master/tail-service.ts",
        find: "if (inode === undefined || openTailsUnder(ctx.state, inode).length === 0) return decide();",
        replace: "if (inode === undefined || inode > 0) return decide();",
      },
    ],
    killedBy: seeds("replace", 1, 2),
  },
  {
    name: "one-version-number",
    rule: "a replica keeps the version it promised and the version of its bytes apart",
    edits: [
      {
        file: "src/master/core/reports.ts",
        find: '  if (entry.state === "sealed" && entry.dataVersion === version)\n',
        replace:
          '  if (entry.state === "fenced" && entry.promisedVersion === version) return "healthy";\n  if (entry.state === "sealed" && entry.dataVersion === version)\n',
      },
    ],
    killedBy: seeds("storm", 4, 1, 2, 3, 5, 6),
  },
  {
    name: "silence-is-death",
    rule: "no answer to a fence says nothing about what a member holds",
    edits: [
      {
        file: "src/master/core/seal.ts",
        find: '  if (failure.kind === "failed" && (failure.code === "VolumeRetired" || failure.code === "DiskFailed"))\n    party.gone = true;\n}\n\n/** Attempts',
        replace: '  if (failure.kind !== "failed") party.gone = true;\n}\n\n/** Attempts',
      },
    ],
    killedBy: seeds("storm", 1, 2, 3),
  },
  {
    name: "finish-sent-once",
    rule: "finish is sent again until it is confirmed",
    edits: [
      {
        file: "src/master/core/seal.ts",
        find: "  const { failure, effects } = step;\n  backOff(party, step.time);\n",
        replace: "  const { failure, effects } = step;\n  backOff(party, step.time);\n  party.finished = true;\n",
      },
      {
        file: "src/master/reports.ts",
        find: "if (unfinished.length > 0) inBackground",
        replace: "if (unfinished.length < 0) inBackground",
      },
    ],
    killedBy: seeds("storm", 3, 1, 2, 4, 5),
  },
  {
    name: "no-table-handed-on",
    rule: "the append table goes on to the inode's next tail",
    edits: [
      {
        file: "src/master/tail-service.ts",
        find: "tableForTail(state.appendTables, request.inode, limits.appendTableMax);",
        replace: "tableForTail(state.appendTables, request.inode, limits.appendTableMax).slice(0, 0);",
      },
    ],
    killedBy: seeds("storm", 1, 2),
  },
  {
    name: "bounded-recent-ids",
    rule: "the append table holds an answer for every session, not the last few of all",
    edits: [
      {
        file: "src/master/tail-service.ts",
        find: "tableForTail(state.appendTables, request.inode, limits.appendTableMax);",
        replace: "tableForTail(state.appendTables, request.inode, limits.appendTableMax).slice(-2);",
      },
    ],
    killedBy: seeds("storm", 1, 2),
  },
  {
    name: "no-second-look",
    rule: "a member looks at its promise again after the sync, and votes only if it did not rise",
    edits: [
      {
        file: "src/chunkserver/commands.ts",
        find: "role.fenced(version);",
        replace: "role.version;",
      },
      // By the order of one log a fence's answer counts every record before it, and the look finds nothing: here it is answered from what is durable.
      {
        file: "src/chunkserver/store/promise-version.ts",
        find: '  await ground.log.commit({ kind: "promised", handle, version });\n  return answerOf(ground, handle, version);\n}\n\n/** After',
        replace:
          '  const early = answerOf(ground, handle, version);\n  await ground.log.commit({ kind: "promised", handle, version });\n  return early;\n}\n\n/** After',
      },
      {
        file: "src/chunkserver/open-secondary.ts",
        find: "if (promised > state.version) return this.fenced(promised);",
        replace: "if (promised < state.version) return this.fenced(promised);",
      },
      {
        file: "src/chunkserver/open-secondary.ts",
        find: "if (vote <= this.#voted || this.#state.stopped !== undefined) return;",
        replace: "if (vote <= this.#voted) return;",
      },
      {
        file: "src/chunkserver/open-primary.ts",
        find: "if (promised > member.version) return this.fenced(promised);",
        replace: "if (promised < member.version) return this.fenced(promised);",
      },
      {
        file: "src/chunkserver/core/member.ts",
        find: "if (state.promised > state.version || state.stopped !== undefined) return;",
        replace: "",
      },
    ],
    killedBy: seeds("distrust", 1, 2, 3),
  },
  {
    name: "page-cache-trusted",
    rule: "after SIGKILL what is found is synced before it is reported or answers a fence",
    edits: [
      {
        file: "src/log/recover.ts",
        find: "        await file.sync();\n      } finally {\n        await file.close();\n      }\n    }\n    await disk.syncDirectory(directory);",
        replace:
          "      } finally {\n        await file.close();\n      }\n    }\n    await disk.syncDirectory(directory);",
      },
    ],
    killedBy: seeds("pageCache", 1, 2, 3, 4),
  },
  {
    name: "shortest-committed",
    rule: "a seal never goes by the committed lengths that members know",
    edits: [
      {
        file: "src/master/core/seal.ts",
        find: "party.holds = { length: answer.prepared, crc: answer.crc, appendTable",
        replace: "party.holds = { length: Math.min(answer.prepared, answer.committed), crc: answer.crc, appendTable",
      },
    ],
    killedBy: seeds("storm", 1, 2),
  },
  {
    name: "acknowledged-before-the-sync",
    rule: "a member votes only for what is synced",
    edits: [
      {
        file: "src/chunkserver/group-sync.ts",
        find: "await this.#context.store.durable(this.#position);",
        replace: "await Promise.resolve();",
      },
    ],
    killedBy: seeds("blackouts", 1, 2, 3),
  },
  // ------------------------------------------------ other rules of appends and seals
  {
    name: "fence-not-durable",
    rule: "a fence is durable before it is answered",
    edits: [
      {
        file: "src/chunkserver/store/promise-version.ts",
        find: '  await ground.log.commit({ kind: "promised", handle, version });\n  return answerOf',
        replace:
          '  if (active.state === "open") active.state = "fenced";\n  ground.log.write({ kind: "promised", handle, version });\n  return answerOf',
      },
    ],
    killedBy: seeds("blackouts", 1, 2, 3),
  },
  {
    name: "own-vote-is-enough",
    rule: "a member votes for what all members below it have voted for",
    edits: [
      {
        file: "src/chunkserver/core/member.ts",
        find: "return Math.min(state.own, state.downstream);",
        replace: "return state.own;",
      },
    ],
    killedBy: seeds("storm", 3, 1, 2, 4),
  },
  // ------------------------------------------------ log, outbox, sessions
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
    killedBy: seeds("forgetful", 1, 2, 3),
  },
  {
    name: "mutations-forgotten",
    rule: "a retried mutation gets the first answer",
    edits: [
      {
        file: "src/master/core/sessions.ts",
        find: "  if (answer !== undefined) {\n    const samePrint",
        replace:
          '  if (answer !== undefined && answer.message === request.message) return { kind: "new" };\n  if (answer !== undefined) {\n    const samePrint',
      },
    ],
    killedBy: seeds("lostAnswers", 1, 2, 3),
  },
  {
    name: "unknown-means-failed",
    rule: "no answer means that the outcome is unknown, and a retry goes under the same sequence",
    edits: [
      {
        file: "src/client/append-line.ts",
        find: 'const known = waiting.sequence === undefined || hasCode(error, "IdReused");',
        replace: 'const known = waiting.sequence !== undefined || hasCode(error, "IdReused");',
      },
    ],
    killedBy: seeds("impatient", 1, 2, 3),
  },
  {
    name: "put-not-synced",
    rule: "a put's bytes are synced before the record that makes them count",
    edits: [
      {
        file: "src/chunkserver/store/file-stream.ts",
        find: "    this.#throwFailure();\n    await this.#file.sync();\n",
        replace: "    await Promise.resolve();\n",
      },
    ],
    killedBy: seeds("puts", 4, 1, 2, 3, 5, 6),
  },
];
