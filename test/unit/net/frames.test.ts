import { describe, expect, test } from "bun:test";
import { concatBytes, utf8 } from "../../../src/base/bytes.ts";
import { GfsError } from "../../../src/base/errors.ts";
import { type Connection, StreamError, type World } from "../../../src/io.ts";
import { acceptFrames, dialFrames, type DialOptions, FrameConnection } from "../../../src/net/frame-connection.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { FramePool } from "../../../src/net/frame-pool.ts";
import { encodeFrame } from "../../../src/wire/data/frame.ts";
import { clusterId, volumeId } from "../../../src/wire/ids.ts";
import { Simulation } from "../../sim/world/simulation.ts";

const cluster = clusterId("c".repeat(32));
const volume = volumeId("d".repeat(32));
const secret = new Uint8Array(32).fill(9);
const none = new Uint8Array();

interface Served {
  secret?: Uint8Array | undefined;
  cluster?: typeof cluster | undefined;
}

/** A server that sends every frame back, until it gets "writeAbort": then it ends. */
async function echo(world: World, options: Served, seen: string[]): Promise<void> {
  const talk = async (connection: Connection): Promise<void> => {
    const accepted = { volume, clusterId: () => options.cluster, secret: options.secret, timeoutMs: 1_000 };
    const { frames, role } = await acceptFrames(world, connection, accepted);
    seen.push(role);
    for (let frame = await frames.read(); frame !== null; frame = await frames.read()) {
      if (frame.type === "writeAbort") break;
      frames.send(frame.type, frame.stream, frame.header, frame.payload);
    }
    frames.end();
  };
  await world.stream.listen("s:1", (connection) => {
    talk(connection).catch((error: unknown) => seen.push(error instanceof GfsError ? error.code : String(error)));
  });
  await new Promise(() => {});
}

function start(served: Served = {}) {
  const simulation = new Simulation(3);
  const server = simulation.machine("s");
  const client = simulation.machine("c");
  const seen: string[] = [];
  const options: Served = { cluster, ...served };
  const boot = () => {
    server.run((world) => echo(world, options, seen));
    simulation.runFor(5);
  };
  boot();
  const dial = (more: Partial<DialOptions> = {}) =>
    simulation.do(client, (world) =>
      dialFrames(world, "s:1", { role: "client", timeoutMs: 2_000, ...more }).catch((error: unknown) => error),
    );
  const connected = (more: Partial<DialOptions> = {}) => {
    const frames = dial(more);
    if (frames instanceof FrameConnection) return frames;
    throw new Error(String(frames));
  };
  return { simulation, server, client, seen, boot, dial, connected };
}

const codeOf = (error: unknown) =>
  error instanceof GfsError ? error.code : error instanceof StreamError ? error.kind : "connected";

describe("handshake of the data plane", () => {
  test.each([
    ["no secret anywhere", {}, {}, "connected"],
    ["the same secret", { secret }, { secret }, "connected"],
    ["no secret here", { secret }, {}, "Denied"],
    ["no secret there", {}, { secret }, "Denied"],
    ["another secret", { secret }, { secret: secret.with(0, 1) }, "Denied"],
    ["the same cluster", {}, { clusterId: cluster }, "connected"],
    ["another cluster", {}, { clusterId: clusterId("e".repeat(32)) }, "WrongCluster"],
    ["a volume without a cluster", { cluster: undefined }, {}, "Unavailable"],
  ] as const)("%s: %p %p", (_, served: Served, dialled: Partial<DialOptions>, expected) => {
    const { dial, seen, simulation } = start(served);
    expect(codeOf(dial(dialled))).toBe(expected);
    simulation.runFor(2_000);
    // A server without a secret can't know that its caller went away for that.
    if ("secret" in served || !("secret" in dialled)) expect(seen.includes("client")).toBe(expected === "connected");
  });

  test("the caller learns which volume it reached", () => {
    expect(start().connected()).toMatchObject({ volume, clusterId: cluster });
  });

  test("a caller that says nothing is sent away in time, and one that sends too much at once", () => {
    const { simulation, client, seen } = start();
    const errors = simulation.do(client, async ({ stream }) => {
      const silent = await stream.connect("s:1", { timeoutMs: 100 });
      const loud = await stream.connect("s:1", { timeoutMs: 100 });
      const garbage = await stream.connect("s:1", { timeoutMs: 100 });
      loud.send(encodeFrame("writeData", 1, none, [new Uint8Array(100_000)]));
      garbage.send([utf8("GET / HTTP/1.1\r\n\r\n")]);
      const drain = async (connection: Connection) => {
        while ((await connection.read()) !== null);
      };
      await Promise.all([silent, loud, garbage].map(drain));
    });
    expect(errors).toBeUndefined();
    expect(seen.sort()).toEqual(["ProtocolError", "ProtocolError", "Timeout"]);
  });

  test("a server that does not answer costs the time-out, one that is not there nothing", () => {
    const { simulation, server, client, dial } = start();
    server.pause(60_000);
    expect(codeOf(dial())).toBe("Timeout");
    const refused = simulation.do(client, (world) =>
      dialFrames(world, "s:9", { role: "client", timeoutMs: 60_000 }).catch(codeOf),
    );
    expect(refused).toBe("refused");
  });
});

describe("frames on a connection", () => {
  test("come back in order and whole, however many arrive at once", () => {
    const { simulation, client, connected } = start();
    const frames = connected();
    const sizes = [0, 1, 100_000, 5, 0, 65_536];
    const got = simulation.do(client, async () => {
      for (const [i, size] of sizes.entries())
        frames.send("writeData", i, utf8(`h${i}`), [new Uint8Array(size).fill(i)]);
      const back: number[] = [];
      for (let i = 0; i < sizes.length; i++) {
        const frame = await frames.read();
        expect(concatBytes(frame?.payload ?? [])).toEqual(new Uint8Array(sizes[i]!).fill(i));
        back.push(frame?.stream ?? -1);
      }
      return back;
    });
    expect(got).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("pings are answered without the reader", () => {
    const { simulation, client, connected } = start();
    const frames = connected();
    const got = simulation.do(client, async () => {
      frames.send("ping", 7, none);
      return (await frames.read())?.type;
    });
    expect(got).toBe("pong");
  });

  test("pings that came along with other frames are answered too, and nobody sees them", () => {
    const { simulation, client, server } = start();
    const got = simulation.do(client, async ({ stream }) => {
      const answered: string[] = [];
      server.run(async (world) => {
        await world.stream.listen("s:2", (connection) => {
          const theirs = new FrameConnection(connection);
          theirs.prove();
          for (const [type, id] of [
            ["readEnd", 1],
            ["ping", 7],
            ["readEnd", 2],
            ["ping", 8],
          ] as const)
            theirs.send(type, id, none);
          const listen = async (): Promise<void> => {
            for (let frame = await theirs.read(); frame !== null; frame = await theirs.read())
              answered.push(`${frame.type} ${frame.stream}`);
          };
          listen().catch(() => undefined);
        });
      });
      await sleep(client.world.clock, 10);
      const ours = new FrameConnection(await stream.connect("s:2", { timeoutMs: 100 }));
      ours.prove();
      const taken = [(await ours.read())?.stream, ours.take()?.stream, ours.take()];
      await sleep(client.world.clock, 10);
      return { taken, answered };
    });
    expect(got).toEqual({ taken: [1, 2, undefined], answered: ["pong 7", "pong 8"] });
  });

  test("an end between frames is an end, a connection dropped here is an error", () => {
    const { simulation, client, connected } = start();
    const [clean, broken] = [connected(), connected()];
    const end = simulation.do(client, async () => {
      clean.send("writeAbort", 1, none);
      return clean.read();
    });
    expect(end).toBeNull();
    broken.close();
    expect(simulation.do(client, () => broken.read().catch(codeOf))).toBe("closed");
  });
});

describe("pool of data connections", () => {
  const withPool = () => {
    const started = start();
    const { simulation, client } = started;
    const pool = new FramePool(client.world, { role: "client", clusterId: () => cluster });
    const take = () => simulation.do(client, () => pool.take("s:1", 1_000));
    return { ...started, pool, take };
  };

  test("a connection given back is taken again, and knows that it had waited", () => {
    const { pool, take } = withPool();
    const first = take();
    expect(pool.wasIdle(first)).toBe(false);
    pool.give(first);
    expect(take()).toBe(first);
    expect(pool.wasIdle(first)).toBe(true);
    expect(take()).not.toBe(first);
  });

  test("a connection that was idle still reads what comes afterwards", () => {
    const { simulation, client, pool, take } = withPool();
    pool.give(take());
    simulation.runFor(1_000);
    const frames = take();
    const type = simulation.do(client, async () => {
      frames.send("read", 1, none);
      return (await frames.read())?.type;
    });
    expect(type).toBe("read");
    pool.give(frames);
    expect(pool.idleCount).toBe(1);
  });

  test("one whose server died while it waited is noticed, one that waited too long is let go, and a closed pool holds nothing", () => {
    const { simulation, server, boot, pool, take } = withPool();
    pool.give(take());
    server.crash({ powerLoss: false });
    simulation.runFor(10);
    expect(pool.idleCount).toBe(0);
    server.restart();
    boot();
    pool.give(take());
    simulation.runFor(46_000);
    expect(pool.idleCount).toBe(0);
    pool.give(take());
    expect(pool.idleCount).toBe(1);
    pool.close();
    expect(pool.idleCount).toBe(0);
  });

  test("keeps at most 64 for one address, and none with something under way", () => {
    const { simulation, client, pool, take } = withPool();
    const many = Array.from({ length: 66 }, take);
    for (const frames of many) pool.give(frames);
    expect(pool.idleCount).toBe(64);
    pool.forget("s:1");
    expect(pool.idleCount).toBe(0);
    const busy = take();
    busy.send("read", 1, new Uint8Array(50_000), [new Uint8Array(4 << 20)]);
    pool.give(busy);
    expect(pool.idleCount).toBe(simulation.do(client, async () => busy.closed) ? 0 : 1);
  });
});
