/** Client → master: what happened in the cluster, for operators. */
import { z } from "zod";
import { protocol } from "../../limits.ts";
import { ChunkHandle } from "../ids.ts";
import { Label, message, Uint53 } from "./common.ts";

const EventKindName = z.string().min(1).max(64);

/**
 * `number` rises from event to event, with gaps. `atMs`: wall clock of the master. `text` is one line for people. `count`: of a flood, how many of its kind this one
 * stands for; 1 where it is left out.
 */
export const ClusterEvent = z.object({
  number: Uint53,
  atMs: z.number(),
  level: z.enum(["info", "warn", "error"]),
  kind: EventKindName,
  text: z.string().max(1_024),
  count: Uint53.optional(),
  server: Label.optional(),
  chunk: ChunkHandle.optional(),
  path: z
    .string()
    .max(protocol.pathBytesMax + 64)
    .optional(),
  reason: z.string().max(1_024).optional(),
});
export type ClusterEvent = z.infer<typeof ClusterEvent>;

/**
 * Without `after`: the newest `limit` events; with it: those of a higher number, the oldest first. Where there is none, the answer waits up to `waitMs` for one. `kinds`:
 * beginnings of kinds. `sinceMs`: no older than so many milliseconds. `last` is `after` of the next request.
 */
export const events = message(
  "events",
  z.object({
    after: Uint53.optional(),
    sinceMs: z.number().min(0).optional(),
    kinds: z.array(EventKindName).max(64),
    limit: z.int().min(1).max(protocol.eventsMax),
    waitMs: z.int().min(0).max(protocol.eventsWaitMsMax),
  }),
  z.object({ events: z.array(ClusterEvent).max(protocol.eventsMax), last: Uint53 }),
);
