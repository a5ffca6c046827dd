/** Client → master: repair and safe mode, for operators (DESIGN §4.5). */
import { z } from "zod";
import { protocol } from "../../limits.ts";
import { ChunkHandle } from "../ids.ts";
import { Label, message, Nothing, Uint32, Uint53 } from "./common.ts";

const Reason = z.string().max(1_024);

/** One copy under way. `copied`: absent where its target did not answer. */
export const CloneStatus = z.object({
  handle: ChunkHandle,
  path: z.string().max(protocol.pathBytesMax + 64),
  source: Label,
  target: Label,
  bytes: Uint32,
  copied: Uint32.optional(),
  runningMs: z.number(),
  reason: z.enum(["short", "moving", "misplaced", "balance"]),
});
export type CloneStatus = z.infer<typeof CloneStatus>;

/**
 * How far repair is. `short`: chunks with fewer copies than wanted, `oneLeft` those of them with a single one, `misplaced` those that crowd a rack, as of the last round over all
 * chunks; `missingBytes`: of all copies that are wanted. `rate`: bytes copied a second, lately. `estimateMs`: until all is copied; `noEstimate`: why nobody can say. `held`: why
 * nothing is begun; `blocked`: why the first in the queue can't be helped. Limits of rates in bytes per second, 0: none.
 */
export const repairStatus = message(
  "repair-status",
  Nothing,
  z.object({
    short: Uint53,
    oneLeft: Uint53,
    lost: Uint53,
    misplaced: Uint53,
    missingBytes: Uint53,
    running: z.array(CloneStatus).max(1_024),
    runningCount: Uint53,
    done: Uint53,
    doneBytes: Uint53,
    rate: z.number(),
    estimateMs: z.number().optional(),
    noEstimate: Reason.optional(),
    held: Reason.optional(),
    blocked: Reason.optional(),
    limits: z.object({ streams: Uint53, streamsPerServer: Uint53, rate: Uint53, serverRate: Uint53 }),
  }),
);

/** Servers that were lost at once won't be back: repair goes on without them. `held`: why it did not; absent: it was not held. */
export const repairResume = message("repair-resume", Nothing, z.object({ held: Reason.optional() }));

/** The rest of the reports won't come: safe mode ends. `waitedFor`: what it was waiting for; absent: it was over. */
export const safeModeLeave = message("safe-mode-leave", Nothing, z.object({ waitedFor: Reason.optional() }));
