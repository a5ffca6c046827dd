/** The reading of all that is stored (DESIGN §4.5): how volumes do it, and how far each is. */
import { z } from "zod";
import { Uint53 } from "./common.ts";

/** How a volume reads all that it holds, again and again: once in `everyMs` (0: it does not), at most `bytesPerSecondMax` (0: without a limit). */
export const ScrubTerms = z.object({ everyMs: z.number().min(0), bytesPerSecondMax: z.number().min(0) });
export type ScrubTerms = z.infer<typeof ScrubTerms>;

/**
 * A volume's scrub. `beganMs`, `oldestMs` and `endsMs` are wall clock. `rounds`: finished since the volume was made. Of the round under way `doneBytes` of `totalBytes` are read.
 * `oldestMs`: every replica here was read since, or is newer; absent before the first whole round. `bytesPerSecond`: as it reads now, pauses included; 0: it waits. `chunks`, `bytes`
 * and `corrupt` are since the server's start.
 */
export const ScrubReport = ScrubTerms.extend({
  rounds: Uint53,
  beganMs: z.number(),
  doneBytes: Uint53,
  totalBytes: Uint53,
  oldestMs: z.number().optional(),
  bytesPerSecond: z.number().min(0),
  endsMs: z.number().optional(),
  chunks: Uint53,
  bytes: Uint53,
  corrupt: Uint53,
});
export type ScrubReport = z.infer<typeof ScrubReport>;
