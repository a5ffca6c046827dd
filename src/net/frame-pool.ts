/** Data connections that wait for their next use. */
import { GfsError } from "../base/errors.ts";
import type { Timer, World } from "../io.ts";
import { type DialIdentity, dialFrames, type FrameConnection } from "./frame-connection.ts";

const idlePerAddressMax = 64;
const idleMax = 256;
const idleMs = 30_000;

interface Idle {
  readonly frames: FrameConnection;
  readonly address: string;
  readonly sinceMs: number;
}

/** `clusterId` is asked at each new connection: a volume learns its cluster late. */
export interface FramePoolOptions extends Omit<DialIdentity, "clusterId"> {
  readonly clusterId?: (() => DialIdentity["clusterId"]) | undefined;
}

/**
 * Idle connections by address: at most 64 for one, 256 in all, 30 s each; one that ends or breaks while it waits is dropped at once. A connection that is taken belongs to the
 * caller, who gives it back with nothing under way on it, or closes it.
 */
export class FramePool {
  readonly #world: World;
  readonly #options: FramePoolOptions;
  readonly #idle = new Map<string, Idle[]>();
  /** Of every connection that this pool dialled and that is not closed yet. */
  readonly #addresses = new WeakMap<FrameConnection, string>();
  readonly #reused = new WeakSet<FrameConnection>();
  #count = 0;
  #timer: Timer | undefined;
  #closed = false;

  constructor(world: World, options: FramePoolOptions) {
    this.#world = world;
    this.#options = options;
  }

  get idleCount(): number {
    return this.#count;
  }

  /** An idle connection, or a new one. @throws as `dialFrames` */
  async take(address: string, timeoutMs: number, signal?: AbortSignal): Promise<FrameConnection> {
    if (this.#closed) throw new GfsError("Unavailable", `Cannot connect to ${address}: this side is stopping`);
    const idle = this.#idle.get(address);
    for (let entry = idle?.pop(); entry !== undefined; entry = idle?.pop()) {
      this.#count--;
      if (idle?.length === 0) this.#idle.delete(address);
      if (entry.frames.closed) continue;
      this.#reused.add(entry.frames);
      return entry.frames;
    }
    return this.dial(address, timeoutMs, signal);
  }

  /** A new connection, whatever is idle. @throws as `dialFrames` */
  async dial(address: string, timeoutMs: number, signal?: AbortSignal): Promise<FrameConnection> {
    const { role, secret, clusterId } = this.#options;
    const frames = await dialFrames(this.#world, address, {
      role,
      secret,
      clusterId: clusterId?.(),
      timeoutMs,
      signal,
    });
    if (this.#isClosed()) {
      frames.close();
      throw new GfsError("Unavailable", `Cannot connect to ${address}: this side is stopping`);
    }
    this.#addresses.set(frames, address);
    return frames;
  }

  /** True for a connection that has waited in the pool: its server may have ended meanwhile, which only its first use shows. */
  wasIdle(frames: FrameConnection): boolean {
    return this.#reused.has(frames);
  }

  /** Nothing is under way on it: it may be used again. */
  give(frames: FrameConnection): void {
    const address = this.#addresses.get(frames);
    if (address === undefined || this.#closed || !frames.quiet) return frames.close();
    const idle = this.#idle.get(address) ?? [];
    if (idle.length >= idlePerAddressMax || this.#count >= idleMax) return frames.end();
    const entry: Idle = { frames, address, sinceMs: this.#world.clock.monotonicMs() };
    idle.push(entry);
    this.#idle.set(address, idle);
    this.#count++;
    frames.watch(() => this.#drop(entry));
    this.#arm();
  }

  /** Forgets all idle connections to an address: its server is gone, or not who it was. */
  forget(address: string): void {
    for (const entry of this.#idle.get(address)?.slice() ?? []) this.#drop(entry);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const address of this.#idle.keys()) this.forget(address);
  }

  #isClosed(): boolean {
    return this.#closed;
  }

  /** Does nothing for an entry that was taken meanwhile: whoever took it sees its end. */
  #drop(entry: Idle): void {
    const idle = this.#idle.get(entry.address);
    const at = idle?.indexOf(entry) ?? -1;
    if (idle === undefined || at < 0) return;
    idle.splice(at, 1);
    if (idle.length === 0) this.#idle.delete(entry.address);
    this.#count--;
    entry.frames.close();
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#count === 0 || this.#closed) return;
    this.#timer = this.#world.clock.after(idleMs / 2, () => {
      this.#timer = undefined;
      const before = this.#world.clock.monotonicMs() - idleMs;
      for (const idle of this.#idle.values())
        for (const entry of idle.slice()) if (entry.sinceMs <= before) this.#drop(entry);
      this.#arm();
    });
  }
}
