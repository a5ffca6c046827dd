import type { Spawn } from "../io.ts";

const stderrBytesMax = 64 * 1024;

/** How this process runs itself again: the compiled executable alone, else Bun and the script it was given. */
export function selfCommand(): readonly string[] {
  // Files inside a compiled executable live under a root that no real path has.
  const compiled = Bun.main.startsWith("/$bunfs/") || /^[A-Z]:[\\/]~BUN[\\/]/.test(Bun.main);
  return compiled ? [process.execPath] : [process.execPath, Bun.main];
}

export function makeHostSpawn(command: readonly string[]): Spawn {
  return {
    async self(args, signal) {
      signal?.throwIfAborted();
      const child = Bun.spawn([...command, ...args], {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
        // A parent that was killed must not leave a child behind that still writes to its directory.
        env: { ...process.env, BUN_FEATURE_FLAG_NO_ORPHANS: "1" },
      });
      const kill = (): void => child.kill("SIGKILL");
      signal?.addEventListener("abort", kill);
      try {
        const [stdout, stderr, exitCode] = await Promise.all([
          child.stdout.bytes(),
          lastText(child.stderr),
          child.exited,
        ]);
        return { exitCode, stdout, stderr };
      } finally {
        signal?.removeEventListener("abort", kill);
      }
    },
  };
}

/** The last 64 KiB, from the first whole character on. */
async function lastText(stream: ReadableStream<Uint8Array>): Promise<string> {
  let kept: Uint8Array = new Uint8Array(0);
  for await (const chunk of stream) {
    const whole = new Uint8Array(kept.length + chunk.length);
    whole.set(kept);
    whole.set(chunk, kept.length);
    kept = whole.length > stderrBytesMax ? whole.slice(-stderrBytesMax) : whole;
  }
  let start = 0;
  if (kept.length === stderrBytesMax) while (start < 4 && ((kept[start] ?? 0) & 0xc0) === 0x80) start++;
  return new TextDecoder().decode(kept.subarray(start));
}
