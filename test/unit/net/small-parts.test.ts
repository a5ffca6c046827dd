import { describe, expect, test } from "bun:test";
import { GfsError } from "../../../src/base/errors.ts";
import { advertise, formatAddress, isLoopback, isWildcard, parseAddress } from "../../../src/net/addresses.ts";
import { backoffMs } from "../../../src/net/backoff.ts";
import { ControlConnections, ReplayWindow } from "../../../src/net/control-connections.ts";
import { Deadline, sleep, withTimeout } from "../../../src/net/deadline.ts";
import { equalSecretBytes, parseSecret } from "../../../src/net/secret.ts";
import { Simulation } from "../../sim/world/simulation.ts";

describe("addresses", () => {
  test.each([
    ["127.0.0.1:4370", "127.0.0.1", 4370],
    ["[::1]:0", "::1", 0],
    ["master.example:65535", "master.example", 65535],
  ])("%s is parsed and written back", (text, host, port) => {
    expect(parseAddress(text)).toEqual({ host, port });
    expect(formatAddress({ host, port })).toBe(text);
  });

  test.each(["", "host", ":1", "host:", "host:65536", "host:x", "::1:80", "[::1]", "a b:1", "http://a:1"])(
    "%j is refused with the text in the error",
    (text) => expect(() => parseAddress(text)).toThrow(JSON.stringify(text)),
  );

  test.each([
    ["localhost", true],
    ["127.0.0.1", true],
    ["127.255.0.9", true],
    ["::1", true],
    ["::ffff:127.0.0.1", true],
    ["0.0.0.0", false],
    ["128.0.0.1", false],
    ["127.evil.example", false],
    ["::", false],
  ])("loopback of %s is %p", (host, expected) => expect(isLoopback(host)).toBe(expected));

  test("a wildcard is not to be dialled, and what is advertised takes its place", () => {
    expect(isWildcard("0.0.0.0") && isWildcard("::") && !isWildcard("10.0.0.1")).toBe(true);
    expect(advertise("0.0.0.0:4371", undefined)).toBe("0.0.0.0:4371");
    expect(advertise("0.0.0.0:4371", "node-1")).toBe("node-1:4371");
    expect(advertise("0.0.0.0:4371", "node-1:99")).toBe("node-1:99");
    expect(advertise("[::]:4371", "fd00::7")).toBe("[fd00::7]:4371");
    expect(advertise("[::]:4371", "[fd00::7]:1")).toBe("[fd00::7]:1");
  });
});

describe("secret", () => {
  const hex = "00ff".repeat(16);
  const bytes = Uint8Array.from({ length: 32 }, (_, i) => (i % 2 === 0 ? 0 : 255));

  test("hexadecimal and base64 give the same bytes, with or without an end of line", () => {
    expect(parseSecret(`${hex}\n`, "f")).toEqual(bytes);
    expect(parseSecret(btoa(String.fromCharCode(...bytes)), "f")).toEqual(bytes);
  });

  test.each([
    ["", "empty"],
    ["00ff", "at least 32"],
    [`${hex} ${hex}`, "neither"],
    ["!".repeat(64), "neither"],
  ])("%j is refused", (text, why) => expect(() => parseSecret(text, "the-file")).toThrow(why));

  test("equality sees every byte and the length", () => {
    expect(equalSecretBytes(bytes, bytes.slice())).toBe(true);
    expect(equalSecretBytes(bytes, bytes.slice(1))).toBe(false);
    for (let i = 0; i < 32; i++) expect(equalSecretBytes(bytes, bytes.with(i, 7))).toBe(false);
  });
});

describe("replay window", () => {
  test("a counter is taken once, in any order within the window, and never below it", () => {
    const window = new ReplayWindow();
    for (const counter of [3, 1, 2, 5000, 4999]) expect(window.accept(counter)).toBe("new");
    for (const counter of [5000, 4999]) expect(window.accept(counter)).toBe("replayed");
    expect(window.accept(5000 - 4095)).toBe("new");
    expect(window.accept(5000 - 4096)).toBe("old");
    expect(window.accept(3)).toBe("old");
    expect(window.accept(1_000_000)).toBe("new");
    expect(window.accept(999_999)).toBe("new");
    expect(window.accept(999_999)).toBe("replayed");
    expect(window.accept(5000)).toBe("old");
  });
});

describe("connections table", () => {
  const connection = (usedMs: number) => ({
    role: "client" as const,
    key: undefined,
    window: new ReplayWindow(),
    usedMs,
  });

  test("a flood of hellos drives out only those that never sent a request", () => {
    const table = new ControlConnections();
    table.add("good", connection(0));
    table.use("good", connection(0), 1);
    for (let i = 0; i < 20_000; i++) table.add(`flood ${i}`, connection(10));
    expect(table.find("good")).toBeDefined();
    expect(table.find("flood 0")).toBeUndefined();
    expect(table.find("flood 19999")).toBeDefined();
    expect(table.size).toBeLessThan(5_000);
  });

  test("who was idle for ten minutes is forgotten", () => {
    const table = new ControlConnections();
    for (const [id, atMs] of [["a", 0] as const, ["b", 700_000] as const]) {
      const each = connection(atMs);
      table.add(id, each);
      table.use(id, each, atMs);
    }
    expect(table.find("a")).toBeUndefined();
    expect(table.find("b")).toBeDefined();
  });
});

describe("waiting", () => {
  const inSim = <T>(
    code: (world: Parameters<Parameters<ReturnType<Simulation["machine"]>["run"]>[0]>[0]) => Promise<T>,
  ) => {
    const simulation = new Simulation(1);
    return simulation.do(simulation.machine("a"), code);
  };
  const codeOf = (promise: Promise<unknown>) =>
    promise.then(
      () => "done",
      (error: unknown) => (error instanceof GfsError ? error.code : String(error)),
    );

  test("a time-out names what could not be done, and aborts it", () => {
    const text = inSim(async ({ clock }) => {
      let aborted = false;
      const error = await withTimeout(clock, 50, "open the door", (signal) => {
        signal.addEventListener("abort", () => (aborted = true));
        return new Promise(() => {});
      }).catch(String);
      return `${error} ${aborted}`;
    });
    expect(text).toBe("GfsError: Cannot open the door: no answer within 50 ms true");
  });

  test("an abort ends a sleep and a time-out at once, with the signal's own error where it has one", () => {
    const codes = inSim(async ({ clock }) => {
      const plain = new AbortController();
      const own = new AbortController();
      const waits = [
        codeOf(sleep(clock, 1e6, plain.signal)),
        codeOf(withTimeout(clock, 1e6, "wait", () => new Promise(() => {}), plain.signal)),
        codeOf(sleep(clock, 1e6, own.signal)),
      ];
      plain.abort();
      own.abort(new GfsError("Busy", "x"));
      return [...(await Promise.all(waits)), await codeOf(sleep(clock, 1, plain.signal))];
    });
    expect(codes).toEqual(["Interrupted", "Interrupted", "Busy", "Interrupted"]);
  });

  test("progress gives a deadline its whole span again", () => {
    inSim(async ({ clock }) => {
      const deadline = Deadline.in(clock, 100);
      await sleep(clock, 99);
      expect(deadline.expired).toBe(false);
      deadline.extend();
      await sleep(clock, 99);
      expect(deadline.expired).toBe(false);
      await sleep(clock, 2);
      expect(deadline.expired).toBe(true);
      expect(deadline.remainingMs()).toBe(0);
    });
  });

  test("back-off doubles from 50 ms to 5 s, with jitter within its upper half", () => {
    const bounds = (attempt: number) =>
      [0, 0.999_999].map((fraction) =>
        Math.round(backoffMs(attempt, { fraction: () => fraction, bytes: () => new Uint8Array() })),
      );
    expect([1, 2, 3, 8, 1000].map(bounds)).toEqual([
      [25, 50],
      [50, 100],
      [100, 200],
      [2500, 5000],
      [2500, 5000],
    ]);
  });
});
