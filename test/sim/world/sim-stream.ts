import { type Connection, type Listener, type Stream, StreamError } from "../../../src/io.ts";
import { freePort, type Network, type Service, type Station } from "./network.ts";
import { nature } from "./scheduler.ts";
import { SimConnection } from "./sim-connection.ts";
import { never, type SimProcess } from "./sim-process.ts";

interface Caller {
  resolve(connection: Connection): void;
  reject(error: StreamError): void;
}

/** After an unanswered attempt the system tries again. */
const attemptMs = 1000;

/** The data plane as one process sees it. */
export class SimStream implements Stream {
  readonly #network: Network;
  readonly #station: Station;
  readonly #process: SimProcess;

  constructor(network: Network, station: Station, process: SimProcess) {
    this.#network = network;
    this.#station = station;
    this.#process = process;
  }

  async listen(address: string, onConnection: (connection: Connection) => void): Promise<Listener> {
    if (!this.#process.alive) return never();
    const service: Service = { kind: "stream", process: this.#process, accept: onConnection };
    const bound = this.#network.bind(this.#station, address, service);
    return {
      address: bound,
      [Symbol.asyncDispose]: async () => this.#network.unbind(this.#station, bound, service),
    };
  }

  connect(address: string, { timeoutMs }: { readonly timeoutMs: number }): Promise<Connection> {
    if (!this.#process.alive) return never();
    return new Promise((resolve, reject) => {
      this.#dial(address, timeoutMs, { resolve, reject });
    });
  }

  #dial(address: string, timeoutMs: number, caller: Caller): void {
    const { scheduler } = this.#network;
    let over = false;
    const timer = scheduler.after(timeoutMs, this.#process, () => {
      over = true;
      caller.reject(new StreamError("timeout", `Cannot connect to ${address}: no answer in ${timeoutMs} ms`));
    });
    const settle = (fn: () => void): void => {
      this.#process.enter(() => {
        if (over) return;
        over = true;
        scheduler.cancel(timer);
        fn();
      });
    };
    const refuseAfter = (ms: number, reason: string): void => {
      const error = new StreamError("refused", `Cannot connect to ${address}: ${reason}`);
      scheduler.after(ms, nature, () => settle(() => caller.reject(error)));
    };
    const found = this.#network.find(address, this.#station);
    if (found === undefined) return refuseAfter(0.1, "no such host");
    const { station, port } = found;
    const near = `${this.#station.name}:${freePort(this.#station)}`;
    const attempt = (): void => {
      if (over || !this.#process.alive) return;
      const lost = this.#network.strikes(this.#network.faults.connectFails, "stream.connect-lost");
      scheduler.after(this.#network.latencyMs(this.#station, station), nature, () => {
        if (over || !this.#process.alive) return;
        const there = this.#network.isPassable(this.#station, station);
        if (lost || !there || !this.#network.isPassable(station, this.#station)) {
          scheduler.after(attemptMs, nature, attempt);
          return;
        }
        const service = station.services.get(port);
        const backMs = this.#network.latencyMs(station, this.#station);
        if (service?.kind !== "stream" || !service.process.alive) return refuseAfter(backMs, "nobody listens there");
        const far = new SimConnection(this.#network, service.process, station, near);
        const own = new SimConnection(this.#network, this.#process, this.#station, address);
        SimConnection.pair(own, far);
        scheduler.trace.mixName("stream.connect");
        service.process.enter(() => service.accept(far));
        scheduler.after(backMs, nature, () => {
          this.#process.enter(() => {
            if (over) own.close();
          });
          settle(() => caller.resolve(own));
        });
      });
    };
    attempt();
  }
}
