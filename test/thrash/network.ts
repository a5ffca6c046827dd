/** How the hosts of a run reach each other, and how that is disturbed. */
import { writeFileSync } from "node:fs";
import { TcpProxy } from "./tcp-proxy.ts";
import { must } from "./surroundings.ts";

export const masterPort = 4370;
export const controlPort = 4371;
export const dataPort = 5371;

export interface Network extends Disposable {
  readonly kind: "namespaces" | "loopback";
  /** Delays and cuts, by the name of the host that is dialled. */
  readonly proxy: TcpProxy;
  /** What a server of this host binds. */
  bound(host: string): string;
  /** What others dial. */
  dialled(host: string): string;
  /** What a command is put behind to run on this host. */
  on(host: string): readonly string[];
  /** Nothing that these send reaches those any more. */
  block(from: readonly string[], to: readonly string[]): void;
  /** Undoes every `block`. */
  heal(): void;
}

/** `servers`: those that are dialled, the master first. */
export async function makeNetwork(
  kind: Network["kind"],
  servers: readonly string[],
  clients: readonly string[],
): Promise<Network> {
  return kind === "namespaces" ? NamespaceNetwork.make(servers, clients) : LoopbackNetwork.make(servers);
}

function portsOf(index: number): readonly number[] {
  return index === 0 ? [masterPort] : [controlPort, dataPort];
}

/** Of the new connections: those that go by the proxy. */
const proxiedShare = "0.4";
const hub = "10.77.0.254";

/** Each host a namespace with one link to this process's own, which routes between them. */
class NamespaceNetwork implements Network {
  readonly kind = "namespaces";
  readonly proxy = new TcpProxy();
  readonly #hosts: ReadonlyMap<string, string>;

  private constructor(hosts: ReadonlyMap<string, string>) {
    this.#hosts = hosts;
  }

  static async make(servers: readonly string[], clients: readonly string[]): Promise<NamespaceNetwork> {
    writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
    const hosts = new Map([...servers, ...clients].map((host, i) => [host, `10.77.0.${i + 1}`]));
    for (const [host, address] of hosts) {
      const inside = (...command: readonly string[]): void => must("ip", "netns", "exec", host, ...command);
      const link = `to-${host}`;
      must("ip", "netns", "add", host);
      must("ip", "link", "add", "name", link, "type", "veth", "peer", "name", "eth0", "netns", host);
      must("ip", "addr", "add", `${hub}/32`, "dev", link);
      must("ip", "link", "set", link, "up");
      inside("ip", "link", "set", "lo", "up");
      inside("ip", "addr", "add", `${address}/32`, "dev", "eth0");
      inside("ip", "link", "set", "eth0", "up");
      inside("ip", "route", "add", hub, "dev", "eth0");
      inside("ip", "route", "add", "default", "via", hub);
      must("ip", "route", "add", `${address}/32`, "dev", link);
    }
    const network = new NamespaceNetwork(hosts);
    for (const [index, name] of servers.entries()) {
      for (const port of portsOf(index)) {
        const by = 20_000 + 10 * index + portsOf(index).indexOf(port);
        const host = hosts.get(name) ?? "";
        await network.proxy.pass({ name, listen: { host: hub, port: by }, to: { host, port } });
        const share = ["-m", "statistic", "--mode", "random", "--probability", proxiedShare];
        const wanted = ["-d", host, "-p", "tcp", "--dport", String(port), ...share];
        must("iptables", "-t", "nat", "-A", "PREROUTING", ...wanted, "-j", "REDIRECT", "--to-ports", String(by));
      }
    }
    return network;
  }

  bound(host: string): string {
    return this.#hosts.get(host) ?? hub;
  }

  dialled(host: string): string {
    return this.bound(host);
  }

  on(host: string): readonly string[] {
    return ["ip", "netns", "exec", host];
  }

  /** At the hub by where a packet wants to go, before it is redirected; and where it arrives, for answers that come by the proxy. */
  block(from: readonly string[], to: readonly string[]): void {
    for (const target of to) {
      for (const source of from) {
        if (source === target) continue;
        const which = ["-s", this.bound(source), "-d", this.bound(target), "-j", "DROP"];
        must("iptables", "-w", "-t", "mangle", "-A", "PREROUTING", ...which);
      }
      const sources = from.filter((source) => source !== target).map((source) => this.bound(source));
      if (sources.length === 0) continue;
      must("ip", "netns", "exec", target, "iptables", "-w", "-A", "INPUT", "-s", sources.join(","), "-j", "DROP");
    }
  }

  heal(): void {
    must("iptables", "-w", "-t", "mangle", "-F", "PREROUTING");
    for (const host of this.#hosts.keys()) must("ip", "netns", "exec", host, "iptables", "-w", "-F", "INPUT");
  }

  [Symbol.dispose](): void {
    this.proxy[Symbol.dispose]();
  }
}

/** All on this machine: each server has an address of its own and one that is dialled, at which the proxy is. Who dials is not known. */
class LoopbackNetwork implements Network {
  readonly kind = "loopback";
  readonly proxy = new TcpProxy();
  readonly #servers: readonly string[];
  readonly #second: number;

  private constructor(servers: readonly string[], second: number) {
    this.#servers = servers;
    this.#second = second;
  }

  static async make(servers: readonly string[]): Promise<LoopbackNetwork> {
    // Runs beside each other keep apart by this number.
    const network = new LoopbackNetwork(servers, 1 + (process.pid % 250));
    for (const [index, name] of servers.entries()) {
      for (const port of portsOf(index)) {
        const to = { host: network.bound(name), port };
        await network.proxy.pass({ name, listen: { host: network.dialled(name), port }, to });
      }
    }
    return network;
  }

  bound(host: string): string {
    return `127.${this.#second}.0.${this.#servers.indexOf(host) + 1}`;
  }

  dialled(host: string): string {
    return `127.${this.#second}.1.${this.#servers.indexOf(host) + 1}`;
  }

  on(): readonly string[] {
    return [];
  }

  /** By whoever is dialled: bytes to `to`, and from `from`. */
  block(from: readonly string[], to: readonly string[]): void {
    for (const host of to) if (from.length > 1) this.proxy.hold(host, "to");
    for (const host of from) if (to.length > 1) this.proxy.hold(host, "from");
  }

  heal(): void {
    for (const host of this.#servers) this.proxy.letGo(host);
  }

  [Symbol.dispose](): void {
    this.proxy[Symbol.dispose]();
  }
}
