/** Client → master: how evenly the disks are filled (DESIGN §4.5; master/core/balance.ts). It is begun, stopped and paced by `change-settings`. */
import { z } from "zod";
import { Label, message, Nothing, Uint53 } from "./common.ts";

/**
 * off: nothing moves. waiting: for what `why` says. moving. balanced: no disk is further from the mean than allowed. Shares are of the space of a disk, 0 to 1; `bytesLeft` is what has
 * yet to move, at least. `bytesPerSecond`: the limit, 0: none.
 */
export const balanceStatus = message(
  "balance-status",
  Nothing,
  z.object({
    state: z.enum(["off", "waiting", "moving", "balanced"]),
    why: z.string().max(1_024),
    threshold: z.number(),
    bytesPerSecond: z.number(),
    mean: z.number(),
    disks: z.array(z.object({ servers: z.array(Label).max(1_024), share: z.number(), totalBytes: Uint53 })).max(65_536),
    running: Uint53,
    bytesLeft: Uint53,
    moved: Uint53,
    movedBytes: Uint53,
  }),
);
