import { type Connection, type Listener, type Stream, StreamError } from "../../../src/io.ts";
import { freePort, type Network, type Service, type Station } from "./network.ts";
import { nature } from "./scheduler.ts";
import { SimConnection } from "./sim-connection.ts";
import { never, type SimProcess } from "./sim-process.ts";

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
    const { scheduler } = this.#network;
    return new Promise((resolve, reject) => {
      let over = false;
      const timer = scheduler.after(timeoutMs, this.#process, () => {
        over = true;
        reject(new StreamError("timeout", `Cannot connect to ${address}: no answer in ${timeoutMs} ms`));
      });
      const settle = (fn: () => void): void => {
        this.#process.enter(() => {
          if (over) return;
          over = true;
          scheduler.cancel(timer);
          fn();
        });
      };
      const refuse = (reason: string): void => {
        settle(() => reject(new StreamError("refused", `Cannot connect to ${address}: ${reason}`)));
      };
      const found = this.#network.find(address, this.#station);
      if (found === undefined) return void scheduler.after(0.1, nature, () => refuse("no such host"));
      const near = `${this.#station.name}:${freePort(this.#station)}`;
      const attempt = (): void => {
        if (over || !this.#process.alive) return;
        const { station, port } = found;
        const strikes = this.#network.strikes(this.#network.faults.connectFails, "stream.connect-lost");
        scheduler.after(this.#network.latencyMs(this.#station, station), nature, () => {
          const there =
            this.#network.isPassable(this.#station, station) && this.#network.isPassable(station, this.#station);
          if (!there || strikes) return void scheduler.after(attemptMs, nature, attempt);
          const service = station.services.get(port);
          if (over || !this.#process.alive) return;
          const open = service?.kind === "stream" && service.process.alive;
          const back = this.#network.latencyMs(station, this.#station);
          if (!open) return void scheduler.after(back, nature, () => refuse("nobody listens there"));
          const far = new SimConnection(this.#network, service.process, station, near);
          const own = new SimConnection(this.#network, this.#process, this.#station, address);
          SimConnection.pair(own, far);
          scheduler.trace.mixName("stream.connect");
          service.process.enter(() => service.accept(far));
          scheduler.after(back, nature, () => {
            this.#process.enter(() => {
              if (over) own.close();
            });
            settle(() => resolve(own));
          });
        });
      };
      attempt();
    });
  }
}
