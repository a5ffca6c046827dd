import { assert } from "../../../src/base/assert.ts";
import { type Connection, StreamError } from "../../../src/io.ts";
import type { Network, Station } from "./network.ts";
import { type Happening, nature } from "./scheduler.ts";
import { SimSendQueue } from "./sim-send-queue.ts";
import { type EndOfProcess, type Held, never, type SimProcess } from "./sim-process.ts";

/** Bytes on their way and arrived but not read, at most: the sender's queue grows from there on. */
const windowBytes = 1 << 20;
const segmentBytesMax = 512 * 1024;
/** After this time a system that waits in vain asks whether the other side still lives. */
const keepAliveMs = 30_000;
const lingerMs = 5_000;
/** Less than this is never cut into pieces. */
const shredFromBytes = 8;

interface Reader {
  resolve(bytes: Uint8Array | null): void;
  reject(error: StreamError): void;
}

/** On the wire; null ends this half. */
interface Segment {
  readonly bytes: Uint8Array | null;
  readonly dueUs: number;
}

/** `open`; `ending`: `end()` was called; `closed`: over, by whatever side. */
type State = "open" | "ending" | "closed";

/** One end of a connection: what its process sees, its inbox, and the wire towards the other end. */
export class SimConnection implements Connection, Held {
  readonly remote: string;
  readonly station: Station;
  readonly #network: Network;
  readonly #process: SimProcess;
  #peer: SimConnection | undefined;
  #state: State = "open";
  /** The process or the power is gone: nobody answers here any more. */
  #gone = false;
  #failure: StreamError | undefined;
  #reader: Reader | undefined;
  readonly #inbox: Uint8Array[] = [];
  #remoteEnded = false;
  readonly #queue = new SimSendQueue();
  #flushPlanned = false;
  #windowUsed = 0;
  readonly #wire: Segment[] = [];
  #wireEndUs = 0;
  #stalled = false;
  #ended = false;
  #linger: Happening | undefined;

  constructor(network: Network, process: SimProcess, station: Station, remote: string) {
    this.#network = network;
    this.#process = process;
    this.station = station;
    this.remote = remote;
    process.hold(this);
  }

  /** Ties two ends together. */
  static pair(a: SimConnection, b: SimConnection): void {
    a.#peer = b;
    b.#peer = a;
  }

  get closed(): boolean {
    return this.#state !== "open";
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  read(): Promise<Uint8Array | null> {
    if (!this.#process.alive) return never();
    assert(this.#reader === undefined, "one reader at a time");
    const bytes = this.#inbox.shift();
    if (bytes !== undefined) {
      this.#acknowledgeTo(bytes.length);
      return Promise.resolve(bytes);
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#remoteEnded || this.#state !== "open") return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  send(pieces: readonly Uint8Array[]): void {
    if (this.#state !== "open" || !this.#process.alive) return;
    this.#queue.add(pieces);
    this.#planFlush();
  }

  sent(bytes = 0): Promise<void> {
    return this.#process.alive ? this.#queue.atMost(bytes) : never();
  }

  end(): void {
    if (this.#state !== "open" || !this.#process.alive) return;
    this.#state = "ending";
    // What still arrives is read and dropped.
    for (const bytes of this.#inbox.splice(0)) this.#acknowledgeTo(bytes.length);
    this.#answer(null);
    this.#planFlush();
    this.#armLinger();
  }

  close(): void {
    if (!this.#process.alive) return;
    this.#fail(new StreamError("closed", `The connection to ${this.remote} was closed here`));
    this.#inbox.length = 0;
    this.#sendReset();
  }

  onProcessEnd(end: EndOfProcess): void {
    const { prng } = this.#network;
    const clean = this.#inbox.length === 0 && prng.chance(0.5);
    this.#reader = undefined;
    this.#inbox.length = 0;
    this.#queue.drop();
    if (end === "power-loss") {
      // What had left the machine may still arrive; nothing tells the other side.
      this.#wire.length = prng.integer(0, this.#wire.length);
      this.#network.scheduler.count("stream.half-open");
      if (this.#peer !== undefined) this.#peer.#keepAlive();
    } else if (clean) this.#push(null, 0);
    else this.#sendReset();
    this.#gone = true;
    this.#state = "closed";
  }

  /** Tells the other side that so much is read. */
  #acknowledgeTo(bytes: number): void {
    if (this.#peer !== undefined) this.#peer.#acknowledge(bytes);
  }

  /** The other side has read so much: there is room for more. */
  #acknowledge(bytes: number): void {
    this.#windowUsed -= bytes;
    if (this.#queue.bytes === 0 || this.#flushPlanned || this.#peer === undefined) return;
    this.#flushPlanned = true;
    this.#network.carry(this.#peer.station, this.station, () => this.#process.enter(() => this.#flush()));
  }

  /** A reset arrived. */
  #onReset(reason: string): void {
    if (this.#state === "closed") return;
    if (this.#network.prng.chance(0.5)) this.#inbox.length = 0;
    this.#fail(new StreamError("closed", `The connection to ${this.remote} was lost: ${reason}`));
  }

  #planFlush(): void {
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    this.#network.scheduler.after(0.005 + this.#network.prng.fraction() * 0.02, this.#process, () => this.#flush());
  }

  /** Hands as much to the system as there is room for. */
  #flush(): void {
    this.#flushPlanned = false;
    if (this.#state === "closed") return;
    const { prng, faults, scheduler } = this.#network;
    let room = windowBytes - this.#windowUsed;
    const shred = this.#queue.bytes >= shredFromBytes && this.#network.strikes(faults.shred, "stream.shred");
    while (room > 0 && this.#queue.bytes > 0) {
      const longest = shred
        ? prng.integer(1, 1 + (this.#queue.bytes >>> 3))
        : prng.chance(0.2)
          ? prng.integer(1, segmentBytesMax)
          : segmentBytesMax;
      const bytes = this.#queue.take(Math.min(room, longest));
      room -= bytes.length;
      this.#windowUsed += bytes.length;
      scheduler.trace.mixBytes(bytes);
      const stallMs = this.#network.strikes(faults.stall, "stream.stall") ? prng.between(faults.stallMs) : 0;
      this.#push(bytes, stallMs);
    }
    this.#queue.wake();
    if (this.#state === "ending" && this.#queue.bytes === 0 && !this.#ended) {
      this.#ended = true;
      this.#push(null, 0);
      if (this.#remoteEnded) this.#finish();
    }
  }

  #push(bytes: Uint8Array | null, extraMs: number): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    const { scheduler } = this.#network;
    const dueUs = scheduler.nowUs + (this.#network.latencyMs(this.station, peer.station) + extraMs) * 1000;
    const last = this.#wire.at(-1);
    this.#wireEndUs = Math.max(this.#wireEndUs, Math.ceil(dueUs));
    this.#wire.push({ bytes, dueUs: this.#wireEndUs });
    // What is due at the same moment is delivered together.
    if (!this.#stalled && last?.dueUs !== this.#wireEndUs) scheduler.at(this.#wireEndUs, nature, () => this.#deliver());
  }

  /** Brings the segments that are due to the other side. */
  #deliver(): void {
    const peer = this.#peer;
    if (peer === undefined || this.#stalled) return;
    const { scheduler } = this.#network;
    for (let first = this.#wire[0]; first !== undefined && first.dueUs <= scheduler.nowUs; first = this.#wire[0]) {
      if (!this.#network.isPassable(this.station, peer.station)) {
        this.#stalled = true;
        return this.#network.pass(this.station, peer.station, () => this.#goOn());
      }
      this.#wire.shift();
      if (peer.#gone) return this.#answeredByReset();
      if (first.bytes !== null && this.#network.strikes(this.#network.faults.reset, "stream.reset"))
        return this.#cutAt(first.bytes);
      peer.#arrive(first.bytes);
    }
  }

  #goOn(): void {
    this.#stalled = false;
    for (const { dueUs } of this.#wire) this.#network.scheduler.at(dueUs, nature, () => this.#deliver());
  }

  #arrive(bytes: Uint8Array | null): void {
    if (this.#state !== "open") {
      if (bytes !== null) this.#acknowledgeTo(bytes.length);
      else if (this.#state === "ending" && this.#ended) this.#finish();
      this.#remoteEnded ||= bytes === null;
      return;
    }
    if (bytes === null) {
      this.#remoteEnded = true;
      if (this.#inbox.length === 0) this.#process.enter(() => this.#answer(null));
      return;
    }
    this.#inbox.push(bytes);
    if (this.#reader !== undefined) {
      this.#process.enter(() => {
        if (this.#reader === undefined) return;
        const next = this.#inbox.shift();
        if (next === undefined) return;
        this.#acknowledgeTo(next.length);
        this.#answer(next);
      });
    }
  }

  /** The connection breaks within a segment, for both sides or for one of them. */
  #cutAt(bytes: Uint8Array): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    const { prng, faults } = this.#network;
    const head = bytes.slice(0, prng.integer(0, bytes.length - 1));
    if (head.length > 0) peer.#arrive(head);
    this.#wire.length = 0;
    const half = this.#network.strikes(faults.halfOpen, "stream.half-open");
    const [first, second] = prng.chance(0.5) ? [this, peer] : [peer, this];
    first.#process.enter(() => first.#onReset("reset on the way"));
    first.#gone = true;
    if (half) return second.#keepAlive();
    second.#process.enter(() => second.#onReset("reset on the way"));
    second.#gone = true;
  }

  /** Nobody is there: the other system says so. */
  #answeredByReset(): void {
    this.#wire.length = 0;
    const peer = this.#peer;
    if (peer === undefined) return;
    this.#network.carry(peer.station, this.station, () => {
      this.#process.enter(() => this.#onReset("connection reset by peer"));
    });
  }

  #sendReset(): void {
    const peer = this.#peer;
    if (peer === undefined || this.#ended || this.#gone) return;
    this.#gone = true;
    // Data that has left before the reset arrives in part.
    this.#wire.length = this.#network.prng.integer(0, this.#wire.length);
    const { scheduler } = this.#network;
    const dueUs = scheduler.nowUs + this.#network.latencyMs(this.station, peer.station) * 1000;
    this.#wireEndUs = Math.max(this.#wireEndUs, Math.ceil(dueUs));
    scheduler.at(this.#wireEndUs, nature, () => {
      this.#network.pass(this.station, peer.station, () => {
        peer.#process.enter(() => peer.#onReset("connection reset by peer"));
      });
    });
  }

  /** The other side fell silent: this system asks now and then, and learns that nobody is there. */
  #keepAlive(): void {
    const peer = this.#peer;
    if (peer === undefined || this.#state === "closed" || this.#gone) return;
    this.#network.scheduler.after(keepAliveMs, nature, () => {
      this.#network.pass(this.station, peer.station, () => this.#answeredByReset());
    });
  }

  /** Waits, as long as there is progress, for the other side to take what is queued and to end its half. */
  #armLinger(): void {
    const before = this.#queue.bytes;
    this.#linger = this.#network.scheduler.after(lingerMs, this.#process, () => {
      const { bytes } = this.#queue;
      if (bytes === 0) this.#finish();
      else if (bytes < before) this.#armLinger();
      else this.close();
    });
  }

  #finish(): void {
    this.#state = "closed";
    this.#gone = true;
    this.#stopLinger();
    this.#process.release(this);
  }

  #fail(failure: StreamError): void {
    if (this.#state === "closed") return;
    const ended = this.#state === "ending";
    this.#state = "closed";
    if (!ended) this.#failure = failure;
    this.#queue.fail(failure);
    this.#stopLinger();
    this.#process.release(this);
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.reject(failure);
  }

  #stopLinger(): void {
    if (this.#linger !== undefined) this.#network.scheduler.cancel(this.#linger);
    this.#linger = undefined;
  }

  #answer(bytes: Uint8Array | null): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.resolve(bytes);
  }
}
