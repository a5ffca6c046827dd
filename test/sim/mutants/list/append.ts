/** Rules taken out: appends along a chain, and the append table that makes them take effect once (DESIGN §4.3). */
import type { Mutant } from "../mutant.ts";

export const appendMutants: readonly Mutant[] = [
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
    scenarios: ["squall"],
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
    scenarios: ["squall"],
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
    scenarios: ["distrust"],
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
    scenarios: ["blackouts"],
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
    scenarios: ["squall"],
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
    scenarios: ["impatient"],
  },
  {
    name: "commit-without-the-chain",
    rule: "the primary answers when every member has voted",
    edits: [
      {
        file: "src/chunkserver/core/primary.ts",
        find: "  const length = voteOf(member);\n",
        replace: "  const length = member.own + 0 * voteOf(member);\n",
      },
    ],
    scenarios: ["beheaded"],
  },
  {
    name: "fence-without-the-table",
    rule: "a fence is answered with the append table of what is prepared",
    edits: [
      {
        file: "src/chunkserver/store/promise-version.ts",
        find: "const appendTable = answers.since(origin?.fileOffset ?? 0);",
        replace: "const appendTable = answers.since((origin?.fileOffset ?? 0) + 2 ** 40);",
      },
    ],
    scenarios: ["squall", "impatient"],
  },
  {
    name: "table-of-another-length",
    rule: "the append table that a seal logs is of exactly the sealed bytes",
    edits: [
      {
        file: "src/master/core/seal-advance.ts",
        find: "for (const { holds } of fullHolders(machine, target)) if (holds?.appendTable !== undefined) return holds.appendTable;",
        replace:
          "for (const { holds } of answered(machine).toReversed()) if (holds?.appendTable !== undefined && fullHolders !== undefined) return holds.appendTable;",
      },
    ],
    scenarios: ["squall", "impatient"],
  },
  {
    name: "primary-resumes",
    rule: "a primary that restarted never resumes its version",
    edits: [
      {
        file: "src/master/routes-chunkservers.ts",
        find: 'if (kind === "restarted") sealAll',
        replace: "if (kind === undefined) sealAll",
      },
      {
        file: "src/chunkserver/roles.ts",
        find: '        stopped: "its server was restarted",\n',
        replace: "",
      },
      {
        file: "src/master/core/leases.ts",
        find: 'if (replica.role === "lost") return `${label} restarted and lost its role`;',
        replace: 'if (replica.role === "lost") return undefined;',
      },
      {
        file: "src/master/tail-service.ts",
        find: "      return ctx.engine.release(tailReply(ctx, request.inode, chunk));",
        replace:
          "      const reply = tailReply(ctx, request.inode, chunk);\n      const again = { handle: chunk.handle, version: chunk.version, chain: reply.chain, origin: originOfInode(ctx.state, request.inode),\n        chunkBytes: ctx.limits.chunkBytes, appendTable: [], leaseMs: ctx.limits.leaseMs };\n      await Promise.all(chunk.members.map((member) => openOn(ctx, member, again)));\n      return ctx.engine.release(reply);",
      },
      {
        file: "src/chunkserver/store/new-replica.ts",
        find: 'if (!active.inherited) return "exists";',
        replace: 'active.inherited = false;\n      if (version > 0) return "exists";',
      },
      {
        file: "src/chunkserver/open-chunks.ts",
        find: 'if (made === "exists") throw',
        replace: "if (made === undefined) throw",
      },
      {
        file: "src/chunkserver/open-chunks.ts",
        find: "    const state = openPrimary({",
        replace:
          "    const begun = { prepared: this.#context.store.replica(handle)?.length ?? 0 };\n    const state = openPrimary({",
      },
      {
        file: "src/chunkserver/open-chunks.ts",
        find: "return new OpenPrimary(this.#context, { state, inode",
        replace:
          "Object.assign(state.member, { prepared: begun.prepared, own: begun.prepared, committed: begun.prepared, downstream: rest.length === 0 ? state.member.downstream : begun.prepared });\n    return new OpenPrimary(this.#context, { state, inode",
      },
      {
        file: "src/chunkserver/open-chunks.ts",
        find: "      return new OpenSecondary(",
        replace:
          "      const prepared = this.#context.store.replica(handle)?.length ?? 0;\n      Object.assign(state, { prepared, own: prepared, downstream: rest.length === 0 ? state.downstream : prepared });\n      return new OpenSecondary(",
      },
      // Nor does a client blame it for a connection that broke.
      {
        file: "src/client/open-tail.ts",
        find: "const blameless = stale ||",
        replace: 'const blameless = stale || error.code === "Unavailable" ||',
      },
    ],
    scenarios: ["resumed"],
  },
  {
    name: "sync-counts-what-came-meanwhile",
    rule: "a sync counts for the records that were there when it began",
    edits: [
      {
        file: "src/chunkserver/group-sync.ts",
        find: "      this.#synced = length;\n      this.#onSynced(length);",
        replace: "      this.#synced = Math.max(length, this.#length);\n      this.#onSynced(this.#synced);",
      },
    ],
    scenarios: ["hastyAppends"],
  },
  {
    name: "retry-answered-before-the-commit",
    rule: "a record that is sent again is answered, or told at the opening of a stream, when it is committed",
    edits: [
      {
        file: "src/chunkserver/core/primary.ts",
        find: 'if (known.kind === "known" && isCommitted(state, known.answer))',
        replace: 'if (known.kind === "known")',
      },
      {
        file: "src/chunkserver/core/primary.ts",
        find: "return (state.table.sessions.get(session) ?? []).filter((answer) => isCommitted(state, answer));",
        replace: "return state.table.sessions.get(session) ?? [];",
      },
    ],
    scenarios: ["hastyAppends"],
  },
  {
    name: "large-append-overtakes",
    rule: "a record that is written aside waits for those before it",
    edits: [
      {
        file: "src/client/file-appender.ts",
        find: "large ? this.#settled() : this.#turn",
        replace: "this.#turn",
      },
      {
        file: "src/client/append.ts",
        find: "line.alone(commit)",
        replace: "(line.hasRoom ? commit() : commit())",
      },
    ],
    scenarios: ["appenderOrder"],
  },
  {
    name: "large-append-overtaken",
    rule: "what comes after a record that is written aside waits for it",
    edits: [
      {
        file: "src/client/file-appender.ts",
        find: "if (large) this.#turn = settled;",
        replace: "",
      },
    ],
    scenarios: ["appenderOrder"],
  },
];
