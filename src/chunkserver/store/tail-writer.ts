/** The missing end of a fenced replica, copied from a longer member, straight into its data file (DESIGN §4.3). */
import { GfsError } from "../../base/errors.ts";
import type { DiskFile } from "../../io.ts";
import { blockBytes } from "../../limits.ts";
import type { BlockRun } from "../../wire/data/blocks.ts";
import type { ActiveReplica } from "./active-replica.ts";
import type { BlockSums } from "./block-sums.ts";
import { fileActive } from "./chunk-filer.ts";
import { FileStream } from "./file-stream.ts";
import type { Ground } from "./ground.ts";
import type { SpaceHold } from "./space-account.ts";
import type { MissingTailOptions, TailOptions, TailWriter } from "./store.ts";

/** The replica, if it is fenced at exactly the version. @throws GfsError ReplicaMissing | Corrupt | VersionStale | ChunkClosed */
export function fencedAt(ground: Ground, { handle, version }: TailOptions): ActiveReplica {
  const row = ground.state.table.get(handle);
  if (row === undefined || row.state === "removed") {
    throw new GfsError("ReplicaMissing", `Cannot complete chunk ${handle}: this volume has no replica of it`);
  }
  if (row.state === "corrupt")
    throw new GfsError("Corrupt", `Cannot complete chunk ${handle}: this replica is corrupt`);
  const active = ground.state.active.get(handle);
  const promised = active?.promising ?? row.promised;
  if (promised > version) {
    throw new GfsError(
      "VersionStale",
      `Cannot complete chunk ${handle} at version ${version}: ${promised} is promised`,
    );
  }
  if (active?.state !== "fenced" || active.promised !== version) {
    throw new GfsError(
      "ChunkClosed",
      `Cannot complete chunk ${handle} at version ${version}: it is ${row.state}, with ${promised} promised`,
    );
  }
  if (active.stopped) throw new GfsError("Corrupt", `Cannot complete chunk ${handle}: this replica is corrupt`);
  return active;
}

/** Contract: Store.beginTail. */
export function beginTail(ground: Ground, options: MissingTailOptions): Promise<TailWriter> {
  return ground.locks.run(options.handle, async () => {
    ground.retirement.check();
    const active = fencedAt(ground, options);
    const from = active.sums.length;
    if (from >= options.length) return nothingMissing(from);
    await endTail(ground, options.handle);
    await ground.retirement.attempt("measure the free space", () => ground.space.refresh());
    ground.space.check(options.length - from, `complete chunk ${options.handle}`, "clone");
    // The file has everything before the tail, or a restart would find a hole in it.
    await ground.retirement.attempt(`complete chunk ${options.handle}`, () => fileActive(ground, active));
    const file = await ground.retirement.attempt(`complete chunk ${options.handle}`, () =>
      ground.files.open(options.handle, "write"),
    );
    return new FileTailWriter(ground, options, { sums: active.sums.copy(), file });
  });
}

/** Nothing writes to the replica's file any more. The caller holds the handle's lock. */
export async function endTail(ground: Ground, handle: number): Promise<void> {
  await ground.tails.get(handle)?.abort();
}

function nothingMissing(from: number): TailWriter {
  return {
    from,
    write: () => Promise.reject(new GfsError("ProtocolError", "Cannot write a tail: nothing is missing")),
    close: () => Promise.resolve(),
    abort: () => Promise.resolve(),
  };
}

class FileTailWriter implements TailWriter {
  readonly from: number;
  readonly #ground: Ground;
  readonly #options: MissingTailOptions;
  readonly #sums: BlockSums;
  readonly #stream: FileStream;
  readonly #space: SpaceHold;
  #ended = false;

  constructor(
    ground: Ground,
    options: MissingTailOptions,
    { sums, file }: { readonly sums: BlockSums; readonly file: DiskFile },
  ) {
    this.from = sums.length;
    this.#ground = ground;
    this.#options = options;
    this.#sums = sums;
    this.#stream = new FileStream(file, sums.length);
    this.#space = ground.space.hold(options.length - sums.length, "clone");
    ground.tails.set(options.handle, this);
  }

  async write(run: BlockRun): Promise<void> {
    this.#check();
    const { handle, length } = this.#options;
    if (run.offset !== this.#sums.length || run.offset + run.bytes > length) {
      throw new GfsError(
        "ProtocolError",
        `Cannot complete chunk ${handle} at byte ${run.offset}: bytes ${this.#sums.length} to ${length} are missing`,
      );
    }
    this.#space.take(run.bytes, `complete chunk ${handle}`);
    this.#sums.add(run.crcs, run.bytes);
    await this.#ground.retirement.attempt(`complete chunk ${handle}`, () => this.#stream.write(run.payload, run.bytes));
  }

  close(): Promise<void> {
    const { handle, version, length, crc, origin, appendTable } = this.#options;
    const { locks, log, files, retirement } = this.#ground;
    return locks.run(handle, async () => {
      this.#check();
      const active = fencedAt(this.#ground, this.#options);
      if (active.sums.length !== this.from) {
        throw new GfsError("ChunkClosed", `Cannot complete chunk ${handle}: its tail came from elsewhere meanwhile`);
      }
      if (this.#sums.length !== length || this.#sums.crc !== crc) {
        throw new GfsError(
          "Corrupt",
          `Cannot complete chunk ${handle}: ${this.#sums.length} bytes have checksum ${this.#sums.crc}, ${length} with ${crc} are wanted`,
        );
      }
      await retirement.attempt(`complete chunk ${handle}`, async () => {
        await Promise.all([this.#stream.finish(), files.syncName(handle)]);
      });
      const first = Math.floor(this.from / blockBytes);
      const blocks = [...this.#sums.blocks().subarray(first)];
      // A fence that came during the sync made this tail worthless.
      fencedAt(this.#ground, this.#options);
      await log.commit({ kind: "tailed", handle, version, from: this.from, length, crc, blocks, origin, appendTable });
      await this.#end();
    });
  }

  abort(): Promise<void> {
    return this.#end();
  }

  #check(): void {
    this.#ground.retirement.check();
    if (this.#ended)
      throw new GfsError("ChunkClosed", `Cannot complete chunk ${this.#options.handle}: the stream has ended`);
  }

  /** What lies in the file behind the durable length counts for nothing, and is written over. */
  async #end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#space.release();
    const { tails } = this.#ground;
    if (tails.get(this.#options.handle) === this) tails.delete(this.#options.handle);
    await this.#stream.close();
  }
}
