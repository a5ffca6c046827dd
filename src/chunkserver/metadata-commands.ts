/** The copy of the master's metadata on this volume, as the master writes it and a restore reads it (wire/control/metadata.ts). */
import { type Route, route } from "../net/control-server.ts";
import { metadataDrop, metadataFinish, metadataHeld, metadataRead, metadataWrite } from "../wire/control/metadata.ts";
import type { Context } from "./context.ts";
import { obey } from "./obey.ts";

export function metadataRoutes(context: Context): Route[] {
  const { store } = context;
  const { metadata } = store;
  return [
    route(metadataHeld, async () => {
      const { clusterId, epoch } = store;
      return {
        ...(clusterId === undefined ? {} : { clusterId }),
        ...(epoch === undefined ? {} : { epoch }),
        sets: await metadata.held(),
      };
    }),
    route(metadataRead, async ({ set, file, offset, bytes }) => ({
      bytes: new Uint8Array(await metadata.read(set, file, { offset, bytes })),
    })),
    route(metadataWrite, async (request, caller) => {
      await obey(context, request, caller);
      const { file, offset, bytes, last } = request;
      await metadata.write(file, offset, { bytes, last });
      return {};
    }),
    route(metadataFinish, async (request, caller) => {
      await obey(context, request, caller);
      await metadata.finish(request.position, request);
      return {};
    }),
    route(metadataDrop, async (request, caller) => {
      await obey(context, request, caller);
      await metadata.drop(request.to);
      return {};
    }),
  ];
}
