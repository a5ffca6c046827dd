import { write, writeSync } from "node:fs";
import type { EventFields, EventLevel, Events } from "../io.ts";

export type LogFormat = "text" | "json";

const ranks: Readonly<Record<EventLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Lines that wait for a standard error nobody reads; what comes beyond is counted and dropped, never waited for. */
const waitingBytesMax = 4 << 20;

export interface HostEvents extends Events {
  /** Resolves when all that was emitted is written, or after `ms`: for the end of a process. */
  flush(ms: number): Promise<void>;
}

export interface HostEventsOptions {
  readonly level: EventLevel;
  readonly format: LogFormat;
  readonly descriptor?: number;
}

export function makeHostEvents(options: HostEventsOptions): HostEvents {
  const lines = new LineWriter(options.descriptor ?? 2);
  const lowest = ranks[options.level];
  return {
    enabled: (level) => ranks[level] >= lowest,
    emit(level, name, fields = {}) {
      if (ranks[level] < lowest) return;
      const time = new Date().toISOString();
      lines.add(options.format === "json" ? jsonLine(time, level, name, fields) : textLine(time, level, name, fields));
    },
    flush: (ms) => lines.flush(ms),
  };
}

/** `2026-01-02T03:04:05.678Z warn replica.stale handle=7 reason="no answer"` */
export function textLine(time: string, level: EventLevel, name: string, fields: EventFields): string {
  let line = `${time} ${level} ${name}`;
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) line += ` ${key}=${textValue(value)}`;
  return line;
}

/** `time`, `level` and `event` come first; a field of one of these names gets the prefix `field.`. */
export function jsonLine(time: string, level: EventLevel, name: string, fields: EventFields): string {
  const whole: Record<string, unknown> = { time, level, event: name };
  for (const [key, value] of Object.entries(fields)) {
    // JSON has no NaN and no infinities.
    whole[key in whole ? `field.${key}` : key] =
      typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
  }
  return escaped(JSON.stringify(whole));
}

function textValue(value: string | number | boolean | readonly (string | number)[]): string {
  if (typeof value === "string") return /^[\w./:@+-]+$/.test(value) ? value : escaped(JSON.stringify(value));
  if (typeof value === "object") return `[${value.map(textValue).join(",")}]`;
  return String(value);
}

/** JSON leaves these as they are: control characters above ASCII, line separators, and marks that turn the direction of text. */
function escaped(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Whole lines to a descriptor, in order, off the event loop: a reader that stalls must not stall a server. */
class LineWriter {
  readonly #descriptor: number;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #busy = false;
  #broken = false;
  #idle: (() => void)[] = [];

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
    process.on("exit", () => this.#writeRest());
  }

  add(line: string): void {
    if (this.#broken) return;
    if (this.#waitingBytes > waitingBytesMax) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    if (this.#busy) return;
    this.#busy = true;
    queueMicrotask(() => this.#next());
  }

  flush(ms: number): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #take(): Uint8Array {
    if (this.#dropped > 0) this.#waiting.push(`... ${this.#dropped} events dropped: standard error is not read`);
    this.#dropped = 0;
    const bytes = Buffer.from(`${this.#waiting.join("\n")}\n`);
    this.#waiting = [];
    this.#waitingBytes = 0;
    return bytes;
  }

  #next(): void {
    if (this.#waiting.length === 0 || this.#broken) {
      this.#busy = false;
      for (const idle of this.#idle.splice(0)) idle();
      return;
    }
    this.#write(this.#take(), 0);
  }

  #write(bytes: Uint8Array, from: number): void {
    write(this.#descriptor, bytes, from, bytes.length - from, null, (error, taken) => {
      if (error?.code === "EAGAIN") setTimeout(() => this.#write(bytes, from), 10);
      else if (error !== null) {
        this.#broken = true; // nobody is left to tell
        this.#next();
      } else if (from + taken < bytes.length) this.#write(bytes, from + taken);
      else this.#next();
    });
  }

  /** At the exit nothing runs any more: what no write was begun for goes out here, unless the reader stalls already. */
  #writeRest(): void {
    if (this.#waiting.length === 0 || this.#broken || this.#waitingBytes > 64 * 1024) return;
    try {
      writeSync(this.#descriptor, this.#take());
    } catch {
      // nobody is left to tell
    }
  }
}
