import { GfsError } from "../../../src/base/errors.ts";
import type { ControlHandler } from "../../../src/io.ts";
import type { ControlFaults, StreamFaults } from "./fault-settings.ts";
import { nature, type Scheduler } from "./scheduler.ts";
import type { Prng } from "./prng.ts";
import type { SimConnection } from "./sim-connection.ts";
import type { SimProcess } from "./sim-process.ts";

/** Who serves a port of a machine. */
export type Service =
  | { readonly kind: "stream"; readonly process: SimProcess; readonly accept: (connection: SimConnection) => void }
  | { readonly kind: "control"; readonly process: SimProcess; readonly handler: ControlHandler };

/** A machine, as the network sees it. */
export interface Station {
  readonly id: number;
  readonly name: string;
  /** False without power: packets vanish. */
  readonly up: boolean;
  readonly services: Map<number, Service>;
  nextPort: number;
}

const ephemeralPortMin = 40_000;
const localNames = new Set(["localhost", "127.0.0.1", "[::1]", "0.0.0.0", "[::]"]);
const localMs = 0.02;
const stationsMax = 1_000_000;

/** Who can reach whom, and how long it takes. Links have a direction. */
export class Network {
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  faults: StreamFaults & { readonly control: ControlFaults };
  readonly #stations = new Map<string, Station>();
  /** By name of the sender, the receivers. */
  readonly #blocked = new Map<string, Set<string>>();
  readonly #distances = new Map<number, number>();
  #waiting: { readonly ready: () => boolean; readonly fn: () => void }[] = [];

  constructor(scheduler: Scheduler, prng: Prng, faults: StreamFaults & { readonly control: ControlFaults }) {
    this.scheduler = scheduler;
    this.prng = prng;
    this.faults = faults;
  }

  add(station: Station): void {
    this.#stations.set(station.name, station);
  }

  /** Nothing passes from any of these machines to any of those; one way. */
  block(from: readonly string[], to: readonly string[]): void {
    for (const a of from) {
      const receivers = this.#blocked.getOrInsertComputed(a, () => new Set());
      for (const b of to) if (a !== b) receivers.add(b);
    }
  }

  /** Both ways between the two groups. */
  partition(some: readonly string[], others: readonly string[]): void {
    this.block(some, others);
    this.block(others, some);
    this.scheduler.count("network.partition");
  }

  /** Cuts a machine off from all others. */
  isolate(name: string): void {
    this.partition(
      [name],
      [...this.#stations.keys()].filter((other) => other !== name),
    );
  }

  /** Without names: every link is open again; with: those between the two machines, both ways. */
  heal(a?: string, b?: string): void {
    if (a === undefined || b === undefined) this.#blocked.clear();
    else {
      this.#blocked.get(a)?.delete(b);
      this.#blocked.get(b)?.delete(a);
    }
    this.changed();
  }

  isOpen(from: Station, to: Station): boolean {
    return this.#blocked.get(from.name)?.has(to.name) !== true;
  }

  /** Runs `fn` on the other side, a latency from now, or when the link and the receiver's power are back. */
  carry(from: Station, to: Station, fn: () => void): void {
    this.scheduler.after(this.latencyMs(from, to), nature, () => this.pass(from, to, fn));
  }

  /** Runs `fn` now if a packet can pass; else when it can, and the sender tries again. */
  pass(from: Station, to: Station, fn: () => void): void {
    if (this.isPassable(from, to)) fn();
    else this.#waiting.push({ ready: () => this.isPassable(from, to), fn: () => this.pass(from, to, fn) });
  }

  /** Whether packets go through now, and the receiver has power. */
  isPassable(from: Station, to: Station): boolean {
    return to.up && this.isOpen(from, to);
  }

  /** After a link or a machine came back. */
  changed(): void {
    const ready = this.#waiting.filter((one) => one.ready());
    this.#waiting = this.#waiting.filter((one) => !one.ready());
    for (const { fn } of ready) this.scheduler.after(this.prng.between([1, 300]), nature, fn);
  }

  latencyMs(from: Station, to: Station): number {
    if (from === to) return localMs + this.prng.fraction() * localMs;
    const pair = Math.min(from.id, to.id) * stationsMax + Math.max(from.id, to.id);
    let distance = this.#distances.get(pair);
    if (distance === undefined) {
      distance = this.prng.between(this.faults.latencyMs);
      this.#distances.set(pair, distance);
    }
    return distance + this.prng.between(this.faults.jitterMs);
  }

  strikes(probability: number, name: string): boolean {
    return this.scheduler.strikes(this.prng, probability, name);
  }

  /** The machine of "host:port" as seen from one of them; undefined when no machine has this name. */
  find(address: string, seenFrom: Station): { readonly station: Station; readonly port: number } | undefined {
    const { host, port } = splitAddress(address);
    const station = localNames.has(host) ? seenFrom : this.#stations.get(host);
    return station === undefined ? undefined : { station, port };
  }

  /** Takes a port (0: any). The address as it was really bound. @throws GfsError("Usage") */
  bind(station: Station, address: string, service: Service): string {
    const { host, port } = splitAddress(address);
    if (host !== station.name && !localNames.has(host)) {
      throw new GfsError("Usage", `Cannot listen on ${address}: it is not an address of this machine`);
    }
    const bound = port === 0 ? freePort(station) : port;
    if (station.services.get(bound)?.process.alive === true) {
      throw new GfsError("AddressInUse", `Cannot listen on ${address}: it is in use by another process`);
    }
    station.services.set(bound, service);
    return `${host}:${bound}`;
  }

  /** Of the address that `bind` gave. */
  unbind(station: Station, address: string, service: Service): void {
    const { port } = splitAddress(address);
    if (station.services.get(port) === service) station.services.delete(port);
  }
}

/** A port for the near end of an outgoing connection, or for one who wants any. */
export function freePort(station: Station): number {
  let port = station.nextPort;
  while (station.services.has(port)) port = port >= 65_535 ? ephemeralPortMin : port + 1;
  station.nextPort = port >= 65_535 ? ephemeralPortMin : port + 1;
  return port;
}

interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

const knownAddresses = new Map<string, HostAndPort>();

function splitAddress(address: string): HostAndPort {
  const known = knownAddresses.get(address);
  if (known !== undefined) return known;
  const [, host, digits] = /^(\[[0-9A-Fa-f:.%]+\]|[^:[\]\s/]+):([0-9]{1,5})$/.exec(address) ?? [];
  const port = Number(digits);
  if (host === undefined || !(port <= 65_535)) {
    throw new GfsError("Usage", `Cannot use the address ${JSON.stringify(address)}: it is not host:port`);
  }
  if (knownAddresses.size >= 1_024) knownAddresses.clear();
  knownAddresses.set(address, { host, port });
  return { host, port };
}
