/** The package: a client in the real world. The one place besides `cmd` where a role and the host meet. */
import { type ConnectOptions as ClientOptions, GfsClient as Client } from "./client/gfs-client.ts";
import { makeHostWorld } from "./host/world.ts";
import type { World } from "./io.ts";

export interface ConnectOptions extends ClientOptions {
  /** Where it runs; this machine where left out. */
  readonly world?: World | undefined;
}

export type GfsClient = Client;
export const GfsClient = {
  /** A client that has reached the master. To be closed: `await using`. @throws GfsError */
  connect({ world, ...options }: ConnectOptions): Promise<Client> {
    return Client.connect(world ?? makeHostWorld({ logLevel: "error", logFormat: "text" }), options);
  },
};
