/** How far a copy of the log is behind it (DESIGN §4.1): by the time since something came that it lacks, not by the age of what it has. */

export interface CopyLag {
  /** The last moment at which it had all that was durable (monotonic); undefined: there was none since the master's start. */
  completeMs: number | undefined;
}

/** Ends of the copy and of what is durable of the log, in entries. */
export interface CopyReach {
  readonly position: number;
  readonly durable: number;
}

/** The copy has all that was durable at `sinceMs`: what it may lack came later. */
export function copiedAllOf(lag: CopyLag, sinceMs: number): void {
  lag.completeMs = Math.max(lag.completeMs ?? sinceMs, sinceMs);
}

/** To be called often: what comes after a look that found nothing missing is not older than that look, however long the log has rested. */
export function lookAtCopy(lag: CopyLag, reach: CopyReach, nowMs: number): void {
  if (lag.completeMs !== undefined && reach.position >= reach.durable) lag.completeMs = nowMs;
}

/** Milliseconds since it may lack something; 0 while it has everything; undefined while it was never complete. */
export function behindMs(lag: CopyLag, reach: CopyReach, nowMs: number): number | undefined {
  if (lag.completeMs === undefined) return undefined;
  return reach.position >= reach.durable ? 0 : nowMs - lag.completeMs;
}
