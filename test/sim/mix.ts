/** One line about what a seed drew: how large, and which bad luck. */
import type { SeedSettings } from "./run-seed.ts";

export function mixOf({ cluster, faults, schedule, workload, operator }: SeedSettings): string {
  const { clients, lanes, operations, durationMs } = workload;
  const times = Object.entries({ ...schedule, ...schedule.drives, operatorMs: operator?.actMs }).flatMap(
    ([name, value]: [string, unknown]) =>
      name.endsWith("Ms") && typeof value === "number" && value > 0
        ? [`${name.replace(/Ms$/, "")} ${(value / 1000).toFixed(1)}`]
        : [],
  );
  const chances = [faults.clock, faults.disk, faults.stream, faults.control, faults.process].flatMap((group) =>
    Object.entries(group).flatMap(([name, value]: [string, unknown]) =>
      typeof value === "number" && value > 0 && !/Ms$|^bytesPerMs$|^lossIsReset$/.test(name)
        ? [`${name} ${Number(value.toPrecision(2))}`]
        : [],
    ),
  );
  return [
    `${cluster.chunkservers} servers, ${cluster.masterDirectories} log directories, ${clients} × ${lanes} clients, ${operations} operations in ${Math.round(durationMs / 1000)} s`,
    `every s: ${times.join(", ") || "nothing"}`,
    `chances: ${chances.join(", ") || "none"}`,
  ].join("; ");
}
