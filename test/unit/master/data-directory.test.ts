import { describe, expect, test } from "bun:test";
import { defined } from "../../../src/base/assert.ts";
import { utf8 } from "../../../src/base/bytes.ts";
import { crc32 } from "../../../src/base/checksum.ts";
import { GfsError } from "../../../src/base/errors.ts";
import type { World } from "../../../src/io.ts";
import { claim, markWhole, openDataDirectories } from "../../../src/master/data-directory.ts";
import { Simulation } from "../../sim/world/simulation.ts";

function inSim<T>(code: (world: World) => Promise<T>): T {
  const simulation = new Simulation(1);
  return simulation.do(simulation.machine("m"), code);
}

async function put(world: World, path: string, text: string): Promise<void> {
  const file = await world.disk.open(path, "write");
  await file.truncate(0);
  await file.write([utf8(text)], 0);
  await file.close();
}

async function contentOf(world: World, path: string): Promise<string> {
  const file = await world.disk.open(path, "read");
  const bytes = new Uint8Array(await file.size());
  await file.read(bytes, 0);
  await file.close();
  return new TextDecoder().decode(bytes);
}

/** As it is written: with its checksum behind it. */
function identityText(identity: object): string {
  const content = `${JSON.stringify(identity)}\n`;
  return `${content}${crc32(utf8(content)).toString(16).padStart(8, "0")}\n`;
}

async function opened(world: World, paths: readonly string[]) {
  const directories = await openDataDirectories(world, paths);
  for (const directory of directories) {
    await claim(world.disk, directory);
    await directory[Symbol.asyncDispose]();
  }
  return directories;
}

describe("a master's data directory", () => {
  test("keeps its ids, gives new mirrors the cluster's, and copies ids of their own", () => {
    inSim(async (world) => {
      const [a] = await opened(world, ["/a"]);
      const [before] = await opened(world, ["/a"]);
      expect(before).toMatchObject({ clusterId: a?.clusterId, directoryId: a?.directoryId, isNew: true });
      await markWhole(world.disk, defined(a, "a"));
      const [again, b] = await opened(world, ["/a", "/b"]);
      expect(a?.isNew).toBe(true);
      // What was to be filled and was not is nothing alone, and emptied beside a whole one.
      await put(world, "/b/operation-log", "some of it");
      expect(await openDataDirectories(world, ["/b"]).catch((error: unknown) => error)).toMatchObject({
        code: "Usage",
      });
      expect((await opened(world, ["/b", "/a"]))[0]).toMatchObject({ directoryId: b?.directoryId, isNew: true });
      expect(await world.disk.list("/b")).not.toContain("operation-log");
      expect(again).toMatchObject({ clusterId: a?.clusterId, directoryId: a?.directoryId, isNew: false });
      expect(b).toMatchObject({ clusterId: a?.clusterId, isNew: true });
      expect(b?.directoryId).not.toBe(a?.directoryId);
      await world.disk.makeDirectory("/copy");
      await put(world, "/copy/identity.json", await contentOf(world, "/a/identity.json"));
      const [, copy] = await opened(world, ["/a", "/copy"]);
      expect(copy?.directoryId).not.toBe(a?.directoryId);
    });
  });

  test.each([
    [
      "of another cluster",
      { gfs: "master", format: 2, cluster: "f".repeat(32), directory: "f".repeat(16) },
      "WrongCluster",
    ],
    ["of a newer format", { gfs: "master", format: 3, anything: true }, "FormatUnsupported"],
    ["of an older format", { gfs: "master", format: 1, anything: true }, "FormatUnsupported"],
    ["of a volume", { gfs: "volume", format: 1 }, "Usage"],
    ["with a damaged identity", { gfs: "master", format: 2, cluster: "x" }, "Corrupt"],
  ])("%s is refused, and the others are free again", (_, identity, code) => {
    inSim(async (world) => {
      await opened(world, ["/a"]);
      await world.disk.makeDirectory("/b");
      await put(world, "/b/identity.json", identityText(identity));
      const refused: unknown = await openDataDirectories(world, ["/a", "/b"]).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code });
      await opened(world, ["/a"]);
    });
  });

  test("whose identity has any one bit flipped is refused as damaged, never taken for another", () => {
    inSim(async (world) => {
      const [a] = await opened(world, ["/a"]);
      await markWhole(world.disk, defined(a, "a"));
      const whole = utf8(await contentOf(world, "/a/identity.json"));
      const codes = new Set<string>();
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const flipped = whole.slice();
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const file = await world.disk.open("/a/identity.json", "write");
        await file.write([flipped], 0);
        await file.close();
        const refused: unknown = await openDataDirectories(world, ["/a"]).catch((error: unknown) => error);
        if (!(refused instanceof GfsError)) throw new Error(`bit ${bit} went unnoticed`);
        codes.add(refused.code);
      }
      // Of another role or format where just that flipped.
      expect([...codes].toSorted()).toEqual(["Corrupt", "FormatUnsupported", "Usage"]);
    });
  });

  test("is one of sixteen at most: the log could not name more of them", () => {
    inSim(async (world) => {
      const paths = Array.from({ length: 17 }, (_, i) => `/d${i}`);
      expect(await opened(world, paths.slice(1))).toHaveLength(16);
      expect(await openDataDirectories(world, paths).catch((error: unknown) => error)).toMatchObject({ code: "Usage" });
      expect(await world.disk.info("/d0")).toBeUndefined();
    });
  });

  test("that is in use, or holds something else, is refused", () => {
    inSim(async (world) => {
      const [held] = await openDataDirectories(world, ["/a"]);
      expect(await openDataDirectories(world, ["/a"]).catch((error: unknown) => error)).toMatchObject({
        code: "Locked",
      });
      await held?.[Symbol.asyncDispose]();
      await world.disk.makeDirectory("/volume");
      await put(world, "/volume/identity", "of a volume");
      await using _chunkserver = await world.disk.lock("/volume");
      expect(await openDataDirectories(world, ["/volume"]).catch((error: unknown) => error)).toMatchObject({
        code: "Usage",
        message: "Cannot use /volume for a master: it is a chunkserver's directory",
      });
      await world.disk.makeDirectory("/home");
      await put(world, "/home/letter.txt", "Dear all");
      expect(await openDataDirectories(world, ["/home"]).catch((error: unknown) => error)).toMatchObject({
        code: "Usage",
      });
    });
  });
});
