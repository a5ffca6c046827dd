/** Longer than anything takes, however busy the machine is. */
const limitMs = 90_000;

/** Waits for what must come to be, in whatever time: how long it took decides no test. @throws where it never does */
export async function eventually(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  const startedMs = performance.now();
  while (!(await check())) {
    if (performance.now() - startedMs > limitMs) throw new Error(`${what}: not within ${limitMs} ms`);
    await Bun.sleep(100);
  }
}
