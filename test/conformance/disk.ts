import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { type Disk, DiskError, type DiskErrorKind } from "../../src/io.ts";
import { inWorld, type MakeWorld, pattern, rejection } from "./world-under-test.ts";

async function kindOf(promise: Promise<unknown>): Promise<DiskErrorKind> {
  const error = await rejection(promise);
  if (!(error instanceof DiskError)) throw error;
  return error.kind;
}

async function put(disk: Disk, path: string, text: string): Promise<void> {
  const file = await disk.open(path, "write");
  await file.truncate(0);
  await file.write([utf8(text)], 0);
  await file.close();
}

async function contentOf(disk: Disk, path: string): Promise<string> {
  const file = await disk.open(path, "read");
  const bytes = new Uint8Array(await file.size());
  await file.read(bytes, 0);
  await file.close();
  return new TextDecoder().decode(bytes);
}

export function describeDisk(name: string, make: MakeWorld): void {
  describe(`disk of ${name}: files`, () => {
    test(
      "read() gives what write() put there, across pieces, up to the end of the file",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const file = await disk.open(`${await directory()}/a`, "create");
        const bytes = pattern(300_000);
        await file.write(
          [bytes.subarray(0, 1), new Uint8Array(0), bytes.subarray(1, 70_000), bytes.subarray(70_000)],
          0,
        );
        expect(await file.size()).toBe(300_000);
        const whole = new Uint8Array(300_000);
        expect(await file.read(whole, 0)).toBe(300_000);
        expect(whole).toEqual(bytes);
        const tail = new Uint8Array(100);
        expect(await file.read(tail, 299_990)).toBe(10);
        expect(tail.subarray(0, 10)).toEqual(bytes.subarray(299_990));
        expect(await file.read(tail, 300_000)).toBe(0);
        expect(await file.read(tail, 900_000)).toBe(0);
        expect(await file.read(new Uint8Array(0), 0)).toBe(0);
        await file.close();
      }),
    );

    for (const [count, size] of [
      [100, 40],
      [3000, 40],
      [3000, 1000],
      [2, 3_000_000],
    ] as const) {
      test(
        `write() of ${count} pieces of ${size} bytes`,
        inWorld(make, async ({ world: { disk }, directory }) => {
          const file = await disk.open(`${await directory()}/a`, "create");
          const bytes = pattern(count * size);
          const pieces = Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
          await file.write(pieces, 7);
          const back = new Uint8Array(bytes.length);
          expect(await file.read(back, 7)).toBe(bytes.length);
          expect(Buffer.compare(back, bytes)).toBe(0);
          await file.close();
        }),
      );
    }

    test(
      "write() of nothing changes nothing",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const file = await disk.open(`${await directory()}/a`, "create");
        await file.write([], 5);
        await file.write([new Uint8Array(0)], 5);
        expect(await file.size()).toBe(0);
        await file.close();
      }),
    );

    test(
      "a hole reads as zeros; truncate() cuts, and extends with zeros",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const file = await disk.open(`${await directory()}/a`, "create");
        await file.write([utf8("xyz")], 4);
        await file.truncate(6);
        await file.truncate(8);
        await file.sync();
        const bytes = new Uint8Array(8).fill(1);
        expect(await file.read(bytes, 0)).toBe(8);
        expect([...bytes]).toEqual([0, 0, 0, 0, 120, 121, 0, 0]);
        await file.close();
      }),
    );

    test(
      "a file opened to write through is made where it is missing, read, written and truncated as any other",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const path = `${await directory()}/a`;
        for (const text of ["one", "two"]) {
          const file = await disk.open(path, "through");
          await file.write([utf8(text), utf8("!")], 2);
          const bytes = new Uint8Array(8);
          expect(await file.read(bytes, 2)).toBe(4);
          expect([...bytes.subarray(0, 4)]).toEqual([...utf8(`${text}!`)]);
          await file.truncate(6);
          await file.close();
        }
      }),
    );

    test(
      "what was written, synced or not, is read from the medium too, wherever it begins and ends",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const path = `${await directory()}/a`;
        const bytes = pattern(300_001);
        const file = await disk.open(path, "create");
        await file.write([bytes], 0);
        const medium = await disk.open(path, "medium");
        for (const [offset, length] of [
          [0, 300_001],
          [0, 4_096],
          [1, 4_095],
          [4_095, 70_000],
          [299_999, 100],
          [300_001, 10],
        ] as const) {
          const into = new Uint8Array(length);
          const read = Math.max(0, Math.min(length, bytes.length - offset));
          expect(await medium.read(into, offset)).toBe(read);
          expect(into.subarray(0, read)).toEqual(bytes.subarray(offset, offset + read));
        }
        await medium.close();
        await file.close();
        expect(await kindOf(disk.open(`${path}x`, "medium"))).toBe("missing");
        expect(await kindOf(disk.open(await directory(), "medium"))).toBe("kind");
      }),
    );

    test(
      "many operations on one file may be in flight, and close() waits for them",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const path = `${await directory()}/a`;
        const file = await disk.open(path, "create");
        const writes = Array.from({ length: 50 }, (_, i) => file.write([new Uint8Array(1000).fill(i)], i * 1000));
        await Promise.all([...writes, file.close(), file.close()]);
        expect((await disk.info(path))?.bytes).toBe(50_000);
      }),
    );

    test(
      "open() by its modes",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const at = await directory();
        expect(await kindOf(disk.open(`${at}/none`, "read"))).toBe("missing");
        expect(await kindOf(disk.open(`${at}/none/a`, "write"))).toBe("missing");
        await put(disk, `${at}/a`, "one");
        expect(await kindOf(disk.open(`${at}/a`, "create"))).toBe("exists");
        expect(await kindOf(disk.open(`${at}/a/b`, "write"))).toBe("kind");
        expect(await kindOf(disk.open(at, "read"))).toBe("kind");
        expect(await kindOf(disk.open(at, "write"))).toBe("kind");
        const kept = await disk.open(`${at}/a`, "write");
        expect(await kept.size()).toBe(3);
        await kept.close();
      }),
    );
  });

  describe(`disk of ${name}: directories`, () => {
    test(
      "makeDirectory() makes parents, and is content with what exists",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const at = await directory();
        await disk.makeDirectory(`${at}/p/q/r`);
        await disk.makeDirectory(`${at}/p/q/r`);
        expect((await disk.info(`${at}/p/q`))?.kind).toBe("directory");
        await put(disk, `${at}/file`, "");
        expect(["kind", "exists"]).toContain(await kindOf(disk.makeDirectory(`${at}/file`)));
        expect(await kindOf(disk.makeDirectory(`${at}/file/below`))).toBe("kind");
      }),
    );

    test(
      "list() sorts by code unit",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const at = await directory();
        const names = ["b", "a10", "a2", "Z", "ä", "\u{1f600}", "\uff5e", ".x"];
        for (const each of names) await put(disk, `${at}/${each}`, "");
        await disk.makeDirectory(`${at}/m`);
        expect(await disk.list(at)).toEqual([".x", "Z", "a10", "a2", "b", "m", "ä", "\u{1f600}", "\uff5e"]);
        expect(await kindOf(disk.list(`${at}/none`))).toBe("missing");
        expect(await kindOf(disk.list(`${at}/b`))).toBe("kind");
      }),
    );

    test(
      "info() tells kind and size; undefined for what is missing",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const at = await directory();
        await put(disk, `${at}/a`, "12345");
        expect(await disk.info(`${at}/a`)).toMatchObject({ kind: "file", bytes: 5 });
        expect((await disk.info(at))?.kind).toBe("directory");
        expect(await disk.info(`${at}/none`)).toBeUndefined();
      }),
    );

    test(
      "rename() replaces the target and takes the source away",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const at = await directory();
        await put(disk, `${at}/a`, "new");
        await put(disk, `${at}/b`, "old");
        const open = await disk.open(`${at}/b`, "read");
        await disk.rename(`${at}/a`, `${at}/b`);
        await disk.syncDirectory(at);
        expect(await disk.list(at)).toEqual(["b"]);
        expect(await contentOf(disk, `${at}/b`)).toBe("new");
        const bytes = new Uint8Array(3);
        await open.read(bytes, 0);
        expect(new TextDecoder().decode(bytes)).toBe("old");
        await open.close();
        expect(await kindOf(disk.rename(`${at}/none`, `${at}/b`))).toBe("missing");
        await disk.makeDirectory(`${at}/d/e`);
        await disk.rename(`${at}/d`, `${at}/f`);
        expect(await disk.list(`${at}/f`)).toEqual(["e"]);
      }),
    );

    test(
      "remove() and removeTree() are content with what is missing",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const at = await directory();
        await disk.remove(`${at}/none`);
        await disk.removeTree(`${at}/none`);
        await disk.makeDirectory(`${at}/d/e`);
        await put(disk, `${at}/d/e/a`, "x");
        await put(disk, `${at}/b`, "x");
        expect(await kindOf(disk.remove(`${at}/d`))).toBe("kind");
        await disk.remove(`${at}/b`);
        await disk.removeTree(`${at}/d`);
        expect(await disk.list(at)).toEqual([]);
      }),
    );

    test(
      "an open file can be read and written after its removal",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const at = await directory();
        const file = await disk.open(`${at}/a`, "create");
        await disk.remove(`${at}/a`);
        await file.write([utf8("abc")], 0);
        expect(await file.size()).toBe(3);
        await file.close();
        expect(await disk.info(`${at}/a`)).toBeUndefined();
      }),
    );

    test(
      "syncDirectory() and space() of what is missing",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const at = await directory();
        expect(await kindOf(disk.syncDirectory(`${at}/none`))).toBe("missing");
        expect(await kindOf(disk.space(`${at}/none`))).toBe("missing");
        const { totalBytes, freeBytes } = await disk.space(at);
        expect(freeBytes).toBeGreaterThan(0);
        expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
      }),
    );

    test(
      "space() names the file system: the same for all directories on it",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const [at, other] = [await directory(), await directory()];
        const { fileSystem } = await disk.space(at);
        expect((await disk.space(other)).fileSystem).toBe(fileSystem);
        expect(fileSystem.length).toBeGreaterThan(0);
        expect(fileSystem.length).toBeLessThanOrEqual(64);
      }),
    );
  });

  describe(`disk of ${name}: lock`, () => {
    test(
      "a directory has one lock at a time",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const at = await directory();
        const other = await directory();
        const lock = await disk.lock(at);
        expect(await kindOf(disk.lock(at))).toBe("busy");
        expect(await kindOf(disk.lock(`${at}/../${at.split("/").at(-1)}`))).toBe("busy");
        await (await disk.lock(other))[Symbol.asyncDispose]();
        await lock[Symbol.asyncDispose]();
        await lock[Symbol.asyncDispose]();
        await using again = await disk.lock(at);
        expect(again).toBeDefined();
        // A stale second dispose must not release the new holder's lock.
        await lock[Symbol.asyncDispose]();
        expect(await kindOf(disk.lock(at))).toBe("busy");
      }),
    );

    test(
      "of two takers at once one gets it",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const at = await directory();
        const results = await Promise.allSettled([disk.lock(at), disk.lock(at), disk.lock(at)]);
        const got = results.filter((result) => result.status === "fulfilled");
        expect(got.length).toBe(1);
        for (const each of got) await each.value[Symbol.asyncDispose]();
      }),
    );

    test(
      "lock() of a missing directory, and of a file",
      inWorld(make, async ({ world: { disk }, directory }) => {
        const at = await directory();
        expect(await kindOf(disk.lock(`${at}/none`))).toBe("missing");
        await put(disk, `${at}/a`, "");
        expect(await kindOf(disk.lock(`${at}/a`))).toBe("kind");
      }),
    );
  });
}
