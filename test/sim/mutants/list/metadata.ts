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
    name: "goes-on-after-a-failure",
    rule: "after a failure nothing is assumed of what a server has: it is asked again",
    edits: [
      {
        file: "src/master/metadata/metadata-copy.ts",
        find: "      this.forget();\n      throw error;\n",
        replace: "      throw error;\n",
      },
      {
        file: "src/master/metadata/metadata-copies.ts",
        find: "      if (incarnation !== keeping.incarnation) copy.forget();\n",
        replace: "",
      },
    ],
    scenarios: ["lostMaster"],
  },
];
