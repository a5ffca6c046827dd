/** Rules taken out: reads, and the end of a file (DESIGN §4.4). */
import type { Mutant } from "../mutant.ts";

export const readMutants: readonly Mutant[] = [
  {
    name: "end-without-the-tail",
    rule: "the end of a file is asked from the primary of its tail",
    edits: [
      {
        file: "src/client/get.ts",
        find: "if (extent === undefined) return { file",
        replace: "if (extent === undefined || at >= 0) return { file",
      },
    ],
    scenarios: ["replace"],
  },
  {
    name: "uncommitted-served",
    rule: "nobody serves bytes past the committed length that it knows",
    edits: [
      {
        file: "src/chunkserver/core/member.ts",
        find: "return Math.min(known.durable, Math.max(known.committed, brought ?? 0));",
        replace: "return known.durable + 0 * Math.max(known.committed, brought ?? 0);",
      },
    ],
    scenarios: ["beheaded"],
  },
  {
    name: "secondary-tells-the-end",
    rule: "only a primary of this start tells the end of an open chunk",
    edits: [
      {
        file: "src/chunkserver/read-stream.ts",
        find: 'if (readable.open && read.committed === undefined && role?.kind !== "primary")',
        replace: "if (readable.open && read.committed === undefined && role === null)",
      },
      {
        file: "src/client/get.ts",
        find: "const [primary] = tail.replicas;",
        replace: "const primary = tail.replicas.at(-1);",
      },
    ],
    scenarios: ["beheaded"],
  },
  {
    name: "blocks-not-checked",
    rule: "somebody on the way compares every block with its checksum",
    edits: [
      {
        file: "src/chunkserver/store/replica-bytes.ts",
        find: "if (crc32(bytes.subarray(at, at + blockBytes)) !== expected.blockCrc(index)) {",
        replace: "if (crc32(bytes.subarray(at, at + blockBytes)) < expected.blockCrc(index) - 2 ** 40) {",
      },
      {
        file: "src/wire/data/blocks.ts",
        find: "if (crcs[i] !== view.getUint32(8 + 4 * i, true)) {",
        replace: "if ((crcs[i] ?? 0) < view.getUint32(8 + 4 * i, true) - 2 ** 40) {",
      },
    ],
    scenarios: ["rot"],
  },
  {
    name: "server-does-not-check",
    rule: "a server compares a block with its checksum before it sends it",
    edits: [
      {
        file: "src/chunkserver/store/replica-bytes.ts",
        find: "if (crc32(bytes.subarray(at, at + blockBytes)) !== expected.blockCrc(index)) {",
        replace: "if (crc32(bytes.subarray(at, at + blockBytes)) < expected.blockCrc(index) - 2 ** 40) {",
      },
    ],
    scenarios: ["rot"],
  },
];
