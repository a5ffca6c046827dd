/**
 * What a volume keeps of its master's metadata, beside the chunks (DESIGN §4.1; docs/DISK-FORMAT.md): checkpoints, and beginnings of the segments of the operation log. The master
 * writes it, a restore reads it; to this server they are bytes. A segment carries its own checksums, and what is cut off or damaged at its end is written again; a checkpoint counts
 * once it has its name, which has the checksum of the whole. What the newest whole checkpoint makes superfluous goes, so that there are two at most, and the log since the older one.
 *
 * `metadata-before` is a copy of a log that the present master does not know (an operator has confirmed that): kept until another copy is whole.
 */
import { crc32 } from "../../base/checksum.ts";
import { GfsError, hasCode } from "../../base/errors.ts";
import { type Disk, DiskError } from "../../io.ts";
import { LogFollower } from "../../log/follow-log.ts";
import type { LogPosition } from "../../log/log-types.ts";
import { positionOfFileName, segmentFileName } from "../../log/segment.ts";
import { type HeldFile, type MetadataFile, metadataPieceBytesMax } from "../../wire/control/metadata.ts";
import { makeDurably } from "./identity.ts";
import type { Retirement } from "./retirement.ts";

export type CopySet = "metadata" | "metadata-before";
const sets: readonly CopySet[] = ["metadata", "metadata-before"];

/** Told to the master at each registration: more than it has itself proves that it is behind. */
export interface HeldSummary {
  readonly checkpoint: LogPosition;
  readonly last: LogPosition;
}

export interface MetadataFolderOptions {
  readonly directory: string;
  readonly retirement: Retirement;
  /** @throws GfsError("NoSpace") where so many bytes more have no room outside the reserve */
  readonly requireSpace: (bytes: number) => Promise<void>;
}

const readBytes = 1_048_576;

export class MetadataFolder {
  readonly #disk: Disk;
  readonly #options: MetadataFolderOptions;
  #bytes = 0;
  #summary: HeldSummary | undefined;
  /** One change at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(disk: Disk, options: MetadataFolderOptions) {
    this.#disk = disk;
    this.#options = options;
  }

  /** One that can't be read counts as none: it must not keep the volume's chunks away. */
  static async open(disk: Disk, options: MetadataFolderOptions): Promise<MetadataFolder> {
    const folder = new MetadataFolder(disk, options);
    try {
      await folder.#recount();
    } catch (error) {
      if (!(error instanceof DiskError) && !hasCode(error, "DiskFailed")) throw error;
    }
    return folder;
  }

  /** Of all files in both folders. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Undefined where nothing is here. */
  get summary(): HeldSummary | undefined {
    return this.#summary;
  }

  /** Every file checked from end to end, and durable; what is damaged is left out. @throws GfsError("VolumeRetired") */
  held(): Promise<{ set: CopySet; files: HeldFile[] }[]> {
    return this.#inTurn("check the copy of the metadata", async () => {
      const found: { set: CopySet; files: HeldFile[] }[] = [];
      for (const set of sets) found.push({ set, files: await this.#filesOf(set) });
      return found.filter(({ files }) => files.length > 0);
    });
  }

  /** @throws GfsError("NotFound") */
  async read(set: CopySet, file: MetadataFile, at: { offset: number; bytes: number }): Promise<Uint8Array> {
    const name = await this.#nameOf(set, file);
    if (name === undefined)
      throw new GfsError("NotFound", `Cannot read the ${file.kind} of ${file.position}: it is not here`);
    return this.#options.retirement.attempt("read the copy of the metadata", async () => {
      const opened = await this.#disk.open(`${this.#path(set)}/${name}`, "read");
      try {
        const into = new Uint8Array(Math.min(at.bytes, metadataPieceBytesMax));
        return into.subarray(0, await opened.read(into, at.offset));
      } finally {
        await opened.close();
      }
    });
  }

  /** Cuts the file at `offset` and goes on with `bytes`; durable, but for a checkpoint's. @throws GfsError("RangeInvalid" | "NoSpace" | "VolumeRetired") */
  write(
    file: MetadataFile,
    offset: number,
    { bytes, last }: { bytes: Uint8Array; last: number | undefined },
  ): Promise<void> {
    return this.#inTurn("write the copy of the metadata", async () => {
      await this.#options.requireSpace(bytes.length);
      const folder = this.#path("metadata");
      await makeDurably(this.#disk, folder);
      const isSegment = file.kind === "segment";
      const name = isSegment ? segmentFileName(file.position) : partialName(file.position);
      const path = `${folder}/${name}`;
      const before = (await this.#disk.info(path))?.bytes ?? 0;
      if (offset > before)
        throw new GfsError("RangeInvalid", `Cannot write ${name} from byte ${offset} on: ${before} are here`);
      const opened = await this.#disk.open(path, "write");
      try {
        if (before > offset) await opened.truncate(offset);
        await opened.write([bytes], offset);
        if (isSegment) await opened.sync();
      } finally {
        await opened.close();
      }
      if (isSegment && offset === 0) await this.#disk.syncDirectory(folder);
      this.#bytes += offset + bytes.length - before;
      if (last !== undefined) this.#summary = { checkpoint: this.#summary?.checkpoint ?? 0, last };
    });
  }

  /** @throws GfsError("NotFound" | "Corrupt" | "VolumeRetired") */
  finish(position: LogPosition, whole: { readonly bytes: number; readonly crc: number }): Promise<void> {
    return this.#inTurn("finish the copy of a checkpoint", async () => {
      const folder = this.#path("metadata");
      const partial = `${folder}/${partialName(position)}`;
      const name = checkpointName(position, whole.crc);
      if ((await this.#disk.info(partial)) !== undefined) {
        await this.#syncFile(partial);
        const found = await this.#sumOf(partial);
        if (found.bytes !== whole.bytes || found.crc !== whole.crc)
          throw new GfsError(
            "Corrupt",
            `Cannot finish the checkpoint of ${position}: ${found.bytes} of ${whole.bytes} bytes are here, or others`,
          );
        await this.#disk.rename(partial, `${folder}/${name}`);
      } else if ((await this.#disk.info(`${folder}/${name}`)) === undefined)
        throw new GfsError("NotFound", `Cannot finish the checkpoint of ${position}: none was begun`);
      // Before anything goes that it makes superfluous; also of one that an earlier process renamed.
      await this.#disk.syncDirectory(folder);
      await this.#removeOlder(position, name);
      await this.#disk.removeTree(this.#path("metadata-before"));
      await this.#disk.syncDirectory(this.#options.directory);
      await this.#recount();
    });
  }

  /** Idempotent. @throws GfsError("VolumeRetired") */
  drop(to: "aside" | "gone"): Promise<void> {
    return this.#inTurn("drop the copy of the metadata", async () => {
      const here = (await this.#disk.info(this.#path("metadata"))) !== undefined;
      const before = (await this.#disk.info(this.#path("metadata-before"))) !== undefined;
      if (to === "gone") await this.#disk.removeTree(this.#path("metadata-before"));
      // As long as there is one before, `metadata` was never whole.
      if (here && to === "aside" && !before)
        await this.#disk.rename(this.#path("metadata"), this.#path("metadata-before"));
      else if (here) await this.#disk.removeTree(this.#path("metadata"));
      await this.#disk.syncDirectory(this.#options.directory);
      await this.#recount();
    });
  }

  #path(set: CopySet): string {
    return `${this.#options.directory}/${set}`;
  }

  #inTurn<T>(what: string, work: () => Promise<T>): Promise<T> {
    const { retirement } = this.#options;
    const run = this.#turn.then(() => retirement.attempt(what, work));
    this.#turn = run.catch(() => undefined);
    return run;
  }

  async #names(set: CopySet): Promise<readonly string[]> {
    const path = this.#path(set);
    return (await this.#disk.info(path))?.kind === "directory" ? this.#disk.list(path) : [];
  }

  async #bytesOf(set: CopySet): Promise<number> {
    let bytes = 0;
    for (const name of await this.#names(set))
      bytes += (await this.#disk.info(`${this.#path(set)}/${name}`))?.bytes ?? 0;
    return bytes;
  }

  async #recount(): Promise<void> {
    let bytes = 0;
    for (const set of sets) bytes += await this.#bytesOf(set);
    this.#bytes = bytes;
    await this.#summarize();
  }

  async #summarize(): Promise<void> {
    const names = await this.#names("metadata");
    const checkpoint = Math.max(0, ...names.map((name) => heldCheckpoint(name)?.position ?? 0));
    const newest = Math.max(0, ...names.map((name) => positionOfFileName(name) ?? 0));
    const last = newest === 0 ? 0 : ((await this.#measure("metadata", newest))?.last ?? 0);
    this.#summary = checkpoint === 0 && newest === 0 ? undefined : { checkpoint, last: Math.max(checkpoint, last) };
  }

  async #filesOf(set: CopySet): Promise<HeldFile[]> {
    const files: HeldFile[] = [];
    const names = await this.#names(set);
    // What a process that was killed had written may be in the page cache alone.
    for (const name of names) await this.#syncFile(`${this.#path(set)}/${name}`);
    if (names.length > 0) await this.#disk.syncDirectory(this.#path(set));
    for (const name of names) {
      const segment = positionOfFileName(name);
      if (segment !== undefined) {
        const whole = await this.#measure(set, segment);
        if (whole === undefined) continue;
        const { offset, last, segmentId } = whole;
        const { crc } = await this.#sumOf(`${this.#path(set)}/${name}`, offset);
        files.push({ kind: "segment", position: segment, bytes: offset, crc, segmentId, last });
      }
      const checkpoint = heldCheckpoint(name);
      if (checkpoint === undefined) continue;
      const { bytes, crc } = await this.#sumOf(`${this.#path(set)}/${name}`);
      if (crc === checkpoint.crc) files.push({ kind: "checkpoint", position: checkpoint.position, bytes, crc });
    }
    return files;
  }

  /** Undefined for one whose header can't be read. @throws DiskError */
  async #measure(
    set: CopySet,
    segment: LogPosition,
  ): Promise<Awaited<ReturnType<typeof LogFollower.measure>> | undefined> {
    try {
      return await LogFollower.measure(this.#disk, this.#path(set), segment);
    } catch (error) {
      if (hasCode(error, "Corrupt", "Unavailable", "FormatUnsupported")) return undefined;
      throw error;
    }
  }

  async #nameOf(set: CopySet, { kind, position }: MetadataFile): Promise<string | undefined> {
    const names = await this.#names(set);
    if (kind === "segment") return names.find((name) => positionOfFileName(name) === position);
    return names.find((name) => heldCheckpoint(name)?.position === position);
  }

  /** Other checkpoints, and segments of which the checkpoint has all entries. */
  async #removeOlder(position: LogPosition, keep: string): Promise<void> {
    const folder = this.#path("metadata");
    const names = await this.#names("metadata");
    const firsts = names.flatMap((name) => positionOfFileName(name) ?? []).sort((a, b) => a - b);
    for (const name of names) {
      const first = positionOfFileName(name);
      if (first === undefined) {
        if (name !== keep) await this.#disk.remove(`${folder}/${name}`);
        continue;
      }
      const next = firsts[firsts.indexOf(first) + 1];
      const last = next === undefined ? ((await this.#measure("metadata", first))?.last ?? 0) : next - 1;
      if (last <= position) await this.#disk.remove(`${folder}/${name}`);
    }
    await this.#disk.syncDirectory(folder);
  }

  async #syncFile(path: string): Promise<void> {
    const file = await this.#disk.open(path, "write");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Of the first `bytes` bytes. */
  async #sumOf(
    path: string,
    bytes = Number.POSITIVE_INFINITY,
  ): Promise<{ readonly bytes: number; readonly crc: number }> {
    const file = await this.#disk.open(path, "read");
    try {
      const buffer = new Uint8Array(readBytes);
      let crc = 0;
      let at = 0;
      for (;;) {
        const read = await file.read(buffer.subarray(0, Math.min(buffer.length, bytes - at)), at);
        if (read === 0) return { bytes: at, crc };
        crc = crc32(buffer.subarray(0, read), crc);
        at += read;
      }
    } finally {
      await file.close();
    }
  }
}

function partialName(position: LogPosition): string {
  return `${hexOf(position, 16)}.checkpoint.partial`;
}

function checkpointName(position: LogPosition, crc: number): string {
  return `${hexOf(position, 16)}-${hexOf(crc, 8)}.checkpoint`;
}

/** Of the name of a checkpoint that was whole. */
function heldCheckpoint(name: string): { readonly position: LogPosition; readonly crc: number } | undefined {
  const match = /^([0-9a-f]{16})-([0-9a-f]{8})\.checkpoint$/.exec(name);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { position: Number.parseInt(match[1], 16), crc: Number.parseInt(match[2], 16) };
}

function hexOf(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
