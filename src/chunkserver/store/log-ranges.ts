/** Where bytes of a chunk lie in the volume log, as long as the data file does not have them: 16 bytes of memory a record. */
import { assert } from "../../base/assert.ts";

/** Neighbouring bytes of a chunk in one segment; between two records lies a gap of headers. */
export interface LogSpan {
  readonly segment: number;
  /** Of the first wanted byte in the segment's file. */
  readonly offset: number;
  /** From the first wanted byte to the last, gaps included. */
  readonly bytes: number;
  /** Parts that are wanted: where in the span, how long. One after the other in the chunk. */
  readonly parts: readonly { readonly at: number; readonly bytes: number }[];
}

/** Longest gap that is read over rather than around. */
const gapBytesMax = 4_096;

/** Ranges that follow one another without a hole, from `start` to `end` in the chunk. */
export class LogRanges {
  #from = new Uint32Array(2);
  #offset = new Uint32Array(2);
  #segment = new Float64Array(2);
  #first = 0;
  #count = 0;
  #end: number;

  constructor(start: number) {
    this.#end = start;
  }

  /** First byte in the chunk that is here; `end` when nothing is. */
  get start(): number {
    return this.#count === 0 ? this.#end : (this.#from[this.#first] ?? 0);
  }

  get end(): number {
    return this.#end;
  }

  get count(): number {
    return this.#count;
  }

  /** The oldest segment that is referred to. */
  get oldestSegment(): number | undefined {
    return this.#count === 0 ? undefined : this.#segment[this.#first];
  }

  /** The next `bytes` of the chunk lie at `offset` of the segment. */
  add(segment: number, offset: number, bytes: number): void {
    const at = this.#first + this.#count;
    if (at === this.#from.length) this.#makeRoom();
    const slot = this.#first + this.#count;
    this.#from[slot] = this.#end;
    this.#offset[slot] = offset;
    this.#segment[slot] = segment;
    this.#count++;
    this.#end += bytes;
  }

  /** Forgets everything before `position` of the chunk. */
  dropBefore(position: number): void {
    while (this.#count > 0) {
      const last = this.#count === 1;
      const from = this.#from[this.#first] ?? 0;
      const next = last ? this.#end : (this.#from[this.#first + 1] ?? 0);
      if (next <= position) {
        this.#first++;
        this.#count--;
        continue;
      }
      if (from < position) {
        this.#offset[this.#first] = (this.#offset[this.#first] ?? 0) + position - from;
        this.#from[this.#first] = position;
      }
      break;
    }
    if (this.#count === 0) {
      this.#end = Math.max(this.#end, position);
      this.#first = 0;
    }
  }

  /** Forgets everything from `position` of the chunk on. */
  cutAt(position: number): void {
    while (this.#count > 0 && (this.#from[this.#first + this.#count - 1] ?? 0) >= position) this.#count--;
    this.#end = Math.min(this.#end, position);
  }

  /** Where [from, to) of the chunk lies, which must be here; each span at most `spanBytesMax` wanted bytes. */
  spans(from: number, to: number, spanBytesMax: number): LogSpan[] {
    assert(from >= this.start && to <= this.#end && from <= to, "the log does not hold these bytes");
    const spans: LogSpan[] = [];
    let at = from;
    let index = this.#indexOf(from);
    let open:
      | { segment: number; offset: number; end: number; wanted: number; parts: { at: number; bytes: number }[] }
      | undefined;
    const finish = (): void => {
      if (open !== undefined)
        spans.push({ segment: open.segment, offset: open.offset, bytes: open.end - open.offset, parts: open.parts });
      open = undefined;
    };
    while (at < to) {
      const start = this.#from[index] ?? 0;
      const end = index + 1 < this.#first + this.#count ? (this.#from[index + 1] ?? 0) : this.#end;
      const segment = this.#segment[index] ?? 0;
      const offset = (this.#offset[index] ?? 0) + at - start;
      if (
        open === undefined ||
        open.segment !== segment ||
        offset < open.end ||
        offset - open.end > gapBytesMax ||
        open.wanted >= spanBytesMax
      ) {
        finish();
        open = { segment, offset, end: offset, wanted: 0, parts: [] };
      }
      const bytes = Math.min(Math.min(end, to) - at, spanBytesMax - open.wanted);
      open.parts.push({ at: offset - open.offset, bytes });
      open.end = offset + bytes;
      open.wanted += bytes;
      at += bytes;
      if (at >= end) index++;
    }
    finish();
    return spans;
  }

  /** For a checkpoint: chunk offset, segment and log offset of each, oldest first. */
  entries(): { readonly from: number; readonly segment: number; readonly offset: number }[] {
    const list: { from: number; segment: number; offset: number }[] = [];
    for (let i = this.#first; i < this.#first + this.#count; i++) {
      list.push({ from: this.#from[i] ?? 0, segment: this.#segment[i] ?? 0, offset: this.#offset[i] ?? 0 });
    }
    return list;
  }

  #indexOf(position: number): number {
    let low = this.#first;
    let high = this.#first + this.#count - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#from[middle] ?? 0) <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #makeRoom(): void {
    const capacity = this.#first > this.#from.length / 2 ? this.#from.length : this.#from.length * 2;
    const from = new Uint32Array(capacity);
    const offset = new Uint32Array(capacity);
    const segment = new Float64Array(capacity);
    from.set(this.#from.subarray(this.#first, this.#first + this.#count));
    offset.set(this.#offset.subarray(this.#first, this.#first + this.#count));
    segment.set(this.#segment.subarray(this.#first, this.#first + this.#count));
    this.#from = from;
    this.#offset = offset;
    this.#segment = segment;
    this.#first = 0;
  }
}
