import { describe, expect, test } from "bun:test";
import { concatBytes, utf8 } from "../../../src/base/bytes.ts";
import { type Connection, ControlError, type ControlHandler, StreamError } from "../../../src/io.ts";
import { type FaultSettings, noFaults } from "./fault-settings.ts";
import type { Machine } from "./machine.ts";
import { Simulation } from "./simulation.ts";

interface Pair {
  readonly simulation: Simulation;
  readonly server: Machine;
  readonly client: Machine;
}

function start(seed = 1, faults: Partial<FaultSettings> = {}): Pair {
  const simulation = new Simulation(seed, { faults: { ...noFaults, ...faults } });
  return { simulation, server: simulation.machine("s"), client: simulation.machine("c") };
}

function connect({ simulation, server, client }: Pair): { near: Connection; far: Connection } {
  let far: Connection | undefined;
  const near = simulation.complete(
    (simulation.do(server, ({ stream }) => stream.listen("s:1", (accepted) => (far = accepted))),
    client.run(({ stream }) => stream.connect("s:1", { timeoutMs: 1000 }))),
  );
  expect(far).toBeDefined();
  return { near, far: far! };
}

async function readAll(connection: Connection): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let piece = await connection.read(); piece !== null; piece = await connection.read()) pieces.push(piece);
  return concatBytes(pieces);
}

async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof StreamError) return error.kind;
    if (error instanceof ControlError) return `${error.kind} ${error.notSent ? "not sent" : "unknown"}`;
    throw error;
  }
  return "no error";
}

describe("streams", () => {
  test("a partition holds bytes back, and they arrive in order once it heals", () => {
    const pair = start();
    const { near, far } = connect(pair);
    const { simulation } = pair;
    near.send([utf8("a")]);
    simulation.runFor(10);
    simulation.network.partition(["s"], ["c"]);
    near.send([utf8("b")]);
    simulation.runFor(20_000);
    near.send([utf8("c")]);
    near.end();
    const reading = pair.server.run(() => readAll(far));
    expect(simulation.runUntil(() => reading.settled, 3000)).toBe(false);
    simulation.network.heal();
    expect(simulation.complete(reading, 1000)).toEqual(utf8("abc"));
  });

  test("a one-way partition lets bytes through, and no connection is made", () => {
    const pair = start();
    const { near, far } = connect(pair);
    const { simulation, server, client } = pair;
    simulation.network.block(["s"], ["c"]);
    near.send([utf8("x")]);
    expect(simulation.do(server, () => far.read())).toEqual(utf8("x"));
    const dial = client.run(({ stream }) => failureOf(stream.connect("s:1", { timeoutMs: 3000 })));
    expect(simulation.complete(dial)).toBe("timeout");
    const retry = client.run(({ stream }) => stream.connect("s:1", { timeoutMs: 3000 }));
    simulation.after(500, () => simulation.network.heal());
    expect(simulation.complete(retry).closed).toBe(false);
  });

  test("a killed process ends or resets its connections: what arrives is a first part of what was sent", () => {
    const ends = new Set<string>();
    const lengths = new Set<number>();
    for (let seed = 1; seed <= 40; seed++) {
      const pair = start(seed, { stream: { ...noFaults.stream, shred: 1, jitterMs: [0, 5] } });
      const { near, far } = connect(pair);
      const sent = Uint8Array.from({ length: 5000 }, (_, i) => i % 251);
      const got: Uint8Array[] = [];
      const reading = pair.client.run(async () => {
        for (let piece = await near.read(); piece !== null; piece = await near.read()) got.push(piece);
      });
      far.send([sent]);
      pair.simulation.runFor(3);
      pair.server.crash({ powerLoss: false });
      pair.simulation.runUntil(() => reading.settled, 10_000);
      ends.add(reading.error instanceof StreamError ? "reset" : "end");
      const whole = concatBytes(got);
      expect(whole).toEqual(sent.subarray(0, whole.length));
      lengths.add(whole.length);
    }
    expect([...ends].sort()).toEqual(["end", "reset"]);
    expect(lengths.size).toBeGreaterThan(5);
  });

  test("after a power loss the other side is half-open until the machine is back", () => {
    const pair = start();
    const { near } = connect(pair);
    const { simulation, server, client } = pair;
    const reading = client.run(() => failureOf(near.read()));
    server.crash({ powerLoss: true });
    near.send([utf8("anybody?")]);
    simulation.runFor(60_000);
    expect(reading.state).toBe("running");
    const dial = client.run(({ stream }) => failureOf(stream.connect("s:1", { timeoutMs: 1000 })));
    expect(simulation.complete(dial)).toBe("timeout");
    server.restart();
    expect(simulation.complete(reading, 2000)).toBe("closed");
    const again = client.run(({ stream }) => failureOf(stream.connect("s:1", { timeoutMs: 1000 })));
    expect(simulation.complete(again)).toBe("refused");
  });

  test("an idle half-open connection is found out by keep-alive", () => {
    const pair = start();
    const { near } = connect(pair);
    const reading = pair.client.run(() => failureOf(near.read()));
    pair.server.crash({ powerLoss: true });
    pair.server.restart();
    pair.simulation.runFor(20_000);
    expect(reading.state).toBe("running");
    expect(pair.simulation.complete(reading, 20_000)).toBe("closed");
  });

  test("resets by chance cut at any byte; where half-open, one side does not learn at once", () => {
    let half = 0;
    const lengths = new Set<number>();
    for (let seed = 1; seed <= 40; seed++) {
      const pair = start(seed, { stream: { ...noFaults.stream, reset: 1, halfOpen: 0.5 } });
      const { near, far } = connect(pair);
      let bytes = 0;
      pair.server.run(async () => {
        for (;;) bytes += (await far.read())?.length ?? 0;
      });
      near.send([new Uint8Array(1000)]);
      pair.simulation.runFor(1000);
      lengths.add(bytes);
      if (near.closed !== far.closed) half++;
      pair.simulation.runFor(60_000);
      expect([near.closed, far.closed]).toEqual([true, true]);
    }
    expect(half).toBeGreaterThan(5);
    expect(lengths.size).toBeGreaterThan(10);
  });
});

describe("control", () => {
  const body = new Uint8Array(3);
  const counting = (): { readonly handler: ControlHandler; calls: number } => {
    const counter = { calls: 0, handler: () => new Response(String(++counter.calls)) };
    return counter;
  };

  test("during a partition calls time out with an unknown outcome, and may arrive late", () => {
    const { simulation, server, client } = start();
    const counter = counting();
    simulation.do(server, ({ control }) => control.serve("s:1", counter.handler));
    const channel = client.world.control.channel("s:1");
    const post = (): Promise<string> => failureOf(channel.post({ path: "/", body, timeoutMs: 1000 }));
    expect(simulation.do(client, post)).toBe("no error");
    simulation.network.isolate("c");
    expect(simulation.do(client, post)).toBe("timeout unknown");
    expect(counter.calls).toBe(1);
    simulation.network.heal();
    simulation.runFor(1000);
    expect(counter.calls).toBe(2);
    expect(simulation.do(client, post)).toBe("no error");
  });

  test("requests and answers are lost by chance", () => {
    for (const [fault, ran] of [
      ["requestLost", false],
      ["answerLost", true],
    ] as const) {
      const seen = new Set<string>();
      for (let seed = 1; seed <= 20; seed++) {
        const { simulation, server, client } = start(seed, { control: { ...noFaults.control, [fault]: 1 } });
        const counter = counting();
        simulation.do(server, ({ control }) => control.serve("s:1", counter.handler));
        const call = client.run(({ control }) =>
          failureOf(control.channel("s:1").post({ path: "/", body, timeoutMs: 50 })),
        );
        seen.add(simulation.complete(call));
        expect(counter.calls > 0).toBe(ran);
      }
      expect([...seen].sort()).toEqual(["closed unknown", "timeout unknown"]);
    }
  });

  test("a request may come twice; one answer is given", () => {
    const { simulation, server, client } = start(1, { control: { ...noFaults.control, duplicate: 1 } });
    const counter = counting();
    simulation.do(server, ({ control }) => control.serve("s:1", counter.handler));
    const call = client.run(({ control }) => control.channel("s:1").post({ path: "/", body, timeoutMs: 50 }));
    expect(simulation.complete(call).body).toEqual(utf8("1"));
    simulation.runFor(5000);
    expect(counter.calls).toBe(2);
  });

  test("a server that is killed breaks the calls it has; one that is not there refuses", () => {
    const { simulation, server, client } = start();
    simulation.do(server, ({ control }) => control.serve("s:1", () => new Promise<Response>(() => {})));
    const channel = client.world.control.channel("s:1");
    const call = client.run(() => failureOf(channel.post({ path: "/", body, timeoutMs: 5000 })));
    simulation.runFor(10);
    server.crash({ powerLoss: false });
    expect(simulation.complete(call, 100)).toBe("closed unknown");
    expect(simulation.do(client, () => failureOf(channel.post({ path: "/", body, timeoutMs: 5000 })))).toBe(
      "refused not sent",
    );
    server.restart();
    simulation.do(server, ({ control }) => control.serve("s:1", () => new Response()));
    expect(simulation.do(client, () => failureOf(channel.post({ path: "/", body, timeoutMs: 5000 })))).toBe("no error");
  });

  test("after a power loss the old connection is found broken at the next call", () => {
    const { simulation, server, client } = start();
    const serve = () => simulation.do(server, ({ control }) => control.serve("s:1", () => new Response()));
    const channel = client.world.control.channel("s:1");
    const post = () => simulation.do(client, () => failureOf(channel.post({ path: "/", body, timeoutMs: 500 })));
    serve();
    expect(post()).toBe("no error");
    server.crash({ powerLoss: true });
    expect(post()).toBe("timeout unknown");
    server.restart();
    serve();
    expect(post()).toBe("closed unknown");
    expect(post()).toBe("no error");
  });

  test("a handler that throws is answered with status 500", () => {
    const { simulation, server, client } = start();
    const broken: ControlHandler = () => {
      throw new Error("broken");
    };
    simulation.do(server, ({ control }) => control.serve("s:1", broken));
    const call = client.run(({ control }) => control.channel("s:1").post({ path: "/", body, timeoutMs: 50 }));
    expect(simulation.complete(call).status).toBe(500);
    expect(simulation.counts.get("control.handler-threw")).toBe(1);
  });
});
