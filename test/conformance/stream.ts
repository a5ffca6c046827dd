import { describe, expect, test } from "bun:test";
import { concatBytes, utf8 } from "../../src/base/bytes.ts";
import { GfsError } from "../../src/base/errors.ts";
import { type Connection, StreamError, type World } from "../../src/io.ts";
import { inWorld, type MakeWorld, pattern, rejection, sleep, type WorldUnderTest } from "./world-under-test.ts";

/** Two ends of one connection. */
async function pairOf({ world: { stream }, address }: WorldUnderTest): Promise<[near: Connection, far: Connection]> {
  const accepted = Promise.withResolvers<Connection>();
  const listener = await stream.listen(address(), (connection) => accepted.resolve(connection));
  const near = await stream.connect(listener.address, { timeoutMs: 1000 });
  const far = await accepted.promise;
  await listener[Symbol.asyncDispose]();
  return [near, far];
}

async function readAll(connection: Connection): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (;;) {
    const piece = await connection.read();
    if (piece === null) return concatBytes(pieces);
    expect(piece.length).toBeGreaterThan(0);
    pieces.push(piece);
  }
}

async function readExactly(connection: Connection, bytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let got = 0;
  while (got < bytes) {
    const piece = await connection.read();
    if (piece === null) break;
    pieces.push(piece);
    got += piece.length;
  }
  return concatBytes(pieces);
}

async function kindOf(promise: Promise<unknown>): Promise<StreamError["kind"]> {
  const error = await rejection(promise);
  if (!(error instanceof StreamError)) throw error;
  return error.kind;
}

/** Until `done`, however long that takes: the time-out of the test is the limit. */
async function until(world: World, done: () => boolean): Promise<void> {
  while (!done()) await sleep(world.clock, 5);
}

export function describeStream(name: string, make: MakeWorld): void {
  describe(`stream of ${name}: bytes`, () => {
    test(
      "bytes arrive in order, both ways, whatever the pieces",
      inWorld(make, async (under) => {
        const [near, far] = await pairOf(under);
        const bytes = pattern(6_000_000);
        const sizes = [1, 40, 0, 100_000, 65_536, 3, 2_000_000, 65_535, 65_537];
        let at = 0;
        for (let i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length] ?? 1;
          near.send([bytes.subarray(at, at + 20), bytes.subarray(at + 20, at + 20 + size)]);
          at += 20 + size;
        }
        near.end();
        expect(Buffer.compare(await readAll(far), bytes)).toBe(0);
        far.send([utf8("late")]); // the other side is gone: no harm
        far.end();
      }),
    );

    test(
      "many small frames in one turn all arrive",
      inWorld(make, async (under) => {
        const [near, far] = await pairOf(under);
        const frame = pattern(100);
        for (let i = 0; i < 5000; i++) near.send([frame]);
        expect((await readExactly(far, 500_000)).length).toBe(500_000);
        far.send([utf8("ok")]);
        expect(await near.read()).toEqual(utf8("ok"));
        near.end();
        far.end();
      }),
    );

    test(
      "the address of the other side is told",
      inWorld(make, async (under) => {
        const {
          world: { stream },
        } = under;
        const accepted = Promise.withResolvers<Connection>();
        await using listener = await stream.listen(under.address(), (connection) => accepted.resolve(connection));
        expect(listener.address).toMatch(/:[1-9][0-9]*$/);
        const near = await stream.connect(listener.address, { timeoutMs: 1000 });
        expect(near.remote).toBe(listener.address);
        expect((await accepted.promise).remote).toMatch(/:[1-9][0-9]*$/);
        near.close();
      }),
    );
  });

  describe(`stream of ${name}: back-pressure`, () => {
    test(
      "a reader that does not read stops the sender within a few MiB; sent() tells when there is room",
      inWorld(make, async (under) => {
        const [near, far] = await pairOf(under);
        const piece = pattern(1 << 20);
        let given = 0;
        let blocked = false;
        for (let i = 0; i < 64 && !blocked; i++) {
          near.send([piece]);
          given += piece.length;
          blocked = await Promise.race([near.sent().then(() => false), sleep(under.world.clock, 500).then(() => true)]);
        }
        expect(blocked).toBe(true);
        expect(given).toBeLessThanOrEqual(32 << 20);
        expect(near.queuedBytes).toBeGreaterThan(0);
        expect(near.queuedBytes).toBeLessThanOrEqual(piece.length);
        const drained = near.sent();
        const got = await readExactly(far, given);
        await drained;
        expect(near.queuedBytes).toBe(0);
        expect(Buffer.compare(got.subarray(given - piece.length), piece)).toBe(0);
        near.end();
        expect(await far.read()).toBeNull();
        far.end();
      }),
    );

    test(
      "sent(bytes) resolves while up to that much is queued",
      inWorld(make, async (under) => {
        const [near, far] = await pairOf(under);
        near.send([new Uint8Array(40 << 20)]);
        await near.sent(40 << 20);
        const reading = readExactly(far, 40 << 20);
        await near.sent(1 << 20);
        expect(near.queuedBytes).toBeLessThanOrEqual(1 << 20);
        await reading;
        near.end();
        far.end();
      }),
    );
  });

  describe(`stream of ${name}: ends`, () => {
    test(
      "end() sends what is queued first, however much; the other side reads all of it, then null, again and again",
      inWorld(make, async (under) => {
        const [near, far] = await pairOf(under);
        const bytes = pattern(20 << 20);
        near.send([bytes]);
        near.end();
        near.end();
        expect(near.closed).toBe(true);
        near.send([utf8("too late")]);
        expect(await near.read()).toBeNull();
        await sleep(under.world.clock, 50);
        expect(Buffer.compare(await readAll(far), bytes)).toBe(0);
        expect(await far.read()).toBeNull();
        await near.sent();
        far.end();
      }),
    );

    test(
      "end() loses nothing when bytes of the other side are still unread",
      inWorld(make, async (under) => {
        const [near, far] = await pairOf(under);
        far.send([new Uint8Array(3 << 20)]);
        await sleep(under.world.clock, 50);
        near.send([utf8("goodbye")]);
        near.end();
        await sleep(under.world.clock, 50);
        expect(await readAll(far)).toEqual(utf8("goodbye"));
        far.end();
      }),
    );

    test(
      "after the other side ended, this one is not closed: it ends by itself",
      inWorld(make, async (under) => {
        const [near, far] = await pairOf(under);
        near.end();
        expect(await far.read()).toBeNull();
        expect(far.closed).toBe(false);
        far.end();
        expect(far.closed).toBe(true);
      }),
    );

    test(
      "a pending read() gets null when either side ends",
      inWorld(make, async (under) => {
        const [near, far] = await pairOf(under);
        const reads = [near.read(), far.read()];
        near.end();
        expect(await Promise.all(reads)).toEqual([null, null]);
        far.end();
      }),
    );

    test(
      "close() drops the connection: pending and later reads and sent() reject on this side, reads on the other",
      inWorld(make, async (under) => {
        const [near, far] = await pairOf(under);
        near.send([new Uint8Array(40 << 20)]);
        const pending = [kindOf(near.read()), kindOf(near.sent())];
        near.close();
        near.close();
        expect(await Promise.all(pending)).toEqual(["closed", "closed"]);
        expect(near.closed).toBe(true);
        expect(near.queuedBytes).toBe(0);
        expect(await kindOf(near.read())).toBe("closed");
        expect(await kindOf(near.sent())).toBe("closed");
        expect(await kindOf(readAll(far))).toBe("closed");
        await until(under.world, () => far.closed);
        expect(far.closed).toBe(true);
        expect(await kindOf(far.sent())).toBe("closed");
        far.send([utf8("x")]);
        far.end();
      }),
    );

    test(
      "a reset is seen by a side that only writes",
      inWorld(make, async (under) => {
        const [near, far] = await pairOf(under);
        near.send([new Uint8Array(40 << 20)]);
        const sent = kindOf(near.sent());
        far.close();
        expect(await sent).toBe("closed");
        expect(near.closed).toBe(true);
        expect(near.queuedBytes).toBe(0);
      }),
    );
  });

  describe(`stream of ${name}: listening and connecting`, () => {
    test(
      "connect() where nobody listens is refused",
      inWorld(make, async (under) => {
        const { stream } = under.world;
        const listener = await stream.listen(under.address(), () => {});
        await listener[Symbol.asyncDispose]();
        expect(await kindOf(stream.connect(listener.address, { timeoutMs: 1000 }))).toBe("refused");
      }),
    );

    test(
      "listen() on an address that is taken names it",
      inWorld(make, async (under) => {
        const { stream } = under.world;
        await using listener = await stream.listen(under.address(), () => {});
        const error = await rejection(stream.listen(listener.address, () => {}));
        if (!(error instanceof GfsError)) throw error;
        expect(error.code).toBe("AddressInUse");
        expect(error.message).toContain(listener.address);
      }),
    );

    test(
      "the end of a listener leaves its connections alone",
      inWorld(make, async (under) => {
        const [near, far] = await pairOf(under);
        near.send([utf8("still here")]);
        expect(await readExactly(far, 10)).toEqual(utf8("still here"));
        near.close();
      }),
    );

    test(
      "many connections at once",
      inWorld(make, async (under) => {
        const { stream } = under.world;
        const served: Promise<void>[] = [];
        const answer = async (connection: Connection): Promise<void> => {
          const bytes = await connection.read();
          if (bytes !== null) connection.send([bytes]);
          connection.end();
        };
        await using listener = await stream.listen(under.address(), (connection) => served.push(answer(connection)));
        const answers = await Promise.all(
          Array.from({ length: 100 }, async (_, i) => {
            const connection = await stream.connect(listener.address, { timeoutMs: 5000 });
            connection.send([utf8(`${i}`)]);
            const answer = await readAll(connection);
            connection.end();
            return new TextDecoder().decode(answer);
          }),
        );
        expect(answers).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`));
        await Promise.all(served);
      }),
    );
  });
}
