/** What the benchmark's sections give: one row a figure. */

export interface Row {
  readonly work: string;
  readonly value: number;
  readonly unit: string;
  /** The figure against a limit of the same run, in words. */
  readonly ratio?: string;
  /** The bar that it should reach; empty for a figure that is only told. */
  readonly reach: string;
  readonly ok: boolean;
}

/** How often each figure is measured; the median counts. */
export const runs = Number(process.env["RUNS"] ?? 3);

export const mib = 1_048_576;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Figures by name, one more with each run. */
export class Samples {
  readonly #values = new Map<string, number[]>();

  note(name: string, value: number): void {
    const values = this.#values.get(name);
    if (values === undefined) this.#values.set(name, [value]);
    else values.push(value);
    if (process.env["VERBOSE"] !== undefined) process.stderr.write(`  ${name}: ${value.toFixed(1)}\n`);
  }

  of(name: string): number {
    return median(this.#values.get(name) ?? []);
  }
}

/** A limit of this machine, or a figure without a bar. */
export function told(work: string, value: number, unit: string): Row {
  return { work, value, unit, reach: "", ok: true };
}

export function atLeast(work: string, value: number, unit: string, bar: number): Row {
  return { work, value, unit, reach: `>= ${bar}`, ok: value >= bar };
}

export function atMost(work: string, value: number, unit: string, bar: number): Row {
  return { work, value, unit, reach: `<= ${bar}`, ok: value <= bar };
}

/** At least `percent` of another figure of the same run. */
export function shareOf(
  work: string,
  value: number,
  unit: string,
  whole: { readonly name: string; readonly value: number; readonly percent: number },
): Row {
  const share = (100 * value) / whole.value;
  const ratio = `${share.toFixed(0)} % of ${whole.name}`;
  return { work, value, unit, ratio, reach: `>= ${whole.percent} %`, ok: share >= whole.percent };
}

export function formatRow({ work, value, unit, ratio = "", reach, ok }: Row): string {
  const mark = reach === "" ? " " : ok ? "✓" : "✗";
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${mark} ${work.padEnd(46)} ${value.toFixed(digits).padStart(9)} ${unit.padEnd(6)} ${ratio.padEnd(24)} ${reach}`.trimEnd();
}
