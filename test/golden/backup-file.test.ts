import { describe, expect, test } from "bun:test";
import { concatBytes, utf8 } from "../../src/base/bytes.ts";
import { openBackup } from "../../src/master/metadata/backup-source.ts";
import { BackupEncoder, encodeBackupHeader } from "../../src/wire/backup-file.ts";
import { storyCluster } from "./cluster-story.ts";
import { inFixedWorld, writeFile } from "./fixed-world.ts";
import { expectGoldenFile } from "./golden-file.ts";

const epoch = { number: 3, startId: "0123456789abcdef" };
const facts = { clusterId: storyCluster, epoch, checkpoint: 7, until: 11, wallMs: 1_700_000_000_123 };
const pieces = [
  [{ kind: "checkpoint", position: 7 }, 0, "the beginning of "],
  [{ kind: "checkpoint", position: 7 }, 17, "a checkpoint"],
  [{ kind: "segment", position: 5 }, 0, "a segment"],
  [{ kind: "segment", position: 9 }, 0, "the next one"],
] as const;

describe("a backup that was written once can be read, and is written alike", () => {
  test("header, pieces and end", () => {
    const header = encodeBackupHeader(facts);
    const encoder = new BackupEncoder(header);
    const written = concatBytes([
      header,
      ...pieces.flatMap(([file, offset, text]) => [encoder.piece(file, offset, utf8(text)), utf8(text)]),
      encoder.end(facts.until),
    ]);
    const kept = expectGoldenFile("master.backup", written);
    inFixedWorld(async (world) => {
      await writeFile(world, "/backup", kept);
      const source = await openBackup(world.disk, "/backup");
      expect([source.clusterId, source.epoch, source.last]).toEqual([facts.clusterId, epoch.number, facts.until]);
      const texts: string[] = [];
      for (const file of source.files) {
        let text = "";
        for await (const bytes of source.read(file)) text += new TextDecoder().decode(bytes);
        texts.push(`${file.kind} ${file.position} ${text}`);
      }
      expect(texts).toEqual([
        "checkpoint 7 the beginning of a checkpoint",
        "segment 5 a segment",
        "segment 9 the next one",
      ]);
      await source[Symbol.asyncDispose]();
    });
  });
});
