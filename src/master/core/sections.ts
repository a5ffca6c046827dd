/**
 * How a checkpoint holds state: pieces of at most 1 MiB, each one CBOR map {section, version, entries, data} whose `data` is a run of binary
 * entries. The order and the bytes of entries follow from the state alone, never from its layout in memory (docs/DISK-FORMAT.md).
 */
import { assert } from "../../base/assert.ts";
import { fromUtf8, readUint53, utf8, viewOf, writeUint53 } from "../../base/bytes.ts";
import { GfsError } from "../../base/errors.ts";
import { decodeStoredCbor, encodeCbor } from "../../wire/cbor.ts";
import { CheckpointPiece } from "../../wire/checkpoint.ts";
import type { Numbers } from "./column.ts";

const sectionVersion = 1;
/** A piece is closed by the first entry that ends beyond; an entry has at most `entryBytesMax`. */
const pieceBytes = 524_288;
const entryBytesMax = 458_752;
/** A writer's buffer grows by doubling from here: most sections of a small cluster hold next to nothing. */
const firstBytes = 1_024;

/** Entries of one section on their way into pieces: fields of an entry, `endEntry`, and a piece where that returns one; `end` at last. */
export class SectionWriter {
  readonly #section: string;
  #bytes = new Uint8Array(firstBytes);
  #view = viewOf(this.#bytes);
  #at = 0;
  #entryAt = 0;
  #entries = 0;

  constructor(section: string) {
    this.#section = section;
  }

  u8(value: number): void {
    const at = this.#take(1);
    this.#view.setUint8(at, value);
  }
  u16(value: number): void {
    const at = this.#take(2);
    this.#view.setUint16(at, value, true);
  }
  u32(value: number): void {
    const at = this.#take(4);
    this.#view.setUint32(at, value, true);
  }
  /** An integer below 2^53. */
  u53(value: number): void {
    const at = this.#take(8);
    writeUint53(this.#view, at, value);
  }
  f64(value: number): void {
    const at = this.#take(8);
    this.#view.setFloat64(at, value, true);
  }
  /** At most 64 Ki - 1 bytes, with their count before them. */
  bytes(value: Uint8Array): void {
    assert(value.length <= 0xffff, "too many bytes for one field");
    this.u16(value.length);
    const at = this.#take(value.length);
    this.#bytes.set(value, at);
  }
  text(value: string): void {
    this.bytes(utf8(value));
  }
  /** Numbers as they lie in memory (little endian on every machine that gfs runs on); their count is the caller's to write. */
  column(values: Numbers): void {
    const at = this.#take(values.byteLength);
    this.#bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
  }

  /** Ends an entry; a piece where enough has gathered. */
  endEntry(): Uint8Array | undefined {
    this.#entries++;
    assert(this.#at - this.#entryAt <= entryBytesMax, "an entry of a section is too large");
    this.#entryAt = this.#at;
    return this.#at >= pieceBytes ? this.#piece() : undefined;
  }

  /** What is left; nothing for a section without entries since the last piece. */
  end(): Uint8Array | undefined {
    return this.#entries > 0 ? this.#piece() : undefined;
  }

  #take(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    if (this.#at > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = viewOf(larger);
    }
    return at;
  }

  #piece(): Uint8Array {
    const piece = encodeCbor({
      section: this.#section,
      version: sectionVersion,
      entries: this.#entries,
      data: this.#bytes.subarray(0, this.#at),
    });
    this.#at = 0;
    this.#entryAt = 0;
    this.#entries = 0;
    return piece;
  }
}

/**
 * Reads the entries of one piece, field by field in the order they were written.
 *
 * @throws GfsError("Corrupt") for bytes that are no piece, and for a field beyond its end; GfsError("FormatUnsupported") for a newer version.
 */
export class SectionReader {
  readonly section: string;
  /** All entries of the piece. */
  readonly data: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #entriesLeft: number;

  constructor(piece: Uint8Array) {
    const parsed = CheckpointPiece.safeParse(decodeStoredCbor(piece, "a piece of a checkpoint"));
    if (!parsed.success)
      throw new GfsError("Corrupt", "Cannot read a piece of a checkpoint: it has not the form of one");
    const { section, version, entries, data } = parsed.data;
    if (version !== sectionVersion)
      throw new GfsError(
        "FormatUnsupported",
        `Cannot read section ${section} of a checkpoint: it has version ${version}`,
      );
    this.section = section;
    this.data = data;
    this.#view = viewOf(data);
    this.#entriesLeft = entries;
  }

  /** True before each entry, false (and all bytes must have been read) after the last. */
  nextEntry(): boolean {
    if (this.#entriesLeft > 0) {
      this.#entriesLeft--;
      return true;
    }
    if (this.#at !== this.data.length) this.#corrupt();
    return false;
  }

  u8(): number {
    return this.data[this.#take(1)] ?? 0;
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }
  u53(): number {
    return readUint53(this.#view, this.#take(8)) ?? this.#corrupt();
  }
  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }
  /** A view that is valid as long as the piece. */
  bytes(): Uint8Array {
    const length = this.u16();
    const at = this.#take(length);
    return this.data.subarray(at, at + length);
  }
  text(): string {
    return fromUtf8(this.bytes()) ?? this.#corrupt();
  }

  /** Passes over so many bytes; where in `data` they begin. */
  skip(bytes: number): number {
    return this.#take(bytes);
  }
  /** Fills `values` with what `column` wrote. */
  column<Values extends Numbers>(values: Values): Values {
    const at = this.#take(values.byteLength);
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength).set(
      this.data.subarray(at, at + values.byteLength),
    );
    return values;
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.data.length) this.#corrupt();
    this.#at = at + bytes;
    return at;
  }

  #corrupt(): never {
    throw new GfsError(
      "Corrupt",
      `Cannot read section ${this.section} of a checkpoint: an entry is cut short or too long`,
    );
  }
}
