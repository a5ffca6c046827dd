/** Passes connections on, and makes trouble on the way: bytes that come late, are held back one way, or a connection cut at any byte. */
import { createServer, connect, type Server, type Socket } from "node:net";

export interface Route {
  /** Whose connections these are: trouble is made by name. */
  readonly name: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly to: { readonly host: string; readonly port: number };
}

const queuedBytesMax = 1_048_576;
const holdLookMs = 20;

export class TcpProxy implements Disposable {
  readonly #servers: Server[] = [];
  readonly #sockets = new Map<string, Set<Socket>>();
  readonly #delayMs = new Map<string, number>();
  readonly #held = new Set<string>();

  async pass(route: Route): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (incoming) => this.#accept(incoming, route));
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(route.listen.port, route.listen.host, resolve);
    });
  }

  /** From now on bytes of these connections take `ms` longer, each way; 0: no more. */
  delay(name: string, ms: number): void {
    this.#delayMs.set(name, ms);
  }

  /** Bytes in this direction wait until they are let go. */
  hold(name: string, way: "to" | "from"): void {
    this.#held.add(`${way} ${name}`);
  }

  letGo(name: string): void {
    for (const way of ["to", "from"]) this.#held.delete(`${way} ${name}`);
  }

  /** Resets all connections there are; how many. */
  cut(name: string): number {
    const sockets = [...(this.#sockets.get(name) ?? [])];
    for (const socket of sockets) socket.resetAndDestroy();
    return sockets.length;
  }

  [Symbol.dispose](): void {
    for (const server of this.#servers) server.close();
    for (const sockets of this.#sockets.values()) for (const socket of sockets) socket.destroy();
  }

  #accept(incoming: Socket, { name, to }: Route): void {
    const outgoing = connect({ ...to, allowHalfOpen: true });
    const both = [incoming, outgoing];
    const sockets = this.#sockets.get(name) ?? new Set();
    this.#sockets.set(name, sockets);
    for (const socket of both) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => {
        for (const one of both) {
          sockets.delete(one);
          one.destroy();
        }
      });
    }
    this.#pump(incoming, outgoing, name, "to");
    this.#pump(outgoing, incoming, name, "from");
  }

  #pump(from: Socket, to: Socket, name: string, way: "to" | "from"): void {
    const queue: { readonly at: number; readonly bytes: Buffer | "end" }[] = [];
    let queued = 0;
    let waiting = false;
    const later = (ms: number): void => {
      if (waiting) return;
      waiting = true;
      setTimeout(() => {
        waiting = false;
        flush();
      }, ms);
    };
    const flush = (): void => {
      while (!to.destroyed && !waiting) {
        const next = queue[0];
        if (next === undefined) break;
        const lateMs = next.at - performance.now();
        if (lateMs > 0) return later(lateMs);
        if (this.#held.has(`${way} ${name}`)) return later(holdLookMs);
        queue.shift();
        if (next.bytes === "end") {
          to.end();
          continue;
        }
        queued -= next.bytes.length;
        if (to.write(next.bytes)) continue;
        waiting = true;
        to.once("drain", () => {
          waiting = false;
          flush();
        });
      }
      if (queued <= queuedBytesMax && from.isPaused()) from.resume();
    };
    const take = (bytes: Buffer | "end"): void => {
      queue.push({ at: performance.now() + (this.#delayMs.get(name) ?? 0), bytes });
      flush();
    };
    from.on("data", (bytes: Buffer) => {
      queued += bytes.length;
      if (queued > queuedBytesMax) from.pause();
      take(bytes);
    });
    from.on("end", () => take("end"));
  }
}
