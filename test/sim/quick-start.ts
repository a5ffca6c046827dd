/**
 * How bun runs simulations quickest. A run is short, and its code wide: what the last tier of the JIT takes to compile, and a collector that works beside the program, cost a third
 * more than they give. It must be in the environment when bun starts.
 */
const settings: Readonly<Record<string, string>> = { BUN_JSC_useFTLJIT: "0", BUN_JSC_useConcurrentGC: "0" };

/** For children that run simulations; what the environment says already counts. */
export function quickEnvironment(): Record<string, string | undefined> {
  return { ...settings, ...process.env };
}

/** Begins a program anew, where it was not begun so, and ends as it does. */
export async function startQuickly(program: string): Promise<void> {
  if (Object.keys(settings).every((name) => process.env[name] !== undefined)) return;
  // A compiled executable has the file in it, and takes no path.
  const self = program.startsWith("/$bunfs") ? [process.execPath] : [process.execPath, program];
  const child = Bun.spawn({
    cmd: [...self, ...process.argv.slice(2)],
    env: quickEnvironment(),
    stdio: ["inherit", "inherit", "inherit"],
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
  process.exit(await child.exited);
}
