import { describe, expect, test } from "bun:test";
import { GfsError, hasCode } from "../../../src/base/errors.ts";
import { type Connection, StreamError, type World } from "../../../src/io.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { CallFailure, type FrameCall, FrameCalls } from "../../../src/net/frame-calls.ts";
import { acceptFrames } from "../../../src/net/frame-connection.ts";
import { FramePool } from "../../../src/net/frame-pool.ts";
import { clusterId, volumeId } from "../../../src/wire/ids.ts";
import { Simulation } from "../../sim/world/simulation.ts";

const cluster = clusterId("c".repeat(32));
const options = { volume: volumeId("d".repeat(32)), clusterId: () => cluster, timeoutMs: 1_000 };
const silentMs = 2_000;
const answerMs = 3_000;

/** What the server does with a request whose payload begins with this byte; any other is sent back. */
const held = 1;
const hangUp = 2;
/** It is answered, but not soon. */
const late = 3;

interface Served {
  connections: number;
}

async function serve(world: World, served: Served): Promise<void> {
  const talk = async (connection: Connection): Promise<void> => {
    served.connections++;
    const { frames } = await acceptFrames(world, connection, options);
    for (let frame = await frames.read(); frame !== null; frame = await frames.read()) {
      if (frame.payload[0]?.[0] === hangUp) return frames.close();
      if (frame.payload[0]?.[0] === late) await sleep(world.clock, silentMs * 0.9);
      if (frame.payload[0]?.[0] !== held) frames.send("wholeDone", frame.stream, frame.header, frame.payload);
    }
    frames.end();
  };
  await world.stream.listen("s:1", (connection) => {
    talk(connection).catch(() => connection.close());
  });
  await new Promise(() => {});
}

function call(kind: number, bytes = 10): FrameCall {
  const payload = [new Uint8Array(bytes).fill(kind)];
  return { type: "writeWhole", header: new Uint8Array(0), payload, connectMs: 1_000, silentMs, answerMs };
}

function start() {
  const simulation = new Simulation(5);
  const server = simulation.machine("s");
  const served: Served = { connections: 0 };
  const boot = (): void => {
    server.run((world) => serve(world, served));
    simulation.runFor(5);
  };
  boot();
  const client = simulation.machine("c");
  const run = <T>(code: (calls: FrameCalls, world: World, pool: FramePool) => Promise<T>): T =>
    simulation.do(client, (world) => {
      const pool = new FramePool(world, { role: "client", clusterId: () => cluster });
      return code(new FrameCalls(world, pool), world, pool);
    });
  return { simulation, server, served, boot, run };
}

const reasonOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "answered",
    (thrown: unknown) => (thrown instanceof CallFailure ? thrown.reason : thrown),
  );

describe("calls of one frame", () => {
  test("share one connection, and give it back when all are answered", () => {
    const { served, run } = start();
    const idle = run(async (calls, _world, pool) => {
      const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => calls.call("s:1", call(7, i + 1))));
      expect(answers.map(({ payloadBytes }) => payloadBytes)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
      const between = pool.idleCount;
      await calls.call("s:1", call(7));
      return [between, pool.idleCount];
    });
    expect(idle).toEqual([1, 1]);
    expect(served.connections).toBe(1);
  });

  test("one that is not answered fails alone where others are answered meanwhile", () => {
    const { served, run } = start();
    const [reason, answered, idle] = run(async (calls, world, pool) => {
      const lost = reasonOf(calls.call("s:1", call(held)));
      let count = 0;
      for (; count < (1.5 * answerMs) / 100; count++) {
        await calls.call("s:1", call(7));
        await sleep(world.clock, 100);
      }
      await sleep(world.clock, answerMs);
      return [await lost, count, pool.idleCount] as const;
    });
    expect(hasCode(reason, "Timeout")).toBe(true);
    expect(answered).toBe(45);
    // Its answer may still come: that connection is not for the next user, the one after it is.
    expect(idle).toBe(1);
    expect(served.connections).toBe(2);
  });

  test("all fail where nothing is answered, also those that could not even be sent, and the next call has a new connection", () => {
    const { server, served, boot, run } = start();
    const kinds = run(async (calls, world) => {
      await calls.call("s:1", call(7));
      server.pause(60_000);
      const beganMs = world.clock.monotonicMs();
      const reasons = await Promise.all(
        Array.from({ length: 12 }, () => reasonOf(calls.call("s:1", call(held, 1_000_000)))),
      );
      expect(world.clock.monotonicMs() - beganMs).toBeLessThan(silentMs * 1.2);
      return reasons.map((reason) => hasCode(reason, "Timeout"));
    });
    expect(kinds).toEqual(Array.from({ length: 12 }, () => true));
    server.crash({ powerLoss: false });
    server.restart();
    boot();
    run((calls) => calls.call("s:1", call(7)));
    expect(served.connections).toBe(2);
  });

  test("those that wait to be sent fail too where the server goes away right after an answer", () => {
    const { server, run } = start();
    const [reasons, tookMs] = run(async (calls, world) => {
      const beganMs = world.clock.monotonicMs();
      const answered = calls.call("s:1", call(7));
      const others = Array.from({ length: 12 }, () => reasonOf(calls.call("s:1", call(held, 1_000_000))));
      await answered;
      server.pause(600_000);
      return [await Promise.all(others), world.clock.monotonicMs() - beganMs] as const;
    });
    expect(reasons.map((reason) => hasCode(reason, "Timeout"))).toEqual(reasons.map(() => true));
    expect(tookMs).toBeLessThan(silentMs * 2.5);
  });

  test("a server that is frozen is noticed after the silence allowed, one that lives has the whole time to answer", () => {
    const { server, served, run } = start();
    const [living, frozen, thawed, idle] = run(async (calls, world, pool) => {
      const tookMs = async (): Promise<number> => {
        const beganMs = world.clock.monotonicMs();
        expect(hasCode(await reasonOf(calls.call("s:1", call(held))), "Timeout")).toBe(true);
        return world.clock.monotonicMs() - beganMs;
      };
      const first = await tookMs();
      const second = tookMs();
      await sleep(world.clock, 1);
      server.pause(60_000);
      const third = await second;
      // One that stood still for a while only.
      await sleep(world.clock, 60_000);
      const fourth = tookMs();
      await sleep(world.clock, 100);
      server.pause(silentMs * 0.8);
      return [first, third, await fourth, pool.idleCount];
    });
    for (const ms of [living, thawed]) {
      expect(ms).toBeGreaterThanOrEqual(answerMs);
      expect(ms).toBeLessThan(answerMs * 1.1);
    }
    expect(frozen).toBeGreaterThanOrEqual(silentMs);
    expect(frozen).toBeLessThan(silentMs * 1.1);
    expect(idle).toBe(0);
    expect(served.connections).toBe(3);
  });

  test("a connection whose server was asked whether it lives goes on, with nothing under way", () => {
    const { served, run } = start();
    const idle = run(async (calls, world, pool) => {
      const slow = calls.call("s:1", call(late));
      await slow;
      await sleep(world.clock, 100);
      await calls.call("s:1", call(7));
      return pool.idleCount;
    });
    expect(idle).toBe(1);
    expect(served.connections).toBe(1);
  });

  test("a connection that breaks fails them all; one that had waited in the pool and said nothing is stale", () => {
    const { server, boot, run } = start();
    const failures = run(async (calls) => {
      const failure = (promise: Promise<unknown>): Promise<unknown> => promise.catch((thrown: unknown) => thrown);
      const fresh = await Promise.all([
        failure(calls.call("s:1", call(held))),
        failure(calls.call("s:1", call(hangUp))),
      ]);
      await calls.call("s:1", call(7));
      return [...fresh, await failure(calls.call("s:1", call(hangUp)))];
    });
    expect(failures.map((failure) => failure instanceof CallFailure && failure.stale)).toEqual([false, false, true]);
    for (const failure of failures)
      expect(failure instanceof CallFailure && failure.reason instanceof StreamError).toBe(true);
    server.crash({ powerLoss: false });
    expect(run((calls) => reasonOf(calls.call("s:1", call(7))))).toBeInstanceOf(StreamError);
    server.restart();
    boot();
    expect(run((calls) => reasonOf(calls.call("s:1", call(7))))).toBe("answered");
  });

  test("those in progress end with it, and none begins afterwards", () => {
    const { run } = start();
    const reasons = run(async (calls, world) => {
      const waiting = reasonOf(calls.call("s:1", call(held)));
      await sleep(world.clock, 50);
      calls.close();
      return [await waiting, await reasonOf(calls.call("s:1", call(7)))];
    });
    for (const reason of reasons) expect(reason instanceof GfsError && reason.code).toBe("Unavailable");
  });
});
