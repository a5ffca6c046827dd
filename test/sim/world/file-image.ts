import type { Prng } from "./prng.ts";

export const pageBytes = 4096;
const sectorBytes = 512;

/** A frozen page is shared between images and is copied before it changes. */
interface Page {
  readonly bytes: Uint8Array;
  frozen: boolean;
}

/** What one sync makes durable. */
export interface Capture {
  readonly pages: readonly (readonly [index: number, page: Page])[];
  /** The shortest the file has been since the capture before. */
  readonly cutTo: number | undefined;
  readonly bytes: number;
  /** Of one write that went through to the medium: says nothing about what was written before it. */
  readonly alone: boolean;
}

/** What is left after a power loss. Of unsynced sectors each is kept with the probability `keep`. */
export interface LossOdds {
  readonly prng: Prng;
  readonly keep: number;
}

/** The bytes of a file twice: as readers see them, and as they are on the medium. Holes take no memory and read as zeros. */
export class FileImage {
  #pages = new Map<number, Page>();
  #bytes = 0;
  #durablePages = new Map<number, Page>();
  #durableBytes = 0;
  readonly #dirty = new Set<number>();
  #cutTo: number | undefined;
  readonly #captures: Capture[] = [];

  get bytes(): number {
    return this.#bytes;
  }

  /** Pages that take space on the drive. */
  get pageCount(): number {
    return this.#pages.size;
  }

  read(into: Uint8Array, offset: number): number {
    const count = Math.max(0, Math.min(into.length, this.#bytes - offset));
    for (let done = 0; done < count;) {
      const at = offset + done;
      const within = at % pageBytes;
      const length = Math.min(pageBytes - within, count - done);
      const page = this.#pages.get((at - within) / pageBytes);
      if (page === undefined) into.fill(0, done, done + length);
      else into.set(page.bytes.subarray(within, within + length), done);
      done += length;
    }
    return count;
  }

  /** Pages that a write of these bytes would add. */
  pagesMissing(offset: number, bytes: number): number {
    if (bytes === 0) return 0;
    let missing = 0;
    const last = Math.floor((offset + bytes - 1) / pageBytes);
    for (let index = Math.floor(offset / pageBytes); index <= last; index++) if (!this.#pages.has(index)) missing++;
    return missing;
  }

  write(bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length;) {
      const at = offset + done;
      const within = at % pageBytes;
      const length = Math.min(pageBytes - within, bytes.length - done);
      const part = length === bytes.length ? bytes : bytes.subarray(done, done + length);
      this.#writable((at - within) / pageBytes).set(part, within);
      done += length;
    }
    if (bytes.length > 0) this.#bytes = Math.max(this.#bytes, offset + bytes.length);
  }

  truncate(bytes: number): void {
    if (bytes < this.#bytes) {
      for (const index of this.#pages.keys()) {
        if (index * pageBytes < bytes) continue;
        this.#pages.delete(index);
        this.#dirty.delete(index);
      }
      const within = bytes % pageBytes;
      const last = (bytes - within) / pageBytes;
      if (within > 0 && this.#pages.has(last)) this.#writable(last).fill(0, within);
      this.#cutTo = Math.min(this.#cutTo ?? bytes, bytes);
    }
    this.#bytes = bytes;
  }

  /** What has been written up to now, for a sync that begins; with a range only the pages that it touches. */
  capture(range?: { readonly offset: number; readonly bytes: number }): Capture {
    const pages: (readonly [number, Page])[] = [];
    const first = range === undefined ? 0 : Math.floor(range.offset / pageBytes);
    const last = range === undefined ? Number.POSITIVE_INFINITY : Math.floor((range.offset + range.bytes) / pageBytes);
    for (const index of this.#dirty) {
      if (index < first || index > last) continue;
      this.#dirty.delete(index);
      const page = this.#pages.get(index);
      if (page === undefined) continue;
      page.frozen = true;
      pages.push([index, page]);
    }
    const alone = range !== undefined;
    const capture: Capture = { pages, cutTo: alone ? undefined : this.#cutTo, bytes: this.#bytes, alone };
    if (!alone) this.#cutTo = undefined;
    this.#captures.push(capture);
    return capture;
  }

  /** A sync succeeded: its capture and all before it are durable. */
  commit(capture: Capture): void {
    if (capture.alone) return this.#commitAlone(capture);
    const count = this.#captures.indexOf(capture) + 1;
    for (const { pages, cutTo, bytes } of this.#captures.splice(0, count)) {
      if (cutTo !== undefined) cut(this.#durablePages, cutTo);
      for (const [index, page] of pages) this.#durablePages.set(index, page);
      this.#durableBytes = bytes;
    }
  }

  #commitAlone(capture: Capture): void {
    const index = this.#captures.indexOf(capture);
    if (index < 0) return;
    this.#captures.splice(index, 1);
    const written = new Set(capture.pages.map(([page]) => page));
    // An older state of these pages that is on its way can't come after this one.
    for (let i = 0; i < index; i++) {
      const earlier = this.#captures[i]!;
      this.#captures[i] = { ...earlier, pages: earlier.pages.filter(([page]) => !written.has(page)) };
    }
    for (const [at, page] of capture.pages) this.#durablePages.set(at, page);
    this.#durableBytes = Math.max(this.#durableBytes, capture.bytes);
  }

  /** A sync failed: its pages count as clean from now on, and are not on the medium (as Linux does it). */
  drop(capture: Capture): void {
    const index = this.#captures.indexOf(capture);
    if (index >= 0) this.#captures.splice(index, 1);
  }

  /** Flips the bits of `mask` in one byte, in both images; also in a hole. False where there is no such byte. */
  flip(offset: number, mask: number): boolean {
    const index = Math.floor(offset / pageBytes);
    const places = new Set<Page>();
    for (const [pages, bytes] of [
      [this.#pages, this.#bytes],
      [this.#durablePages, this.#durableBytes],
    ] as const) {
      if (offset >= bytes) continue;
      const page = pages.get(index) ?? { bytes: new Uint8Array(pageBytes), frozen: false };
      pages.set(index, page);
      places.add(page);
    }
    if (places.size === 0) return false;
    for (const [at, page] of this.#captures.flatMap(({ pages }) => pages)) if (at === index) places.add(page);
    for (const page of places) page.bytes[offset % pageBytes]! ^= mask;
    return true;
  }

  /** What a power loss leaves becomes both images. */
  losePower({ prng, keep }: LossOdds): void {
    const cutTo = [this.#cutTo, ...this.#captures.map((capture) => capture.cutTo)].reduce(
      (least, one) => (one === undefined ? least : Math.min(least ?? one, one)),
      undefined,
    );
    this.#captures.length = 0;
    const cutLands = cutTo !== undefined && prng.chance(keep);
    const base = this.#durablePages;
    if (cutLands) cut(base, cutTo);
    const short = cutLands ? Math.min(this.#durableBytes, cutTo) : this.#durableBytes;
    const bytes = lengthAfterLoss(prng, keep, short, this.#bytes);
    for (const [index, page] of this.#pages) {
      if (page !== base.get(index)) base.set(index, mixSectors(base.get(index), page, { prng, keep }));
    }
    cut(base, bytes);
    this.#durableBytes = bytes;
    this.#bytes = bytes;
    for (const page of base.values()) page.frozen = true;
    this.#pages = new Map(base);
    this.#dirty.clear();
    this.#cutTo = undefined;
  }

  #writable(index: number): Uint8Array {
    let page = this.#pages.get(index);
    if (page === undefined || page.frozen) {
      page = { bytes: page === undefined ? new Uint8Array(pageBytes) : page.bytes.slice(), frozen: false };
      this.#pages.set(index, page);
    }
    this.#dirty.add(index);
    return page.bytes;
  }
}

function lengthAfterLoss(prng: Prng, keep: number, short: number, long: number): number {
  if (prng.chance(keep)) return long;
  return prng.chance(0.5) ? short : prng.integer(Math.min(short, long), Math.max(short, long));
}

function mixSectors(before: Page | undefined, after: Page, { prng, keep }: LossOdds): Page {
  const bytes = before === undefined ? new Uint8Array(pageBytes) : before.bytes.slice();
  for (let at = 0; at < pageBytes; at += sectorBytes) {
    if (prng.chance(keep)) bytes.set(after.bytes.subarray(at, at + sectorBytes), at);
  }
  return { bytes, frozen: true };
}

/** Nothing is left from `bytes` on. */
function cut(pages: Map<number, Page>, bytes: number): void {
  const within = bytes % pageBytes;
  const last = (bytes - within) / pageBytes;
  for (const index of pages.keys()) if (index > last || (index === last && within === 0)) pages.delete(index);
  const page = pages.get(last);
  if (within === 0 || page === undefined) return;
  const left = { bytes: page.bytes.slice(), frozen: true };
  left.bytes.fill(0, within);
  pages.set(last, left);
}
