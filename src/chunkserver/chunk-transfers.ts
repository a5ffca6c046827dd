/** Copies that the master orders: a missing tail for a seal, a whole sealed chunk for repair (DESIGN §4.3, §4.5). */
import { GfsError, hasCode } from "../base/errors.ts";
import type { Origin } from "../wire/control/commands.ts";
import type { AppendTable, Chain } from "../wire/control/common.ts";
import type { ChunkHandle, ChunkVersion } from "../wire/ids.ts";
import { throwIfAborted } from "../net/deadline.ts";
import type { CopyControl } from "./clones.ts";
import type { Context } from "./context.ts";
import { copyBytes } from "./copy-chunk.ts";
import type { ChunkWriter } from "./store/store.ts";

export interface TransferRequest {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly length: number;
  readonly crc: number;
  readonly sources: Chain;
  readonly origin: Origin;
}

export interface TailRequest extends TransferRequest {
  /** Of exactly `length` bytes. */
  readonly appendTable: AppendTable;
}

/**
 * A fenced member, or a spare that becomes one, gets what it lacks of the first `length` bytes; durable when it resolves. The sources are
 * members fenced at the same version.
 */
export async function fetchMissingTail(context: Context, request: TailRequest): Promise<void> {
  const { store } = context;
  const { handle, version, length, crc, sources, origin, appendTable } = request;
  if (store.replica(handle) === undefined) {
    const answer = await store.promise(handle, version);
    if (answer.kind !== "fenced")
      throw new GfsError(
        "VersionStale",
        `Cannot fetch the tail of chunk ${handle} at version ${version}: it is ${answer.kind} here`,
      );
  }
  const writer = await store.beginTail({ handle, version, length, crc, origin, appendTable });
  try {
    const copy = { handle, version, purpose: "tail" as const, from: writer.from, to: length, sources };
    await copyBytes(context, copy, (run) => writer.write(run));
    await writer.close();
  } catch (thrown) {
    await writer.abort();
    throw thrown;
  }
}

/** A copy of a sealed chunk, sealed and durable when it resolves; nothing to do where it is here already. */
export async function cloneChunk(context: Context, request: TransferRequest, control: CopyControl): Promise<void> {
  const { store, limits } = context;
  const { handle, version, length, crc, sources, origin } = request;
  const held = store.replica(handle);
  if (held?.state === "sealed" && held.dataVersion === version && held.length === length && held.crc === crc) return;
  // A member that was never told that the chunk is sealed: what it holds must not go for a copy that may fail.
  if (held?.state === "fenced" && held.promisedVersion === version && held.length >= length) {
    try {
      return await store.finish({ handle, version, length, crc, origin });
    } catch (thrown) {
      if (!hasCode(thrown, "Corrupt")) throw thrown;
    }
  }
  const chunkBytes = Math.max(length, limits.chunkBytes);
  const options = { handle, version, chunkBytes, bytes: length, origin, purpose: "clone" as const };
  let writer: ChunkWriter | undefined;
  try {
    const { signal } = control;
    const copy = { handle, version, purpose: "clone" as const, from: 0, to: length, sources, signal };
    await copyBytes(context, copy, async (run) => {
      // What is replaced goes for the first bytes, and not for a source that can't be reached.
      writer ??= await store.beginWrite(options);
      await writer.write(run);
      await control.copied(run.bytes);
    });
    throwIfAborted(`copy chunk ${handle}`, signal);
    writer ??= await store.beginWrite(options);
    await writer.close(length, crc);
  } catch (thrown) {
    await writer?.abort();
    throw thrown;
  }
}
