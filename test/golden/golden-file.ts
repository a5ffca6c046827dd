/**
 * Files of `test/golden/data`: bytes that some release wrote, and that every later one must read, and write alike. What is there never changes;
 * with GFS_NEW_GOLDEN=1 in the environment, entries that are missing are added.
 */
import { expect } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dir, "data");
const mayAdd = process.env["GFS_NEW_GOLDEN"] === "1";
const lineDigits = 120;

function toHexLines(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return (hex.match(new RegExp(`.{1,${lineDigits}}`, "g")) ?? []).map((line) => `  ${line}\n`).join("");
}

/** Entries of a `.hex` file: a name at the beginning of a line, its bytes on indented lines below. */
export function readGolden(name: string): Map<string, Uint8Array> {
  const entries = new Map<string, Uint8Array>();
  const path = join(folder, name);
  if (!existsSync(path)) return entries;
  for (const block of readFileSync(path, "utf8").split(/\n(?=\S)/)) {
    const [title, ...lines] = block.split("\n");
    if (title === undefined || title === "") continue;
    const hex = lines.map((line) => line.trim()).join("");
    entries.set(title, Uint8Array.from(Buffer.from(hex, "hex")));
  }
  return entries;
}

/** Today's writers give these entries; the file has exactly the same. Gives what the file has, for reading it back. */
export function expectGolden(name: string, written: ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array> {
  const kept = readGolden(name);
  const missing = [...written.keys()].filter((title) => !kept.has(title));
  if (missing.length > 0 && mayAdd) {
    for (const title of missing) kept.set(title, written.get(title) ?? new Uint8Array(0));
    const text = [...kept].map(([title, bytes]) => `${title}\n${toHexLines(bytes)}`).join("");
    writeFileSync(join(folder, name), text);
  } else expect(missing, `not in ${name}; once their bytes are final, run with GFS_NEW_GOLDEN=1`).toEqual([]);
  for (const [title, bytes] of kept) {
    const now = written.get(title);
    expect(now === undefined ? "not written any more" : now.toHex(), `${title} of ${name}`).toBe(bytes.toHex());
  }
  return kept;
}

/** The same for a file that is golden as a whole. */
export function expectGoldenFile(name: string, written: Uint8Array): Uint8Array {
  const path = join(folder, name);
  if (!existsSync(path) && mayAdd) writeFileSync(path, written);
  const kept = Uint8Array.from(readFileSync(path));
  expect(written.toHex(), name).toBe(kept.toHex());
  return kept;
}
