/**
 * One copy of the master's metadata on a volume, kept up to date (DESIGN §4.1). A round asks, at first, what is there: a copy whose newest segment has the bytes of ours, as far as it goes, is gone on
 * with; one of a log that is not ours goes aside; one that ours does not reach back to any more gets the newest checkpoint. Then come a newer checkpoint, where there is one, and
 * what was logged since, in pieces, one at a time. Whatever fails, the next round asks again what is there: nothing is assumed of a server that did not answer.
 */
import { crc32 } from "../../base/checksum.ts";
import { hasCode } from "../../base/errors.ts";
import { LogFollower } from "../../log/follow-log.ts";
import type { LogPosition } from "../../log/log-types.ts";
import { sleep } from "../../net/deadline.ts";
import {
  type HeldFile,
  metadataDrop,
  metadataFinish,
  metadataHeld,
  metadataWrite,
} from "../../wire/control/metadata.ts";
import { type MasterContext, nowMs } from "../context.ts";
import type { VolumeIndex } from "../core/chunk-table.ts";
import { copiedAllOf, type CopyLag } from "../core/copy-lag.ts";
import type { DataDirectory } from "../data-directory.ts";
import { checkpointPieces, cut, type ImagePiece } from "./image.ts";

/** Of the master at the beginning of a round. */
export interface ToCopy {
  readonly directory: DataDirectory;
  /** Of the newest; 0: none. */
  readonly checkpoint: LogPosition;
  /** The end of what is durable. */
  readonly until: LogPosition;
}

export class MetadataCopy {
  readonly volume: VolumeIndex;
  readonly #ctx: MasterContext;
  #follower: LogFollower | undefined;
  #checkpoint: LogPosition = 0;
  /** What is there begins with a checkpoint, or with the first entry: with what the follower gave it is a copy. */
  #whole = false;
  readonly lag: CopyLag = { completeMs: undefined };

  constructor(ctx: MasterContext, volume: VolumeIndex) {
    this.#ctx = ctx;
    this.volume = volume;
  }

  /** The last entry that it has for sure; 0: nobody knows, or it is being made. */
  get position(): LogPosition {
    if (this.#follower === undefined || !this.#whole) return 0;
    return Math.max(this.#follower.place.last, this.#checkpoint);
  }

  get checkpoint(): LogPosition {
    return this.#checkpoint;
  }

  /** The next round begins with the question of what is there. */
  forget(): void {
    this.#follower = undefined;
    this.#whole = false;
  }

  /** @throws GfsError: what the volume refuses with, or of our own disk; then the next round asks what is there */
  async round(task: ToCopy): Promise<void> {
    const beganMs = nowMs(this.#ctx);
    try {
      this.#follower ??= await this.#resume(task);
      if (task.checkpoint > this.#checkpoint) await this.#sendCheckpoint(task);
      await this.#sendLog(task);
      copiedAllOf(this.lag, beganMs);
      this.#note();
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  /** Where to go on. What is there then is a beginning of our log, after a checkpoint that it has. */
  async #resume({ directory, checkpoint, until }: ToCopy): Promise<LogFollower> {
    const { disk } = this.#ctx.world;
    this.#checkpoint = 0;
    const { sets } = await this.#ctx.commands.send(this.volume, metadataHeld, {}, this.#ctx.limits.metadataAnswerMs);
    const files = sets.find(({ set }) => set === "metadata")?.files ?? [];
    const tail = wholeTail(files);
    if (tail !== undefined && tail.place.last <= until) {
      try {
        const follower = await LogFollower.from(disk, directory.logPath, tail.place);
        this.#checkpoint = tail.checkpoint;
        this.#whole = true;
        return follower;
      } catch (error) {
        // Ours is trimmed so far, or another log.
        if (!hasCode(error, "Unavailable")) throw error;
      }
    }
    const ends = files.map(({ last, position }) => last ?? position);
    const isOlder = checkpoint > 0 && ends.every((end) => end < checkpoint);
    // What is older than our checkpoint stays until that is whole there; anything else is of no use, or of another log.
    if (files.length > 0 && !isOlder)
      await this.#ctx.commands.send(this.volume, metadataDrop, { to: "aside" }, this.#ctx.limits.controlMs);
    this.#whole = checkpoint === 0;
    return LogFollower.after(disk, directory.logPath, checkpoint);
  }

  async #sendCheckpoint({ directory, checkpoint }: ToCopy): Promise<void> {
    let crc = 0;
    let bytes = 0;
    for await (const piece of checkpointPieces(this.#ctx.world.disk, directory, checkpoint)) {
      await this.#send(piece, undefined);
      crc = crc32(piece.bytes, crc);
      bytes += piece.bytes.length;
    }
    await this.#ctx.commands.send(
      this.volume,
      metadataFinish,
      { position: checkpoint, bytes, crc },
      this.#ctx.limits.metadataAnswerMs,
    );
    this.#checkpoint = checkpoint;
    this.#whole = true;
    // Segments that the checkpoint has went with the older one.
    if (this.position <= checkpoint)
      this.#follower = await LogFollower.after(this.#ctx.world.disk, directory.logPath, checkpoint);
    this.#note();
  }

  async #sendLog({ until }: ToCopy): Promise<void> {
    const follower = this.#follower;
    if (follower === undefined) return;
    for (let read = await follower.next(until); read !== undefined; read = await follower.next(until)) {
      const file = { kind: "segment" as const, position: read.segment };
      const end = read.offset + read.bytes.length;
      for (const piece of cut(file, read.offset, read.bytes))
        await this.#send(piece, piece.offset + piece.bytes.length === end ? read.last : undefined);
    }
  }

  /** Half of the time is left to others. */
  async #send({ file, offset, bytes }: ImagePiece, last: LogPosition | undefined): Promise<void> {
    const { commands, limits, world, stopping } = this.#ctx;
    const beganMs = nowMs(this.#ctx);
    const request = { file, offset, bytes: new Uint8Array(bytes), ...(last === undefined ? {} : { last }) };
    await commands.send(this.volume, metadataWrite, request, limits.controlMs);
    await sleep(world.clock, nowMs(this.#ctx) - beganMs, stopping);
  }

  #note(): void {
    this.#ctx.soft.heldMetadata.set(this.volume, { checkpoint: this.#checkpoint, last: this.position });
  }
}

/** The end of a copy without a hole from its checkpoint on; undefined where there is none. */
function wholeTail(files: readonly HeldFile[]):
  | {
      readonly checkpoint: LogPosition;
      readonly place: {
        readonly segment: LogPosition;
        readonly offset: number;
        readonly last: LogPosition;
        readonly crc: number;
      };
    }
  | undefined {
  const checkpoints = files.filter(({ kind }) => kind === "checkpoint").map(({ position }) => position);
  const checkpoint = Math.max(0, ...checkpoints);
  const segments = files.filter(({ kind }) => kind === "segment").sort((a, b) => a.position - b.position);
  const from = segments.findLastIndex(({ position }) => position <= checkpoint + 1);
  let end: HeldFile | undefined;
  for (const segment of from < 0 ? [] : segments.slice(from)) {
    if (end !== undefined && end.last !== segment.position - 1) return undefined;
    end = segment;
  }
  if (end?.last === undefined || end.last < checkpoint) return undefined;
  const { position, bytes, last, crc } = end;
  return { checkpoint, place: { segment: position, offset: bytes, last, crc } };
}
