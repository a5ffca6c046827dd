/** Rules taken out: puts and drafts (DESIGN §4.2). */
import type { Mutant } from "../mutant.ts";

export const putMutants: readonly Mutant[] = [
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
    scenarios: ["puts"],
  },
  {
    name: "acknowledged-by-the-first",
    rule: "a put is acknowledged when every server of its chain has it",
    edits: [
      {
        file: "src/chunkserver/write-chain.ts",
        find: "if (this.#next === undefined) return this.#done(end, []);",
        replace:
          "if (this.#next === undefined || end.length > 0) return this.#done(end, this.#open.chain.slice(1).map(({ volume }) => volume));",
      },
      {
        file: "src/chunkserver/whole-writes.ts",
        find: "} else if (waiting === 0) {",
        replace: "} else {",
      },
    ],
    scenarios: ["orphans"],
  },
  {
    name: "exists-not-looked-at-again",
    rule: "a put looks at its path again when it commits",
    edits: [
      {
        file: "src/master/core/decide-drafts.ts",
        find: 'checkTarget(state, found, { what: "put", overwrite, ifGeneration });',
        replace:
          'checkTarget(state, found, { what: "put", overwrite: overwrite || ifGeneration === undefined, ifGeneration });',
      },
    ],
    scenarios: ["moves"],
  },
  {
    name: "move-takes-a-place",
    rule: "a move takes the place of a file only where it is told to",
    edits: [
      {
        file: "src/master/core/decide-namespace.ts",
        find: "if (!target.overwrite) throw",
        replace: "if (target.slot < 0) throw",
      },
    ],
    scenarios: ["moves"],
  },
  {
    name: "small-put-not-synced",
    rule: "a small put is in the volume's log, synced, before it is acknowledged",
    edits: [
      {
        file: "src/chunkserver/store/whole-chunk.ts",
        find: 'await ground.log.commit({ kind: "closed"',
        replace: 'void ground.log.commit({ kind: "closed"',
      },
    ],
    scenarios: ["smallPuts"],
  },
  {
    name: "committed-with-one-copy",
    rule: "a file is committed only where at least min_replicas copies of each chunk are left",
    edits: [
      {
        file: "src/master/core/decide-drafts.ts",
        find: "    if (left < needed) throw chunkLost(draft, handle, { left, needed });\n    return {",
        replace: "    if (left < 0 * needed) throw chunkLost(draft, handle, { left, needed });\n    return {",
      },
    ],
    scenarios: ["thinPuts"],
  },
];
