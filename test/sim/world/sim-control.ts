import { type Control, type ControlChannel, ControlError, type ControlHandler } from "../../../src/io.ts";
import type { ControlRequest, ControlResponse, Listener } from "../../../src/io.ts";
import { freePort, type Network, type Service, type Station } from "./network.ts";
import { nature } from "./scheduler.ts";
import { type ControlService, serveCall } from "./serve-call.ts";
import { never, type SimProcess } from "./sim-process.ts";

/** The control plane as one process sees it. */
export class SimControl implements Control {
  readonly #network: Network;
  readonly #station: Station;
  readonly #process: SimProcess;

  constructor(network: Network, station: Station, process: SimProcess) {
    this.#network = network;
    this.#station = station;
    this.#process = process;
  }

  async serve(address: string, handler: ControlHandler): Promise<Listener> {
    if (!this.#process.alive) return never();
    const service: Service = { kind: "control", process: this.#process, handler };
    const bound = this.#network.bind(this.#station, address, service);
    return {
      address: bound,
      [Symbol.asyncDispose]: async () => this.#network.unbind(this.#station, bound, service),
    };
  }

  channel(address: string): ControlChannel {
    return new SimChannel(this.#network, this.#station, this.#process, address);
  }
}

type Settle = (outcome: ControlResponse | ControlError) => void;

class SimChannel implements ControlChannel {
  readonly address: string;
  readonly #network: Network;
  readonly #station: Station;
  readonly #process: SimProcess;
  readonly #near: string;
  /** What this channel has a connection to. */
  #session: Service | undefined;
  #lastDueUs = 0;
  #closed = false;
  readonly #waiting = new Set<Settle>();

  constructor(network: Network, station: Station, process: SimProcess, address: string) {
    this.#network = network;
    this.#station = station;
    this.#process = process;
    this.address = address;
    this.#near = `${station.name}:${freePort(station)}`;
  }

  post(request: ControlRequest): Promise<ControlResponse> {
    if (!this.#process.alive) return never();
    if (this.#closed) return Promise.reject(this.#error("closed", true, "the channel is closed"));
    if (request.signal?.aborted === true) return Promise.reject(this.#error("aborted", true, "aborted"));
    return new Promise((resolve, reject) => {
      const { scheduler } = this.#network;
      const settle: Settle = (outcome) => {
        if (!this.#waiting.delete(settle)) return;
        scheduler.cancel(timer);
        request.signal?.removeEventListener("abort", onAbort);
        if (outcome instanceof ControlError) reject(outcome);
        else resolve(outcome);
      };
      const onAbort = (): void => settle(this.#error("aborted", false, "aborted"));
      const timer = scheduler.after(request.timeoutMs, this.#process, () => {
        settle(this.#error("timeout", false, `no answer in ${request.timeoutMs} ms`));
      });
      request.signal?.addEventListener("abort", onAbort);
      this.#waiting.add(settle);
      this.#send(request, settle);
    });
  }

  close(): void {
    if (!this.#process.alive) return;
    this.#closed = true;
    for (const settle of this.#waiting) settle(this.#error("closed", false, "the channel was closed here"));
  }

  #send(request: ControlRequest, settle: Settle): void {
    const { scheduler, faults, prng } = this.#network;
    const found = this.#network.find(this.address, this.#station);
    if (found === undefined) {
      scheduler.after(0.1, this.#process, () => settle(this.#error("refused", true, "no such host")));
      return;
    }
    const { station, port } = found;
    const body = request.body.slice();
    scheduler.trace.mixName(request.path);
    scheduler.trace.mixBytes(body);
    const session = this.#currentSession(station, port);
    const oneWayMs = this.#network.latencyMs(this.#station, station);
    const travelMs = session === undefined ? 3 * oneWayMs : oneWayMs;
    if (this.#network.strikes(faults.control.requestLost, "control.request-lost")) {
      return this.#lose(station, settle);
    }
    let dueUs = Math.ceil(scheduler.nowUs + travelMs * 1000);
    if (!prng.chance(faults.control.reorder)) dueUs = this.#lastDueUs = Math.max(dueUs, this.#lastDueUs);
    const call = {
      path: request.path,
      headers: request.headers ?? {},
      body,
      address: this.address,
      remote: this.#near,
    };
    const arrive = (): void => {
      // A connection that is still being made is given up with its call; what was handed to an old one still arrives.
      if (session === undefined && (!this.#waiting.has(settle) || !this.#process.alive)) return;
      const service = station.services.get(port);
      if (service?.kind !== "control" || !service.process.alive || (session !== undefined && session !== service)) {
        this.#session = undefined;
        const refused = session === undefined;
        const error = this.#error(
          refused ? "refused" : "closed",
          refused,
          refused ? "nobody listens there" : "connection reset",
        );
        return this.#comeBack(station, settle, error);
      }
      this.#session = service;
      this.#serve(service, station, call, settle);
    };
    scheduler.at(dueUs, nature, () => this.#network.pass(this.#station, station, arrive));
  }

  #serve(service: ControlService, station: Station, call: Parameters<typeof serveCall>[1], settle: Settle): void {
    const { scheduler, faults, prng } = this.#network;
    serveCall(service, call, scheduler, (outcome) => {
      if (outcome === "killed") {
        if (this.#session === service) this.#session = undefined;
        this.#comeBack(station, settle, this.#error("closed", false, "connection reset"));
      } else if (outcome === "power-loss") {
        // nobody says anything: the caller waits for its time-out
      } else if (this.#network.strikes(faults.control.answerLost, "control.answer-lost")) this.#lose(station, settle);
      else this.#comeBack(station, settle, outcome);
    });
    if (!this.#network.strikes(faults.control.duplicate, "control.duplicate")) return;
    scheduler.after(prng.between(faults.control.duplicateMs), nature, () => {
      if (service.process.alive) serveCall(service, call, scheduler, () => undefined);
    });
  }

  /** The end of a server has been seen here, unless the power went with it or nothing can pass. */
  #currentSession(station: Station, port: number): Service | undefined {
    const session = this.#session;
    const ended = session !== undefined && session !== station.services.get(port);
    const silent = session?.process.endedBy === "power-loss" || !this.#network.isPassable(station, this.#station);
    if (ended && !silent) this.#session = undefined;
    return this.#session;
  }

  #lose(station: Station, settle: Settle): void {
    if (!this.#network.prng.chance(this.#network.faults.control.lossIsReset)) return;
    this.#session = undefined;
    this.#comeBack(station, settle, this.#error("closed", false, "connection reset"));
  }

  #comeBack(station: Station, settle: Settle, outcome: ControlResponse | ControlError): void {
    this.#network.carry(station, this.#station, () => this.#process.enter(() => settle(outcome)));
  }

  #error(kind: ControlError["kind"], notSent: boolean, reason: string): ControlError {
    return new ControlError(kind, notSent, `Cannot call ${this.address}: ${reason}`);
  }
}
