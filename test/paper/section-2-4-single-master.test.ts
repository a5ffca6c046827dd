import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { protocol } from "../../src/limits.ts";
import { appendExtent, extentAt, extentCount, findExtent } from "../../src/master/core/extents.ts";
import { createInode, firstFreeSlot, newInodes } from "../../src/master/core/inodes.ts";
import { locate } from "../../src/wire/control/files.ts";
import { chunkHandle, inodeId } from "../../src/wire/ids.ts";
import { allMessages } from "../golden/all-messages.ts";

/** Paths of the fields of a schema that hold bytes. */
function bytesIn(schema: unknown, path: string): string[] {
  if (schema instanceof z.ZodOptional) return bytesIn(schema.unwrap(), path);
  if (schema instanceof z.ZodArray) return bytesIn(schema.element, `${path}[]`);
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => bytesIn(option, path));
  if (schema instanceof z.ZodObject)
    return Object.entries(schema.shape).flatMap(([name, field]) => bytesIn(field, `${path}.${name}`));
  return schema instanceof z.ZodType && schema.safeParse(new Uint8Array(32)).success ? [path] : [];
}

describe("paper §2.4 single master", () => {
  test("clients never read and write file data through the master: no message of the control plane can carry it", () => {
    const found = allMessages.flatMap(({ name, request, reply }) => [
      ...bytesIn(request, name),
      ...bytesIn(reply, `${name} answer`),
    ]);
    // Proofs of the secret, nonces, the packed states of replicas; and the master's own log and checkpoints, which hold names and no content.
    expect(found.filter((path) => path !== "report.entries").sort()).toEqual([
      "backup-piece answer.piece.bytes",
      "hello answer.nonce",
      "hello answer.proof",
      "hello.nonce",
      "metadata-read answer.bytes",
      "metadata-write.bytes",
    ]);
  });

  test("the master speaks no data plane at all", () => {
    const root = join(import.meta.dir, "../../src/master");
    const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
    expect(files.length).toBeGreaterThan(20);
    const speaking = files.filter((name) =>
      /wire\/data\/|frame-connection|frame-pool/.test(readFileSync(join(root, name), "utf8")),
    );
    expect(speaking).toEqual([]);
  });

  test("a client asks for many chunks of a file in one request", () => {
    const extents = { offset: 0, length: 2 ** 40, target: { kind: "path", path: "/f" } };
    expect(locate.request.safeParse(extents).success).toBe(true);
    expect(protocol.locateExtentsMax).toBe(1_024);
  });

  test("a byte offset of the file is translated into a chunk and an offset in it", () => {
    const inodes = newInodes();
    const slot = createInode(inodes, {
      inode: inodeId(firstFreeSlot),
      type: "file",
      replicas: 3,
      generation: 1,
      modifiedMs: 0,
    });
    // Chunks may be short, so lengths vary: the paper divides by the chunk size, we search.
    const lengths = [64_000_000, 11, 5_000_000];
    for (const [i, length] of lengths.entries())
      appendExtent(inodes, slot, { handle: chunkHandle(i + 1), offset: 0, length });
    expect(extentCount(inodes, slot)).toBe(3);
    for (const [offset, chunk, inChunk] of [
      [0, 1, 0],
      [63_999_999, 1, 63_999_999],
      [64_000_000, 2, 0],
      [64_000_010, 2, 10],
      [64_000_011, 3, 0],
    ] as const) {
      const { handle, fileOffset } = extentAt(inodes, slot, findExtent(inodes, slot, offset));
      expect([Number(handle), offset - fileOffset]).toEqual([chunk, inChunk]);
    }
  });
});
