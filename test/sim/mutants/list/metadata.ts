/** Rules taken out: copies of the metadata, and a master rebuilt from one (DESIGN §4.1). */
import type { Mutant } from "../mutant.ts";

export const metadataMutants: readonly Mutant[] = [
  {
    name: "rebuilt-and-goes-on",
    rule: "a rebuilt master changes nothing before it is confirmed",
    edits: [
      {
        file: "src/master/master.ts",
        find: "    if (restored === undefined) return;\n",
        replace: "    if (restored === undefined || restored.position > 0) return;\n",
      },
    ],
    scenarios: ["lostMaster"],
  },
  {
    name: "gone-on-with-another-log",
    rule: "a copy is gone on with only if it has the bytes of our log; another one goes aside",
    edits: [
      {
        file: "src/log/follow-log.ts",
        find: "    if (ours !== crc)\n",
        replace: "    if (ours === undefined && crc < 0)\n",
      },
    ],
    scenarios: ["rebuiltFromOlder"],
  },
  {
    name: "newer-checkpoint-not-sent",
    rule: "a newer checkpoint is sent before the log that follows it is all there is",
    edits: [
      {
        file: "src/master/metadata/metadata-copy.ts",
        find: "      if (task.checkpoint > this.#checkpoint) await this.#sendCheckpoint(task);\n",
        replace: "",
      },
    ],
    scenarios: ["lostMaster"],
  },
  {
    name: "complete-before-it-is",
    rule: "a copy counts as complete when all that was durable at the beginning of its round is on it",
    edits: [
      {
        file: "src/master/metadata/metadata-copy.ts",
        find: "    await commands.send(this.volume, metadataWrite, request, limits.controlMs);\n",
        replace:
          "    commands.send(this.volume, metadataWrite, request, limits.controlMs).catch(() => undefined);\n    await Promise.resolve();\n",
      },
    ],
    scenarios: ["lostMaster"],
  },
];
