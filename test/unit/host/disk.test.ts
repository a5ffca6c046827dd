import { describe, expect, test } from "bun:test";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diskError } from "../../../src/host/disk-error.ts";
import { makeHostDisk } from "../../../src/host/disk.ts";
import { DiskError, type DiskErrorKind } from "../../../src/io.ts";

const disk = makeHostDisk();
const holder = join(import.meta.dir, "lock-holder.ts");

async function withDirectory(fn: (path: string) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), "gfs-disk-"));
  try {
    await fn(path);
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

/** A process that tries to take the lock; resolves when it has said `locked` or the kind of error. */
async function tryInChild(directory: string): Promise<{ said: string; kill(): Promise<void> }> {
  const child = Bun.spawn([process.execPath, holder, directory], { stdin: "pipe", stdout: "pipe", stderr: "ignore" });
  const { value } = await child.stdout.getReader().read();
  return {
    said: new TextDecoder().decode(value).trim(),
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

function kindOf(error: unknown): string {
  return error instanceof DiskError ? error.kind : `not a DiskError: ${String(error)}`;
}

describe("lock of a directory", () => {
  test("excludes other processes both ways, and ends with a process killed by SIGKILL", () =>
    withDirectory(async (at) => {
      const first = await tryInChild(at);
      expect(first.said).toBe("locked");
      expect(await disk.lock(at).catch(kindOf)).toBe("busy");
      const second = await tryInChild(at);
      expect(second.said).toBe("busy");
      await second.kill();
      await first.kill();
      const lock = await disk.lock(at);
      const third = await tryInChild(at);
      expect(third.said).toBe("busy");
      await third.kill();
      await lock[Symbol.asyncDispose]();
      const fourth = await tryInChild(at);
      expect(fourth.said).toBe("locked");
      await fourth.kill();
    }));

  test("writes nothing to the file", () =>
    withDirectory(async (at) => {
      await using lock = await disk.lock(at);
      expect(lock).toBeDefined();
      expect((await readFile(join(at, "lock"))).length).toBe(0);
      expect(await disk.list(at)).toEqual(["lock"]);
    }));

  test("a file of that name with other content is refused, and the directory is not held afterwards", () =>
    withDirectory(async (at) => {
      await Bun.write(join(at, "lock"), "something else, longer than a header of a database file ".repeat(20));
      expect(await disk.lock(at).catch(kindOf)).toBe("failed");
      await rm(join(at, "lock"));
      await using lock = await disk.lock(at);
      expect(lock).toBeDefined();
    }));
});

describe("disk errors", () => {
  test.each<[string, DiskErrorKind]>([
    ["ENOENT", "missing"],
    ["EEXIST", "exists"],
    ["ENOSPC", "full"],
    ["EDQUOT", "full"],
    ["EACCES", "denied"],
    ["EPERM", "denied"],
    ["EROFS", "denied"],
    ["EISDIR", "kind"],
    ["ENOTDIR", "kind"],
    ["EIO", "failed"],
    ["EMFILE", "failed"],
  ])("%s is %s", (code, kind) => {
    const error = diskError("read", "/a", Object.assign(new Error(`${code}: why`), { code }));
    expect(error.kind).toBe(kind);
    expect(error.message).toBe(`Cannot read /a: ${code}: why`);
    expect(error.path).toBe("/a");
  });

  test("what is no system error is failed; a DiskError stays itself", () => {
    expect(diskError("read", "/a", "odd").kind).toBe("failed");
    const full = new DiskError("full", "/a", "full");
    expect(diskError("read", "/b", full)).toBe(full);
  });

  // reason: only Linux has this device.
  test.if(process.platform === "linux")("a write to a full device is full, in one piece or many", async () => {
    const file = await disk.open("/dev/full", "write");
    expect(await file.write([new Uint8Array(10)], 0).catch(kindOf)).toBe("full");
    expect(await file.write([new Uint8Array(10), new Uint8Array(9)], 0).catch(kindOf)).toBe("full");
    await file.close();
  });

  // reason: permissions do not bind root.
  test.if(process.getuid?.() !== 0)("an unreadable directory is denied", () =>
    withDirectory(async (at) => {
      await chmod(at, 0o000);
      expect(await disk.list(at).catch(kindOf)).toBe("denied");
      expect(await disk.lock(at).catch(kindOf)).toBe("denied");
      await chmod(at, 0o700);
    }),
  );

  test("a closed file refuses every operation", () =>
    withDirectory(async (at) => {
      const file = await disk.open(join(at, "a"), "create");
      await file.close();
      await file.close();
      for (const operation of [
        () => file.read(new Uint8Array(1), 0),
        () => file.write([], 0),
        () => file.sync(),
        () => file.truncate(0),
        () => file.size(),
      ]) {
        expect(await operation().catch((error: unknown) => String(error))).toContain("of a closed file");
      }
    }));
});
