/** Rare branches, by the events that production code tells anyway: what a campaign never reached, it has not tested. */
import type { SimEvent } from "./world/sim-events.ts";

interface Mark {
  readonly name: string;
  /** The only event that may reach it. */
  readonly event: string;
  readonly reached: (event: SimEvent) => boolean;
}

const says = (event: SimEvent, field: string, text: RegExp): boolean => text.test(String(event.fields[field] ?? ""));

/** An event of this name, and if told, a field that says so. */
function on(name: string, event: string, field?: string, text?: RegExp): Mark {
  return {
    name,
    event,
    reached: (one) => field === undefined || text === undefined || says(one, field, text),
  };
}

const marks: readonly Mark[] = [
  on("torn log tail cut", "log.torn"),
  on("log directory failed", "log.directory-failed"),
  on("log directory restored", "log.restored"),
  on("log failed", "log.failed"),
  on("checkpoint of the master", "checkpoint.done"),
  on("checkpoint failed", "checkpoint.failed"),
  on("checkpoint of a volume", "volume.checkpoint"),
  on("volume retired", "volume.retired"),
  on("replica found corrupt", "replica.bad", "reason", /corrupt/),
  on("replica found missing", "replica.bad", "reason", /missing/),
  on("read went on elsewhere", "read.replica-failed"),
  on("read sent to a second server", "read.hedged"),
  on("put went on elsewhere", "put.chain-failed"),
  on("copy went on elsewhere", "copy.source-failed"),
  on("append under its id again", "append.retry"),
  on("retry answered from memory", "mutation.repeated"),
  on("fence", "mutation.FENCE"),
  on("fence during append", "mutation.ROLLBACK", "reason", /fence/i),
  on("tail fetched", "mutation.FETCH"),
  {
    name: "lone seal",
    event: "seal.done",
    reached: ({ fields }) => Array.isArray(fields["members"]) && fields["members"].length === 1,
  },
  on("seal at nothing", "seal.done", "length", /^0$/),
  on("role lost by a restart", "seal.begin", "reason", /restarted/),
  on("open refused", "seal.begin", "reason", /could not be opened/),
  on("safe mode left", "safe-mode.left"),
  on("replica deleted", "replicas.deleted"),
  on("draft expired", "draft.expired"),
  on("session expired", "session.expired"),
  on("master unreachable", "master.unreachable"),
  on("report failed", "report.failed"),
  on("repair", "repair.healed"),
  on("repair failed", "repair.failed"),
  on("moved by balance", "balance.healed"),
  on("scrub ordered", "scrub.ordered"),
  on("data refused", "data.refused"),
];

const marksOf = Map.groupBy(marks, ({ event }) => event);

/** Which branches a run has reached, and how often. */
export class Marks {
  readonly counts = new Map<string, number>();

  see(event: SimEvent): void {
    for (const { name, reached } of marksOf.get(event.name) ?? [])
      if (reached(event)) this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }
}

export function neverReached(reached: ReadonlyMap<string, number>): string[] {
  return marks.flatMap(({ name }) => (reached.has(name) ? [] : [name]));
}
