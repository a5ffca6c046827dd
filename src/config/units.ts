const sizeUnits: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1e3,
  kb: 1e3,
  kib: 1_024,
  m: 1e6,
  mb: 1e6,
  mib: 1_048_576,
  g: 1e9,
  gb: 1e9,
  gib: 1_073_741_824,
  t: 1e12,
  tb: 1e12,
  tib: 1_099_511_627_776,
};

/** `64MB` (decimal), `64MiB` (binary) or plain bytes, as a whole number of bytes; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-zA-Z]*)$/.exec(text.trim());
  const unit = sizeUnits[(match?.[2] ?? "?").toLowerCase()];
  if (match === null || unit === undefined) return undefined;
  const bytes = Math.round(Number(match[1]) * unit);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** For people: three significant digits, decimal units: `1.21 GB`, `512 B`. */
export function formatSize(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  let value = bytes;
  let unit = "B";
  for (const next of ["kB", "MB", "GB", "TB", "PB"]) {
    if (Number(value.toPrecision(3)) < 1_000) break;
    value /= 1_000;
    unit = next;
  }
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit}`;
}

/** `1 chunk`, `2 chunks`; `several` for what does not end so. */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${count} ${count === 1 ? one : several}`;
}

/** `is` or `are`, `has` or `have`, for so many. */
export const are = (count: number): string => (count === 1 ? "is" : "are");
export const have = (count: number): string => (count === 1 ? "has" : "have");

/** `3.2 s`, `40 s`, `2 min 5 s`, `1 h 12 min`. */
export function formatDuration(ms: number): string {
  if (ms < 10_000) return `${(Math.max(0, ms) / 1_000).toFixed(1)} s`;
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3_600)} h`;
}

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, min: 60e3, h: 3_600e3, d: 86_400e3 };

/** `30s`, `10m` or `10min`, `1.5h`, `7d`, or plain seconds, as milliseconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(text.trim());
  const unit = match?.[2] === "" ? 1e3 : durationUnits[match?.[2] ?? "?"];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}

/** `X,Y`: two finite numbers. */
export function parseLocation(text: string): { x: number; y: number } | undefined {
  const match = /^\s*([^,\s]+)\s*,\s*([^,\s]+)\s*$/.exec(text);
  const x = Number(match?.[1] ?? Number.NaN);
  const y = Number(match?.[2] ?? Number.NaN);
  return Number.isFinite(x) && Number.isFinite(y) ? { x, y } : undefined;
}
