/** What is asked for copies of the metadata (wire/control/metadata.ts). */
import { type Route, route } from "../net/control-server.ts";
import { backupBegin, backupEnd, backupPiece } from "../wire/control/metadata.ts";
import type { MasterContext } from "./context.ts";
import type { Backups } from "./metadata/backups.ts";
import { clusterIdOf, epochOf } from "./status.ts";

export function metadataRoutes(ctx: MasterContext, backups: Backups): Route[] {
  const { engine, world } = ctx;
  return [
    route(backupBegin, async () => {
      // All that was answered before is in it.
      await engine.release(undefined);
      const epoch = epochOf(ctx);
      const { id, checkpoint, until, bytes } = await backups.begin();
      return { backup: id, clusterId: clusterIdOf(ctx), epoch, checkpoint, until, wallMs: world.clock.wallMs(), bytes };
    }),
    route(backupPiece, async ({ backup, piece }) => {
      const found = await backups.piece(backup, piece);
      return found === undefined ? {} : { piece: { ...found, bytes: new Uint8Array(found.bytes) } };
    }),
    route(backupEnd, async ({ backup }) => {
      backups.end(backup);
      return {};
    }),
  ];
}
