/** Requests whose bodies do not come, as the handler of a control server sees them. */
import { describe, expect, test } from "bun:test";
import { serveControl } from "../../../src/net/control-server.ts";
import type { ControlHandler, World } from "../../../src/io.ts";
import { Simulation } from "../../sim/world/simulation.ts";

function start() {
  const simulation = new Simulation(7);
  const machine = simulation.machine("m");
  const seen: { handler?: ControlHandler; bugs: unknown[] } = { bugs: [] };
  const world: World = {
    ...machine.world,
    control: {
      channel: (address) => machine.world.control.channel(address),
      serve: (_, handler) => {
        seen.handler = handler;
        return Promise.resolve({ address: "m:1", async [Symbol.asyncDispose]() {} });
      },
    },
  };
  simulation.do(machine, () =>
    serveControl(world, {
      address: "m:1",
      role: "chunkserver",
      identity: () => ({}),
      routes: [],
      healthz: () => ({ ok: true }),
      onBug: (error) => seen.bugs.push(error),
    }),
  );
  const answer = (body: ReadableStream<Uint8Array>, contentLength: number): number => {
    const request = new Request("http://m:1/v1/hello", {
      method: "POST",
      headers: { "content-length": `${contentLength}` },
      body,
    });
    return simulation.do(machine, async () => (await seen.handler?.(request, () => "c:1"))?.status ?? 0);
  };
  return { simulation, seen, answer };
}

describe("a request that", () => {
  test("ends before it is whole is refused, and is no bug that stops the server", () => {
    const { seen, answer } = start();
    const broken = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new Error("The connection was closed.")),
    });
    expect(answer(broken, 100)).toBe(400);
    expect(seen.bugs).toEqual([]);
  });

  test("stalls is given up after 30 s", () => {
    const { simulation, answer } = start();
    const beganMs = simulation.nowMs;
    expect(answer(new ReadableStream<Uint8Array>(), 100)).toBe(504);
    expect(simulation.nowMs - beganMs).toBeCloseTo(30_000, 1);
  });

  test("greets with more than a hello can be is not read", () => {
    const { answer } = start();
    expect(answer(new ReadableStream<Uint8Array>(), 8_193)).toBe(400);
  });
});
