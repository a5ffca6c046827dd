/** Calls `fn` at every SIGTERM or SIGINT instead of ending the process, until disposed. */
export function onSignal(fn: (signal: "SIGTERM" | "SIGINT") => void): Disposable {
  const terminated = (): void => fn("SIGTERM");
  const interrupted = (): void => fn("SIGINT");
  process.on("SIGTERM", terminated);
  process.on("SIGINT", interrupted);
  return {
    [Symbol.dispose]() {
      process.off("SIGTERM", terminated);
      process.off("SIGINT", interrupted);
    },
  };
}

/**
 * Calls `fn` with whatever nobody caught. Both are needed: in Bun `uncaughtException` does not see rejections. The process goes on
 * unless `fn` ends it.
 */
export function onUncaught(fn: (error: unknown) => void): void {
  process.on("uncaughtException", fn);
  process.on("unhandledRejection", fn);
}

export function exit(code: number): never {
  process.exit(code);
}
