/** A backup of the master's metadata, as the bytes of one file (wire/backup-file.ts): asked for piece by piece, held one at a time. */
import { BackupEncoder, type BackupFacts, encodeBackupHeader } from "../wire/backup-file.ts";
import { backupBegin, backupEnd, backupPiece } from "../wire/control/metadata.ts";
import type { BackupOptions } from "./api.ts";
import { type ClientContext, inBackground, Operation } from "./context.ts";
import { askMaster } from "./retry.ts";

/**
 * The file's bytes, in order; whole only once all have come. What is durable at the master when it begins is in it.
 *
 * @throws GfsError("Busy" | "Unavailable" | "NotFound" …) of the master, GfsError("Timeout") without progress
 */
export async function* backupBytes(
  ctx: ClientContext,
  { signal, onBegun, onProgress }: BackupOptions,
): AsyncGenerator<Uint8Array, void> {
  using op = new Operation(ctx, "back up the master", signal);
  const { backup, bytes, ...begun } = await askMaster(ctx, op, backupBegin, {});
  const facts: BackupFacts = begun;
  try {
    onBegun?.(facts);
    const header = encodeBackupHeader(facts);
    const encoder = new BackupEncoder(header);
    yield header;
    op.progress();
    let done = header.length;
    for (let number = 0; ; number++) {
      const { piece } = await askMaster(ctx, op, backupPiece, { backup, piece: number });
      op.progress();
      if (piece === undefined) break;
      yield encoder.piece(piece.file, piece.offset, piece.bytes);
      yield piece.bytes;
      // The consumer may have taken its time.
      op.progress();
      done += piece.bytes.length;
      onProgress?.(done, Math.max(bytes, done));
    }
    yield encoder.end(facts.until);
  } finally {
    const ended = ctx.control.call(ctx.master, backupEnd, { backup }, { timeoutMs: ctx.limits.controlMs });
    inBackground(ctx, "end a backup", ended);
  }
}
