/** What this machine can do at most, measured in the same run as gfs: the only figures that gfs's own may be compared with. */
import { open, rm } from "node:fs/promises";
import { join } from "node:path";

const piece = new Uint8Array(1 << 20);
crypto.getRandomValues(piece.subarray(0, 65_536));
for (let at = 65_536; at < piece.length; at += 65_536) piece.copyWithin(at, 0, 65_536);

/** MB/s of writing `bytes` to each of `files` files at once and syncing them, in sum over the files divided by their count. */
export async function writeAndSync(directory: string, files: number, bytes: number): Promise<number> {
  const paths = Array.from({ length: files }, (_, i) => join(directory, `limit-${i}`));
  const startedMs = performance.now();
  await Promise.all(
    paths.map(async (path) => {
      const file = await open(path, "w");
      for (let at = 0; at < bytes; at += piece.length)
        await file.write(piece, 0, Math.min(piece.length, bytes - at), at);
      await file.datasync();
      await file.close();
    }),
  );
  const seconds = (performance.now() - startedMs) / 1_000;
  for (const path of paths) await rm(path);
  return bytes / 1e6 / seconds;
}

/** Rounds a second of appending 1 KiB to three files and syncing all three, one round after the other. */
export async function syncRounds(directory: string, forMs: number): Promise<number> {
  const paths = [0, 1, 2].map((i) => join(directory, `round-${i}`));
  const files = await Promise.all(paths.map((path) => open(path, "w")));
  // As in the volume log: the space is there before, so that a sync needs no new block.
  for (const file of files) {
    for (let at = 0; at < 16; at++) await file.write(piece, 0, piece.length, at * piece.length);
    await file.datasync();
  }
  const startedMs = performance.now();
  let rounds = 0;
  for (; performance.now() - startedMs < forMs; rounds++) {
    await Promise.all(
      files.map(async (file) => {
        await file.write(piece, 0, 1_024, (rounds * 1_024) % (16 * piece.length));
        await file.datasync();
      }),
    );
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  for (const file of files) await file.close();
  for (const path of paths) await rm(path);
  return rounds / seconds;
}

/** MB/s of copying a file on the same disk, with a sync. */
export async function localCopy(from: string, directory: string): Promise<number> {
  const to = join(directory, "limit-copy");
  const startedMs = performance.now();
  const source = await open(from, "r");
  const target = await open(to, "w");
  const buffer = new Uint8Array(1 << 20);
  let bytes = 0;
  for (;;) {
    const { bytesRead } = await source.read(buffer, 0, buffer.length, bytes);
    if (bytesRead === 0) break;
    await target.write(buffer, 0, bytesRead, bytes);
    bytes += bytesRead;
  }
  await target.datasync();
  const seconds = (performance.now() - startedMs) / 1_000;
  await source.close();
  await target.close();
  await rm(to);
  return bytes / 1e6 / seconds;
}

/** MB/s of one TCP connection over loopback, from this process to another. */
export async function loopback(bytes: number): Promise<number> {
  const script = `const done = Promise.withResolvers(); let got = 0;
    const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data(s, d) { got += d.length; if (got >= ${bytes}) { s.write("x"); s.flush(); } }, close() { done.resolve(); } } });
    console.log(server.port); await done.promise; process.exit(0);`;
  const child = Bun.spawn([process.execPath, "-e", script], {
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, BUN_BE_BUN: "1" },
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const port = Number(new TextDecoder().decode(value));
  const done = Promise.withResolvers<void>();
  let left = bytes;
  const pump = (socket: Bun.Socket): void => {
    while (left > 0) {
      const size = Math.min(piece.length, left);
      const taken = socket.write(piece.subarray(0, size));
      if (taken <= 0) return;
      left -= taken;
      if (taken < size) return;
    }
  };
  const startedMs = performance.now();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: { open: pump, drain: pump, data: () => done.resolve(), error: (_, error) => done.reject(error) },
  });
  await done.promise;
  const seconds = (performance.now() - startedMs) / 1_000;
  socket.end();
  await child.exited;
  return bytes / 1e6 / seconds;
}
