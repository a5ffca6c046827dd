/** The volume's log with the state that follows it: a record is applied when it is durable, never before (DESIGN §4.7). */
import { byteLengthOf } from "../../base/bytes.ts";
import { GfsError } from "../../base/errors.ts";
import type { Clock } from "../../io.ts";
import type { Limits } from "../../limits.ts";
import type { EntryPlace, Log, LogPosition } from "../../log/log-types.ts";
import { encodeVolumeRecord, type VolumeRecord } from "../../wire/volume-records.ts";
import type { Retirement } from "./retirement.ts";
import type { VolumeState } from "./volume-state.ts";

export interface VolumeLogOptions {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly state: VolumeState;
  readonly retirement: Retirement;
  /** The log has grown past what should be trimmed. */
  readonly onPressure: () => void;
}

export class VolumeLog {
  readonly #log: Log;
  readonly #options: VolumeLogOptions;
  #waiters: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  /** Why the log could not be emptied at the last attempt. */
  #stuck: GfsError | undefined;
  #stopped: GfsError | undefined;
  /** When the oldest record that is not durable was written, or one before it became durable. */
  #waitingSinceMs = 0;

  constructor(log: Log, options: VolumeLogOptions) {
    this.#log = log;
    this.#options = options;
    options.retirement.onRetire(() => this.#wake());
  }

  /** The durable position, the records up to which are applied. */
  get position(): LogPosition {
    return this.#log.durablePosition;
  }

  get entryBytesMax(): number {
    return this.#log.entryBytesMax;
  }

  /** More than half of what the log may hold waits to be trimmed. */
  get pressed(): boolean {
    return this.#log.heldBytes > this.#options.limits.volumeLogBytesMax / 2;
  }

  /** It takes no more records. */
  get stopped(): boolean {
    return this.#stopped !== undefined;
  }

  /** How long nothing has become durable though something waits for it: the drive hangs. */
  get stalledMs(): number {
    const { lastPosition, durablePosition, lacksSpace } = this.#log;
    const waits = lastPosition > durablePosition && !lacksSpace && !this.stopped;
    return waits ? this.#options.clock.monotonicMs() - this.#waitingSinceMs : 0;
  }

  get hasRoom(): boolean {
    const { volumeLogBytesMax, logSegmentBytes } = this.#options.limits;
    // What is ready without new space is left to fences and deletions at the end: they must work on a full disk.
    return this.#log.heldBytes <= volumeLogBytesMax && this.#log.readyBytes >= logSegmentBytes / 4;
  }

  /** @throws GfsError NoSpace | VolumeRetired | Unavailable (stopped) */
  async room(): Promise<void> {
    const { onPressure } = this.#options;
    for (;;) {
      this.#check();
      if (this.hasRoom) return;
      if (this.#stuck !== undefined) throw this.#stuck;
      onPressure();
      await new Promise<void>((resolve, reject) => {
        this.#waiters.push({ resolve, reject });
      });
    }
  }

  /** For what can't wait. @throws GfsError NoSpace | Busy */
  checkRoom(what: string): void {
    if (this.hasRoom) return;
    this.#options.onPressure();
    if (this.#stuck !== undefined) throw this.#stuck;
    throw new GfsError("Busy", `Cannot ${what}: the volume's log is full for now`, { retryAfterMs: 50 });
  }

  /** Queues a record; it is applied once it is durable. @param parts see AppliedPayload. @throws GfsError VolumeRetired | Unavailable (stopped) | ProtocolError (too long) */
  write(record: VolumeRecord, payload: readonly Uint8Array[] = [], parts: readonly number[] = []): LogPosition {
    const { clock, retirement, state, onPressure } = this.#options;
    this.#check();
    const header = encodeVolumeRecord(record);
    const bytes = header.length + byteLengthOf(payload);
    if (bytes > this.#log.entryBytesMax) {
      throw new GfsError(
        "ProtocolError",
        `Cannot log a ${record.kind} record of ${bytes} bytes: a log entry has at most ${this.#log.entryBytesMax}`,
      );
    }
    if (this.#log.lastPosition === this.#log.durablePosition) this.#waitingSinceMs = clock.monotonicMs();
    return this.#log.append([header, ...payload], (place) => {
      this.#waitingSinceMs = clock.monotonicMs();
      try {
        state.apply(record, { place, at: header.length, parts });
      } catch (error) {
        // Memory and disk no longer agree: nothing more may be promised from this state.
        retirement.retire(error instanceof Error ? error.message : String(error));
        return;
      }
      if (this.pressed) onPressure();
    });
  }

  /** @throws GfsError VolumeRetired */
  async durable(position: LogPosition): Promise<void> {
    const { retirement } = this.#options;
    if (this.#log.durablePosition < position) {
      try {
        await this.#log.durable(position);
      } catch (error) {
        throw retirement.translate("write the volume log", error);
      }
    }
    retirement.check();
  }

  /** Queues a record and waits for it. */
  async commit(record: VolumeRecord, payload: readonly Uint8Array[] = []): Promise<LogPosition> {
    const position = this.write(record, payload);
    await this.durable(position);
    return position;
  }

  read(place: EntryPlace, mode: "read" | "medium"): Promise<Uint8Array> {
    return mode === "medium" ? this.#log.readMedium(place) : this.#log.read(place);
  }

  /** Frees what neither the checkpoint at `position` nor bytes from `oldestSegment` on need. */
  async trim(position: LogPosition, oldestSegment: number | undefined): Promise<void> {
    await this.#log.trim(Math.min(position + 1, oldestSegment ?? Number.MAX_SAFE_INTEGER));
    this.#stuck = undefined;
    this.#wake();
  }

  /** The log can't be emptied now: who waits for room is told why. */
  stick(error: GfsError): void {
    this.#stuck = error;
    this.#refuse(error);
  }

  /** No more records from here on, whoever waits with one; those that were written become durable. */
  stop(error: GfsError): void {
    this.#stopped = error;
    this.#refuse(error);
  }

  /** After `stop`. */
  close(): Promise<void> {
    return this.#log.close();
  }

  #check(): void {
    this.#options.retirement.check();
    if (this.#stopped !== undefined) throw this.#stopped;
  }

  #refuse(error: GfsError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiters) reject(error);
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { resolve } of waiters) resolve();
  }
}
