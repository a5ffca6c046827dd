import type { Control } from "../io.ts";
import { ControlClient } from "./control-client.ts";
import { serveControl } from "./control-server.ts";

export function makeHostControl(): Control {
  return { serve: serveControl, channel: (address) => new ControlClient(address) };
}
