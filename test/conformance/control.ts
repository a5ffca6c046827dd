import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { GfsError } from "../../src/base/errors.ts";
import { ControlError, type ControlHandler } from "../../src/io.ts";
import { inWorld, type MakeWorld, pattern, rejection, sleep } from "./world-under-test.ts";

const timeoutMs = 5000;
const nothing = new Uint8Array(0);

const echo: ControlHandler = async (request, remote) =>
  new Response(await request.bytes(), {
    status: 201,
    headers: {
      "x-path": new URL(request.url).pathname,
      "x-method": request.method,
      "x-remote": remote(),
      "x-given": request.headers.get("x-given") ?? "none",
    },
  });

async function failure(promise: Promise<unknown>): Promise<{ kind: ControlError["kind"]; notSent: boolean }> {
  const error = await rejection(promise);
  if (!(error instanceof ControlError)) throw error;
  return { kind: error.kind, notSent: error.notSent };
}

export function describeControl(name: string, make: MakeWorld): void {
  describe(`control of ${name}: calls`, () => {
    test(
      "post() carries path, headers and body there, and status, headers and body back",
      inWorld(make, async ({ world: { control }, address }) => {
        await using server = await control.serve(address(), echo);
        const channel = control.channel(server.address);
        expect(channel.address).toBe(server.address);
        const answer = await channel.post({
          path: "/v1/hello",
          headers: { "x-given": "yes" },
          body: utf8("question"),
          timeoutMs,
        });
        expect(answer.status).toBe(201);
        expect(new TextDecoder().decode(answer.body)).toBe("question");
        expect(answer.headers.get("x-path")).toBe("/v1/hello");
        expect(answer.headers.get("x-method")).toBe("POST");
        expect(answer.headers.get("x-given")).toBe("yes");
        expect(answer.headers.get("x-remote")).toMatch(/:[1-9][0-9]*$/);
        channel.close();
      }),
    );

    for (const size of [0, 1, 65_535, 65_536, 512 * 1024, 5_000_000]) {
      test(
        `bodies of ${size} bytes`,
        inWorld(make, async ({ world: { control }, address }) => {
          await using server = await control.serve(address(), echo);
          const channel = control.channel(server.address);
          const body = pattern(size);
          for (let i = 0; i < 3; i++) {
            const answer = await channel.post({ path: "/", body, timeoutMs });
            expect(Buffer.compare(answer.body, body)).toBe(0);
          }
          channel.close();
        }),
      );
    }

    test(
      "500 calls in flight get each its own answer, slow ones do not hold up the others",
      inWorld(make, async ({ world: { control }, address }) => {
        const { promise: others, resolve: othersEnded } = Promise.withResolvers<void>();
        await using server = await control.serve(address(), async (request) => {
          const body = await request.bytes();
          if (body[0] === 1) await others;
          return new Response(body);
        });
        const channel = control.channel(server.address);
        const order: number[] = [];
        await Promise.all(
          Array.from({ length: 500 }, async (_, i) => {
            const body = Uint8Array.of(i === 0 ? 1 : 0, i >> 8, i & 255);
            expect((await channel.post({ path: "/", body, timeoutMs })).body).toEqual(body);
            order.push(i);
            if (order.length === 499) othersEnded();
          }),
        );
        expect(order.at(-1)).toBe(0);
        channel.close();
      }),
    );

    test(
      "an error status is an answer, not an error",
      inWorld(make, async ({ world: { control }, address }) => {
        await using server = await control.serve(address(), () => new Response("no", { status: 503 }));
        const channel = control.channel(server.address);
        const { status, body } = await channel.post({ path: "/", body: nothing, timeoutMs });
        expect({ status, text: new TextDecoder().decode(body) }).toEqual({ status: 503, text: "no" });
        channel.close();
      }),
    );
  });

  describe(`control of ${name}: failures`, () => {
    test(
      "a refused connection is surely not sent, and the channel recovers when the server comes",
      inWorld(make, async ({ world: { control }, address }) => {
        const first = await control.serve(address(), echo);
        await first[Symbol.asyncDispose]();
        const channel = control.channel(first.address);
        for (let i = 0; i < 3; i++) {
          expect(await failure(channel.post({ path: "/", body: nothing, timeoutMs }))).toEqual({
            kind: "refused",
            notSent: true,
          });
        }
        await using second = await control.serve(first.address, echo);
        expect(second.address).toBe(first.address);
        expect((await channel.post({ path: "/", body: nothing, timeoutMs })).status).toBe(201);
        channel.close();
      }),
    );

    test(
      "a server that went away and came back is connected to anew",
      inWorld(make, async ({ world: { control, clock }, address }) => {
        const first = await control.serve(address(), echo);
        const channel = control.channel(first.address);
        expect((await channel.post({ path: "/", body: nothing, timeoutMs })).status).toBe(201);
        await first[Symbol.asyncDispose]();
        await sleep(clock, 20);
        await using second = await control.serve(first.address, echo);
        expect(second.address).toBe(first.address);
        expect((await channel.post({ path: "/", body: nothing, timeoutMs })).status).toBe(201);
        channel.close();
      }),
    );

    test(
      "a server that does not answer in time: the outcome is unknown, other calls go on",
      inWorld(make, async ({ world: { control }, address }) => {
        const late = Promise.withResolvers<void>();
        await using server = await control.serve(address(), async (request) => {
          if (new URL(request.url).pathname === "/slow") await late.promise;
          return new Response("late");
        });
        const channel = control.channel(server.address);
        const slow = failure(channel.post({ path: "/slow", body: nothing, timeoutMs: 50 }));
        expect((await channel.post({ path: "/", body: nothing, timeoutMs })).status).toBe(200);
        expect(await slow).toEqual({ kind: "timeout", notSent: false });
        expect((await channel.post({ path: "/", body: nothing, timeoutMs })).status).toBe(200);
        late.resolve();
        channel.close();
      }),
    );

    test(
      "an abort ends the call at once; before the call nothing is sent",
      inWorld(make, async ({ world: { control }, address }) => {
        let calls = 0;
        const called = Promise.withResolvers<void>();
        const late = Promise.withResolvers<void>();
        await using server = await control.serve(address(), async () => {
          calls++;
          called.resolve();
          await late.promise;
          return new Response("late");
        });
        const channel = control.channel(server.address);
        const signal = AbortSignal.abort();
        expect(await failure(channel.post({ path: "/", body: nothing, timeoutMs, signal }))).toEqual({
          kind: "aborted",
          notSent: true,
        });
        expect(calls).toBe(0);
        const controller = new AbortController();
        const pending = failure(channel.post({ path: "/", body: nothing, timeoutMs, signal: controller.signal }));
        await called.promise;
        controller.abort();
        expect(await pending).toEqual({ kind: "aborted", notSent: false });
        expect(calls).toBe(1);
        late.resolve();
        channel.close();
      }),
    );

    test(
      "close() of the channel breaks calls in flight, and refuses later ones",
      inWorld(make, async ({ world: { control }, address }) => {
        const called = Promise.withResolvers<void>();
        const late = Promise.withResolvers<void>();
        await using server = await control.serve(address(), async () => {
          called.resolve();
          await late.promise;
          return new Response("late");
        });
        const channel = control.channel(server.address);
        const pending = failure(channel.post({ path: "/", body: nothing, timeoutMs }));
        await called.promise;
        channel.close();
        channel.close();
        expect(await pending).toEqual({ kind: "closed", notSent: false });
        late.resolve();
        expect(await failure(channel.post({ path: "/", body: nothing, timeoutMs }))).toEqual({
          kind: "closed",
          notSent: true,
        });
      }),
    );

    test(
      "serve() on an address that is taken names it",
      inWorld(make, async ({ world: { control }, address }) => {
        await using server = await control.serve(address(), echo);
        const error = await rejection(control.serve(server.address, echo));
        if (!(error instanceof GfsError)) throw error;
        expect(error.code).toBe("AddressInUse");
        expect(error.message).toContain(server.address);
      }),
    );
  });
}
