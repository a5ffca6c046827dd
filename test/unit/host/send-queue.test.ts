import { describe, expect, test } from "bun:test";
import { concatBytes } from "../../../src/base/bytes.ts";
import { SendQueue } from "../../../src/host/send-queue.ts";
import { StreamError } from "../../../src/io.ts";

/** Takes `room` bytes, then is full until `room` is raised; −1 when closed. */
class FakeSocket {
  room = Number.POSITIVE_INFINITY;
  closed = false;
  readonly writes: Uint8Array[] = [];

  write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.closed) return -1;
    const taken = Math.min(length, this.room);
    this.room -= taken;
    this.writes.push(bytes.slice(offset, offset + taken));
    return taken;
  }
}

function numbered(count: number, from = 0): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => from + i * 7);
}

/** The end of this turn of the event loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const closed = new StreamError("closed", "gone");

describe("send queue", () => {
  test("small pieces of one turn leave in one write at its end", async () => {
    const socket = new FakeSocket();
    const queue = new SendQueue(socket, () => {});
    for (let i = 0; i < 100; i++) queue.add([numbered(10, i), numbered(90, i)]);
    expect(socket.writes.length).toBe(0);
    expect(queue.bytes).toBe(10_000);
    await queue.atMost(0);
    expect(socket.writes.length).toBe(1);
    expect(queue.bytes).toBe(0);
  });

  test("so do those that are added after promises of the turn", async () => {
    const socket = new FakeSocket();
    const queue = new SendQueue(socket, () => {});
    for (let i = 0; i < 10; i++) {
      queue.add([numbered(10, i)]);
      await Promise.resolve();
    }
    expect(socket.writes.length).toBe(0);
    await turn();
    expect(socket.writes.length).toBe(1);
  });

  test("a header leaves with the head of the large piece after it, the rest is written from where it lies", async () => {
    const socket = new FakeSocket();
    const queue = new SendQueue(socket, () => {});
    queue.add([numbered(40), new Uint8Array(1 << 20)]);
    await queue.atMost(0);
    expect(socket.writes.map((write) => write.length)).toEqual([65_536, (1 << 20) + 40 - 65_536]);
  });

  test("much in one turn leaves before its end", () => {
    const socket = new FakeSocket();
    const queue = new SendQueue(socket, () => {});
    queue.add([new Uint8Array(300_000)]);
    expect(queue.bytes).toBe(0);
  });

  for (const room of [1, 39, 40, 41, 1000, 65_535, 65_536, 65_537, 200_000]) {
    test(`every byte goes out once, in order, when the socket takes ${room} at a time`, async () => {
      const socket = new FakeSocket();
      socket.room = room;
      const queue = new SendQueue(socket, () => {});
      const pieces = [40, 0, 500, 70_000, 1, 65_536, 3000].map((count, i) => numbered(count, i));
      queue.add(pieces);
      const sent = queue.atMost(0);
      await Promise.resolve();
      while (queue.bytes > 0) {
        socket.room = room;
        queue.onDrain();
      }
      await sent;
      expect(Buffer.compare(concatBytes(socket.writes), concatBytes(pieces))).toBe(0);
    });
  }

  test("while the socket is full nothing is written, and what comes goes behind", async () => {
    const socket = new FakeSocket();
    socket.room = 5;
    const queue = new SendQueue(socket, () => {});
    queue.add([numbered(10)]);
    await turn();
    queue.add([numbered(3, 100)]);
    await turn();
    expect(queue.bytes).toBe(8);
    expect(socket.writes.length).toBe(1);
    socket.room = 100;
    queue.onDrain();
    expect(concatBytes(socket.writes)).toEqual(concatBytes([numbered(10), numbered(3, 100)]));
  });

  test("atMost() resolves each waiter at its own bound", async () => {
    const socket = new FakeSocket();
    socket.room = 0;
    const queue = new SendQueue(socket, () => {});
    queue.add([new Uint8Array(1000)]);
    await Promise.resolve();
    const order: number[] = [];
    const waits = [0, 400, 900, 1000].map((bytes) => queue.atMost(bytes).then(() => order.push(bytes)));
    for (let i = 0; i < 10; i++) {
      socket.room = 100;
      queue.onDrain();
      await Promise.resolve();
    }
    await Promise.all(waits);
    expect(order).toEqual([1000, 900, 400, 0]);
  });

  test("fail() drops what is queued, and rejects waiters of then and later", async () => {
    const socket = new FakeSocket();
    socket.room = 0;
    const queue = new SendQueue(socket, () => {});
    queue.add([new Uint8Array(1000)]);
    const waits = [queue.atMost(0), queue.atMost(10)];
    queue.fail(closed);
    for (const wait of [...waits, queue.atMost(0)]) {
      await wait.then(
        () => expect.unreachable(),
        (error: unknown) => expect(error).toBe(closed),
      );
    }
    expect(queue.bytes).toBe(0);
    queue.add([new Uint8Array(5)]);
    await Promise.resolve();
    expect(queue.bytes).toBe(0);
  });

  test("long queues are trimmed as they drain", async () => {
    const socket = new FakeSocket();
    socket.room = 1000;
    const queue = new SendQueue(socket, () => {});
    const pieces = Array.from({ length: 5000 }, (_, i) => numbered(3, i));
    queue.add(pieces);
    await Promise.resolve();
    while (queue.bytes > 0) {
      socket.room = 1000;
      queue.onDrain();
      queue.add([]);
    }
    expect(Buffer.compare(concatBytes(socket.writes), concatBytes(pieces))).toBe(0);
  });
});
