/**
 * When all chunks will have their replicas (promise P7): by the rate at which repair has copied of late, and only by that. Nothing is said where nothing was copied: a number
 * without ground is worse than none.
 */

interface Sample {
  readonly atMs: number;
  /** Copied, since the start of the master. */
  readonly chunks: number;
  readonly bytes: number;
}

/** Oldest first; none from before something was missing. */
export interface RepairRate {
  samples: Sample[];
}

/** The rate is that of the last so many milliseconds. */
const windowMs = 120_000;
/** Before so much time has passed a rate is chance. */
const leastMs = 2_000;

export function createRepairRate(): RepairRate {
  return { samples: [] };
}

/** After each round over the chunk table. `missing`: chunks that are short. */
export function noteRepairs(rate: RepairRate, sample: Sample, missing: number): void {
  if (missing === 0) {
    rate.samples = [];
    return;
  }
  rate.samples.push(sample);
  // The newest of those that are too old is where the window begins.
  const from = rate.samples.findLastIndex(({ atMs }) => atMs <= sample.atMs - windowMs);
  if (from > 0) rate.samples = rate.samples.slice(from);
}

/**
 * Milliseconds until what was missing at the last round is copied, as of now; undefined where nothing tells. Of bytes and chunks what takes longer: small chunks take their time whatever they hold.
 */
export function estimateMs(
  rate: RepairRate,
  missing: { readonly chunks: number; readonly bytes: number },
  now: Sample,
): number | undefined {
  const [first] = rate.samples;
  if (first === undefined || now.atMs - first.atMs < leastMs) return undefined;
  const perChunk = (now.atMs - first.atMs) / (now.chunks - first.chunks);
  const perByte = (now.atMs - first.atMs) / (now.bytes - first.bytes);
  const last = rate.samples.at(-1) ?? first;
  const chunks = missing.chunks - (now.chunks - last.chunks);
  const bytes = missing.bytes - (now.bytes - last.bytes);
  const needs = [...(chunks > 0 ? [chunks * perChunk] : []), ...(bytes > 0 ? [bytes * perByte] : [])];
  const longest = Math.max(0, ...needs);
  return Number.isFinite(longest) ? Math.round(longest) : undefined;
}
