import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { GfsError, hasCode } from "../../../src/base/errors.ts";
import type { World } from "../../../src/io.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { ControlClient } from "../../../src/net/control-client.ts";
import { type ControlServerOptions, route, serveControl } from "../../../src/net/control-server.ts";
import { message } from "../../../src/wire/control/common.ts";
import { headers } from "../../../src/wire/control/handshake.ts";
import { encodeCbor } from "../../../src/wire/cbor.ts";
import { type ClusterId, clusterId } from "../../../src/wire/ids.ts";
import { noFaults } from "../../sim/world/fault-settings.ts";
import { Simulation } from "../../sim/world/simulation.ts";

const add = message("add", z.object({ a: z.int(), b: z.int() }), z.object({ sum: z.int() }));
const fail = message("fail", z.object({}), z.object({}));
const slow = message("slow", z.object({ ms: z.number() }), z.object({}));
const secret = new Uint8Array(32).fill(1);
const clusterA = clusterId("a".repeat(32));
const clusterB = clusterId("b".repeat(32));

async function serve(
  world: World,
  options: Partial<ControlServerOptions> = {},
  calls: { count: number } = { count: 0 },
) {
  await serveControl(world, {
    address: "m:1",
    role: "master",
    identity: () => ({ clusterId: clusterA }),
    healthz: () => ({ ok: true, role: "master" }),
    routes: [
      route(add, async ({ a, b }, caller) => {
        calls.count++;
        expect(caller.role).toBe("client");
        return { sum: a + b };
      }),
      route(fail, async () => {
        throw new GfsError("NoSpace", "Cannot do it: full", { retryAfterMs: 5, details: { wanted: 3, of: ["x"] } });
      }),
      route(slow, async ({ ms }) => {
        await sleep(world.clock, ms);
        return {};
      }),
    ],
    ...options,
  });
  await new Promise(() => {});
}

function start(options: Partial<ControlServerOptions> = {}, faults = noFaults) {
  const simulation = new Simulation(7, { faults });
  const server = simulation.machine("m");
  const calls = { count: 0 };
  const boot = () => server.run((world) => serve(world, options, calls));
  boot();
  simulation.runFor(10);
  const client = simulation.machine("c");
  const makeClient = (own: { secret?: Uint8Array; cluster?: ClusterId } = {}) =>
    new ControlClient(client.world, { role: "client", secret: own.secret, clusterId: () => own.cluster });
  const outcome = (promise: Promise<unknown>) =>
    simulation.do(client, () =>
      promise.then(
        (value) => JSON.stringify(value),
        (error: unknown) =>
          error instanceof GfsError ? `${error.code} ${error.details["outcome"] ?? ""}`.trim() : String(error),
      ),
    );
  return { simulation, server, client, calls, boot, makeClient, outcome };
}

const quick = { timeoutMs: 1_000 };

describe.each([
  ["without a secret", undefined],
  ["with a secret", secret],
])("control plane %s", (_, shared) => {
  const own = shared === undefined ? {} : { secret: shared };

  test("a call gets its answer, a refusal its code, its hints and its details", () => {
    const { simulation, client, makeClient, outcome } = start({ secret: shared });
    const control = makeClient(own);
    expect(outcome(control.call("m:1", add, { a: 1, b: 2 }, quick))).toBe('{"sum":3}');
    const error = simulation.do(client, () => control.call("m:1", fail, {}, quick).catch((e: unknown) => e));
    expect(error).toMatchObject({
      code: "NoSpace",
      message: "Cannot do it: full",
      retryAfterMs: 5,
      details: { wanted: 3, of: ["x"] },
    });
  });

  test("of an answer that can't be understood nobody knows what became of the request; of a greeting's, that it was not sent", () => {
    const { simulation, server, makeClient, outcome } = start({ secret: shared });
    const control = makeClient(own);
    expect(outcome(control.call("m:1", { ...add, reply: z.object({ sum: z.string() }) }, { a: 1, b: 2 }, quick))).toBe(
      "ProtocolError unknown",
    );
    server.run((world) => world.control.serve("m:2", async () => new Response(encodeCbor("?"))));
    simulation.runFor(10);
    expect(outcome(control.call("m:2", add, { a: 1, b: 2 }, quick))).toBe("ProtocolError none");
  });

  test("the same holds where something on the way answers in its own words, with a status of its own", () => {
    const { simulation, makeClient, outcome, calls } = start({ secret: shared });
    let garbled = "/v1/add";
    simulation.machine("p").run(async (world) => {
      const channel = world.control.channel("m:1");
      await world.control.serve("p:1", async (request) => {
        const path = new URL(request.url).pathname;
        const body = await request.bytes();
        const answer = await channel.post({ path, headers: request.headers.toJSON(), body, timeoutMs: 500 });
        if (path === garbled) return new Response("Bad gateway", { status: 502 });
        return new Response(answer.body, { status: answer.status });
      });
      await new Promise(() => {});
    });
    simulation.runFor(10);
    const call = (): Promise<unknown> => makeClient(own).call("p:1", add, { a: 1, b: 2 }, quick);
    expect(outcome(call())).toBe("ProtocolError unknown");
    expect(calls.count).toBe(1);
    garbled = "/v1/hello";
    expect(outcome(call())).toBe("ProtocolError none");
    expect(calls.count).toBe(1);
  });

  test("many calls at once, arriving in any order, are each answered once", () => {
    const { simulation, client, calls, makeClient } = start(
      { secret: shared },
      { ...noFaults, control: { ...noFaults.control, reorder: 0.5, duplicate: 0.2 } },
    );
    const control = makeClient(own);
    const sums = simulation.do(client, () =>
      Promise.all(Array.from({ length: 300 }, (_, i) => control.call("m:1", add, { a: i, b: 1 }, quick))),
    );
    expect(sums.map(({ sum }) => sum)).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    simulation.runFor(10_000);
    if (shared !== undefined) expect(calls.count).toBe(300);
  });

  test("a server that was started anew is greeted anew, unseen by the caller", () => {
    const { simulation, server, calls, boot, makeClient, outcome } = start({ secret: shared });
    const control = makeClient(own);
    outcome(control.call("m:1", add, { a: 1, b: 2 }, quick));
    server.crash({ powerLoss: false });
    server.restart();
    boot();
    simulation.runFor(10);
    expect(outcome(control.call("m:1", add, { a: 2, b: 2 }, quick))).toBe('{"sum":4}');
    expect(calls.count).toBe(2);
  });

  test("a call that nobody answers in time has an unknown outcome; one that could not be sent has none", () => {
    const { server, makeClient, outcome } = start({ secret: shared });
    const control = makeClient(own);
    expect(outcome(control.call("m:1", slow, { ms: 5_000 }, quick))).toBe("Timeout unknown");
    expect(outcome(control.call("m:2", add, { a: 1, b: 2 }, quick))).toBe("Unavailable none");
    server.crash({ powerLoss: true });
    expect(outcome(makeClient(own).call("m:1", add, { a: 1, b: 2 }, quick))).toBe("Unavailable none");
  });

  test("an abort ends the wait", () => {
    const { simulation, client, makeClient, outcome } = start({ secret: shared });
    const abort = new AbortController();
    const call = simulation.do(client, async () => {
      const pending = makeClient(own).call("m:1", slow, { ms: 5_000 }, { timeoutMs: 60_000, signal: abort.signal });
      client.world.clock.after(100, () => abort.abort());
      return { pending };
    });
    expect(outcome(call.pending)).toBe("Interrupted");
  });
});

describe("hello", () => {
  test.each([
    ["the server alone has a secret", { server: secret }, "Denied"],
    ["the client alone has a secret", { client: secret }, "Denied"],
    ["the secrets differ", { server: secret, client: new Uint8Array(32).fill(2) }, "Denied"],
    ["the clusters differ", { cluster: clusterB }, "WrongCluster"],
    ["the cluster is the same", { cluster: clusterA }, '{"sum":3}'],
  ] as const)(
    "%s",
    (_, { server, client, cluster }: { server?: Uint8Array; client?: Uint8Array; cluster?: ClusterId }, expected) => {
      const { calls, makeClient, outcome } = start({ secret: server });
      const control = makeClient({
        ...(client === undefined ? {} : { secret: client }),
        ...(cluster === undefined ? {} : { cluster }),
      });
      expect(outcome(control.call("m:1", add, { a: 1, b: 2 }, quick))).toBe(expected);
      expect(calls.count).toBe(expected.startsWith("{") ? 1 : 0);
    },
  );
});

describe("bad input", () => {
  const post = (path: string, body: Uint8Array, more: Record<string, string> = {}) => {
    const { simulation, client, calls } = start({ secret });
    const answer = simulation.do(client, ({ control }) =>
      control
        .channel("m:1")
        .post({ path, body, timeoutMs: 1_000, headers: { "content-length": `${body.length}`, ...more } }),
    );
    expect(calls.count).toBe(0);
    return answer.status;
  };

  test("what is no message of this server is refused with a typed error", () => {
    expect(post("/v1/nothing", new Uint8Array())).toBe(400);
    expect(post("/etc/passwd", new Uint8Array())).toBe(400);
    expect(post("/v1/add", encodeCbor({ a: 1, b: 2 }))).toBe(503);
    expect(post("/v1/add", encodeCbor({ a: 1, b: 2 }), { [headers.connection]: "f".repeat(32) })).toBe(503);
    expect(post("/v1/hello", Uint8Array.of(0xff, 0xff))).toBe(400);
    expect(post("/v1/hello", encodeCbor({ role: "god" }))).toBe(400);
    expect(post("/v1/hello", new Uint8Array(5 << 20))).toBe(400);
  });

  test("a request that does not fit its schema names the field, and one that is too long is not read", () => {
    const { simulation, client, makeClient } = start();
    const control = makeClient();
    const wrong = { a: 1.5, b: 2 };
    const errors = simulation.do(client, async () => [
      await control.call("m:1", add, wrong, quick).catch((e: unknown) => e),
      await control
        .call("m:1", message("add", z.unknown(), z.unknown()), new Uint8Array(5 << 20), quick)
        .catch((e: unknown) => e),
    ]);
    expect(errors.every((error) => hasCode(error, "ProtocolError"))).toBe(true);
    expect(String(errors[0])).toContain("add: a:");
  });

  test("a captured request has no effect when it is sent again, or with another body", () => {
    const { simulation, client, calls } = start({ secret });
    const taken: { path: string; headers: Record<string, string>; body: Uint8Array }[] = [];
    const spying: World = {
      ...client.world,
      control: {
        serve: (address, handler) => client.world.control.serve(address, handler),
        channel: (address) => {
          const channel = client.world.control.channel(address);
          return {
            address,
            close: () => channel.close(),
            post: (request) => {
              taken.push({ path: request.path, headers: { ...request.headers }, body: request.body });
              return channel.post(request);
            },
          };
        },
      },
    };
    const control = new ControlClient(spying, { role: "client", secret, clusterId: () => undefined });
    simulation.do(client, () => control.call("m:1", add, { a: 1, b: 2 }, quick));
    const request = taken[1]!;
    const again = (changes: Partial<typeof request>) =>
      simulation.do(client, ({ control }) => control.channel("m:1").post({ ...request, ...changes, timeoutMs: 1_000 }))
        .status;
    expect(again({})).toBe(403);
    expect(again({ headers: { ...request.headers, [headers.counter]: "2" } })).toBe(403);
    expect(again({ path: "/v1/fail" })).toBe(403);
    const other = encodeCbor({ a: 1, b: 9 });
    expect(again({ body: other, headers: { ...request.headers, "content-length": `${other.length}` } })).toBe(403);
    expect(calls.count).toBe(1);
  });

  test("beyond the requests that a server works on at a time, callers are told when to come back", () => {
    const { simulation, client, makeClient } = start({ requestsMax: 2 });
    const control = makeClient();
    const codes = simulation.do(client, () =>
      Promise.all(
        [1, 2, 3].map(() =>
          control.call("m:1", slow, { ms: 100 }, quick).then(
            () => "done",
            (e: unknown) => (hasCode(e, "Busy") ? `Busy ${e.retryAfterMs}` : "?"),
          ),
        ),
      ),
    );
    expect(codes.sort()).toEqual(["Busy 100", "done", "done"]);
  });
});
