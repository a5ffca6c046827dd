/** Rules taken out: seals: fences, the length, the record, and finish (DESIGN §4.3). */
import type { Mutant } from "../mutant.ts";

export const sealMutants: readonly Mutant[] = [
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
    scenarios: ["lone"],
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
        find: "if (inode === undefined || openTailsUnder(ctx.state, inode).length === 0) return decideNow(decide);",
        replace: "if (inode === undefined || inode > 0) return decideNow(decide);",
      },
    ],
    scenarios: ["replace"],
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
    scenarios: ["squall"],
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
    scenarios: ["squall"],
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
    scenarios: ["squall"],
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
    scenarios: ["pageCache"],
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
    scenarios: ["squall"],
  },
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
    scenarios: ["blackouts"],
  },
  {
    name: "seal-begun-not-durable",
    rule: "a seal is begun in the log before anybody is told",
    edits: [
      {
        file: "src/master/sealer.ts",
        find: '  await ctx.engine.commit([{ kind: "seal-begun", handle, version }]);',
        replace: '  void ctx.engine.commit([{ kind: "seal-begun", handle, version }]);\n  await Promise.resolve();',
      },
      {
        file: "src/master/commands.ts",
        find: "    await this.#engine.release(undefined);\n",
        replace: "    await Promise.resolve();\n",
      },
    ],
    scenarios: ["forgetful"],
  },
  {
    name: "fence-not-repeated",
    rule: "a fence is sent again until it is answered",
    edits: [
      {
        file: "src/master/core/seal.ts",
        find: '  party.refusing = failure.kind === "refused";',
        replace: '  party.refusing = failure.kind === "refused";\n  party.retryAtMs = Number.POSITIVE_INFINITY;',
      },
    ],
    scenarios: ["squall"],
  },
  {
    name: "no-empty-fence",
    rule: "a member that never created the chunk makes an empty fenced replica and answers",
    edits: [
      {
        file: "src/chunkserver/store/promise-version.ts",
        find: "if (row === undefined || row.promised < version) await ground.log",
        replace:
          'if (row === undefined) throw new GfsError("ReplicaMissing", `${stale}: this volume has none`);\n    if (row.promised < version) await ground.log',
      },
    ],
    scenarios: ["squall", "brief"],
  },
  {
    name: "tail-opened-not-durable",
    rule: "a tail is in the log before its members open it",
    edits: [
      {
        file: "src/master/tail-service.ts",
        find: "  await ctx.engine.commit(records);\n",
        replace: "  void ctx.engine.commit(records);\n  await Promise.resolve();\n",
      },
      {
        file: "src/master/commands.ts",
        find: "    await this.#engine.release(undefined);\n",
        replace: "    await Promise.resolve();\n",
      },
    ],
    scenarios: ["forgetful"],
  },
  {
    name: "seals-not-resumed",
    rule: "a started master goes on with the seals that were begun",
    edits: [{ file: "src/master/master.ts", find: "    resumeSeals(ctx);\n", replace: "" }],
    scenarios: ["lostAppendsRestarts"],
  },
  {
    name: "fetched-tail-without-its-table",
    rule: "a tail is fetched with the append answers of its records",
    edits: [
      {
        file: "src/chunkserver/store/volume-state.ts",
        find: "active.answers.merge(record.appendTable);",
        replace: "active.answers.merge(record.appendTable.slice(0, 0));",
      },
    ],
    scenarios: ["fetchedTails"],
  },
  {
    name: "rot-of-a-source-is-the-members-fault",
    rule: "a source's rot is its own, and members that were blamed beside a lost one count again",
    edits: [
      {
        file: "src/chunkserver/copy-chunk.ts",
        find: 'return error.code === "Corrupt" ?',
        replace: 'return error.code === "Bug" ?',
      },
      { file: "src/master/core/seal.ts", find: "if (wasSource) reopenBlamed(machine);", replace: "" },
    ],
    scenarios: ["rottenSources"],
  },
];
