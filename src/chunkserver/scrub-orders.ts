/** What operators order to be read at once (DESIGN §4.5): one replica after the other, whoever orders it, at a rate of its own. */
import { hasCode } from "../base/errors.ts";
import { type Route, route } from "../net/control-server.ts";
import { sleep } from "../net/deadline.ts";
import type { RequestOf } from "../wire/control/common.ts";
import type { ScrubTerms } from "../wire/control/scrub.ts";
import { type VerifyResult, verifyReplicas } from "../wire/control/scrub-orders.ts";
import { obey } from "./obey.ts";
import type { Context } from "./context.ts";
import { Pacer } from "./pacer.ts";
import { awaitsFinish } from "./read-stream.ts";
import { KeyedLock } from "./store/keyed-lock.ts";

/** Of the scrub's own limit, while nobody else is served. */
const factor = 4;
/** Somebody waits for it: the largest chunk is read in half a minute, and others notice little all the same. */
const leastPerMs = 50_000;

/** Between two looks whether the master has heard. */
const lookMs = 20;

type Item = RequestOf<typeof verifyReplicas>["items"][number];

export interface ScrubOrderOptions {
  /** Somebody is served. */
  readonly busy: () => boolean;
  readonly terms: () => ScrubTerms;
  /** A replica was read to its end: for what is told of the scrub. */
  readonly onRead: (bytes: number, corrupt: boolean) => void;
  /** The master should hear of what is bad. */
  readonly onBad: () => void;
}

export function scrubRoutes(context: Context, { busy, terms, onRead, onBad }: ScrubOrderOptions): Route[] {
  const { store, world, stopping, limits } = context;
  const turns = new KeyedLock();
  const pacer = new Pacer(world.clock, stopping);
  const perMs = (): number => {
    const limit = terms().bytesPerSecondMax / 1_000;
    if (limit === 0) return busy() ? leastPerMs : Number.POSITIVE_INFINITY;
    return Math.max(leastPerMs, busy() ? limit : factor * limit);
  };

  const verifyOne = async ({ handle, version }: Item, untilMs: number): Promise<VerifyResult> => {
    const held = store.replica(handle);
    if (held !== undefined && awaitsFinish(held, version)) return "unsettled";
    if (held?.dataVersion !== version) return "missing";
    const leftMs = untilMs - world.clock.monotonicMs();
    if (leftMs <= 0) return "unsettled";
    const late = new AbortController();
    const timer = world.clock.after(leftMs, () => late.abort());
    try {
      const pace = (bytes: number): Promise<void> => pacer.take(bytes, perMs());
      const verdict = await store.verifyReplica(handle, { signal: late.signal, pace });
      // One that was known to be corrupt is not found once more.
      if (verdict !== "missing" && held.state !== "corrupt") onRead(held.length, verdict === "corrupt");
      return verdict === "missing" && store.replica(handle)?.state === "corrupt" ? "gone" : verdict;
    } catch (thrown) {
      if (late.signal.aborted && hasCode(thrown, "Interrupted")) return "unsettled";
      throw thrown;
    } finally {
      timer.cancel();
    }
  };

  /** Whoever gets the answer finds it in the master's tables as well. `orderUntilMs`: after it the caller waits `controlMs` for the answer, which needs a part of that itself. */
  const heard = async (items: readonly Item[], orderUntilMs: number): Promise<void> => {
    const handles = new Set(items.map(({ handle }) => handle));
    const untilMs = Math.min(world.clock.monotonicMs() + limits.controlMs, orderUntilMs + limits.controlMs / 2);
    onBad();
    while (world.clock.monotonicMs() < untilMs && store.bad().some(({ handle }) => handles.has(handle)))
      await sleep(world.clock, lookMs, stopping);
  };

  return [
    route(verifyReplicas, async (request, caller) => {
      await obey(context, request, caller);
      const untilMs = world.clock.monotonicMs() + request.withinMs;
      const results: VerifyResult[] = [];
      for (const item of request.items) results.push(await turns.run(0, () => verifyOne(item, untilMs)));
      if (results.some((result) => result === "corrupt" || result === "gone")) await heard(request.items, untilMs);
      return { results };
    }),
  ];
}
