let depth = 0;
let restore: (() => void) | undefined;

/**
 * Until it is disposed, reaching for the real clock, timers, randomness or network throws. May be nested; the outermost counts.
 * `new Date(ms)` stays allowed, as it depends on its arguments only.
 */
export function forbidRealWorld(): Disposable {
  if (depth++ === 0) restore = replaceGlobals();
  let disposed = false;
  return {
    [Symbol.dispose]() {
      if (disposed) return;
      disposed = true;
      if (--depth > 0) return;
      restore?.();
      restore = undefined;
    },
  };
}

function refusal(name: string): () => never {
  return () => {
    throw new Error(`${name} inside the simulation: go through an interface of src/io.ts`);
  };
}

function replaceGlobals(): () => void {
  const undo: (() => void)[] = [];
  const replace = (target: object, key: string, value: unknown): void => {
    const before = Object.getOwnPropertyDescriptor(target, key);
    if (before?.configurable === false) {
      // The functions of Bun may be set, and not defined anew.
      Reflect.set(target, key, value);
      undo.push(() => Reflect.set(target, key, before.value));
      return;
    }
    Object.defineProperty(target, key, {
      value,
      configurable: true,
      writable: true,
      enumerable: before?.enumerable ?? false,
    });
    undo.push(() => {
      if (before === undefined) Reflect.deleteProperty(target, key);
      else Object.defineProperty(target, key, before);
    });
  };
  for (const [target, key, value] of replacements) replace(target, key, value);
  return () => {
    for (const step of undo.reverse()) step();
  };
}

const ofBun = [
  "serve",
  "listen",
  "connect",
  "sleep",
  "sleepSync",
  "nanoseconds",
  "file",
  "write",
  "spawn",
  "spawnSync",
  "randomUUIDv7",
];
const timers = ["setTimeout", "setInterval", "setImmediate", "fetch"];

const replacements: readonly (readonly [target: object, key: string, value: unknown])[] = [
  ...timers.map((name) => [globalThis, name, refusal(name)] as const),
  [globalThis, "Date", forbiddenDate()],
  [Math, "random", refusal("Math.random")],
  [performance, "now", refusal("performance.now")],
  [AbortSignal, "timeout", refusal("AbortSignal.timeout")],
  [crypto, "getRandomValues", refusal("crypto.getRandomValues")],
  [crypto, "randomUUID", refusal("crypto.randomUUID")],
  [process, "hrtime", refusal("process.hrtime")],
  ...ofBun.map((name) => [Bun, name, refusal(`Bun.${name}`)] as const),
];

function forbiddenDate(): unknown {
  return new Proxy(Date, {
    apply: refusal("Date()"),
    construct(target, args: unknown[], newTarget) {
      if (args.length === 0) return refusal("new Date()")();
      const date: unknown = Reflect.construct(target, args, newTarget);
      return date instanceof target ? date : refusal("new Date()")();
    },
    get(target, key, receiver): unknown {
      return key === "now" ? refusal("Date.now") : Reflect.get(target, key, receiver);
    },
  });
}
