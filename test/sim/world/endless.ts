/** A run that would not come to an end is a broken promise (P6), not a harness that hangs. */
export class Endless extends Error {
  override readonly name = "Endless";
}

export interface RunBounds {
  /** Events of one simulation: a seed of the standard mix has about 150 000. */
  readonly events: number;
  /** Looks at the clock within one event: a loop that never waits looks at it for ever, and nothing else happens any more. */
  readonly clockReadings: number;
}

export const runBounds: RunBounds = { events: 20_000_000, clockReadings: 1_000_000 };
