/**
 * Servers that are taken away: drained, and either kept after all or, once they are said to be safe to stop, killed and their disk thrown away for ever, with a new
 * empty server in their place. The faults go on meanwhile, also on the server itself.
 *
 * Safe means that as many copies as are wanted, two at least, lie on other servers, and no tail is open here. So it may be thrown away beside any other fault, one
 * lost disk or one server whose replicas have rotted unread included, and several may be drained at a time: each counts on none of the others. What is said is
 * believed at once only: an answer from before other faults may have been taken back.
 */
import { asGfsError } from "../../src/base/errors.ts";
import type { DrainReport } from "../../src/wire/control/drains.ts";
import { type Stage, withOne } from "./faults.ts";
import { type Act, count, liveVolume, noteRefusal, operate, type Operator } from "./operator.ts";

const lookMs = 300;
/** From the end of the faults until a drain has ended, or said why it can't. */
const endMsMax = 150_000;
/** What is said for a moment, while the last copies are counted, means nothing. */
const stuckMs = 10_000;
/** Of five servers three are left then, enough for the usual number of copies. */
const drainsMax = 2;

export const drains: readonly Act[] = [
  { name: "drain and undrain", weight: 2, make: (stage, operator) => drain(stage, operator, cancelled) },
  { name: "drain and destroy", weight: 4, make: (stage, operator) => drain(stage, operator, destroyed) },
];

interface Draining {
  readonly stage: Stage;
  readonly operator: Operator;
  readonly name: string;
  readonly volume: string;
}

/** What becomes of a drain that has begun; true where it came to that. */
type End = (draining: Draining) => Promise<boolean>;

async function drain(stage: Stage, operator: Operator, end: End): Promise<boolean> {
  const keys = stage.cluster.servers.map(({ name }) => `drain ${name}`);
  const others = keys.filter((key) => stage.busy.has(key)).length;
  // Two at once can often not be relieved, where four copies are wanted.
  if (others >= drainsMax || (others > 0 && stage.prng.chance(0.7))) return false;
  let ended = false;
  await withOne(stage, keys, async (key) => {
    const name = key.slice("drain ".length);
    const volume = await liveVolume(stage, name);
    if (volume === undefined) return;
    const draining = { stage, operator, name, volume };
    const begun = await operate(stage, operator, ["drain", volume]);
    ended = begun && (await end(draining));
    // One that was refused may have been begun all the same.
    if (!ended) await insist(draining, "undrain");
  });
  return ended;
}

async function cancelled(draining: Draining): Promise<boolean> {
  const { stage } = draining;
  await stage.rest(stage.prng.fraction() ** 2 * 15_000);
  await insist(draining, "undrain");
  return true;
}

async function destroyed(draining: Draining): Promise<boolean> {
  const { stage, operator, name, volume } = draining;
  let overMs: number | undefined;
  let movedMs = performance.now();
  let report: DrainReport | undefined;
  while (overMs === undefined || performance.now() - overMs < endMsMax) {
    await Bun.sleep(lookMs);
    if (stage.isOver()) overMs ??= movedMs = performance.now();
    report = await look(draining);
    if (report?.state !== "stuck") movedMs = performance.now();
    if (report?.state === "safe" && (await destroy(draining))) {
      await insist(draining, "decommission");
      return true;
    }
    if (overMs !== undefined && performance.now() - movedMs > stuckMs) {
      operator.say(`${name} can't be drained: ${report?.why}`);
      count(operator.figures.refusedActs, "drain stuck");
      return false;
    }
  }
  stage.broken(
    `${name} (${volume}) is not drained ${endMsMax} ms after all faults were over: ${JSON.stringify(report)}`,
  );
  return false;
}

/** At the very word that it is safe. False where it has been taken back. */
async function destroy(draining: Draining): Promise<boolean> {
  const { stage, operator, name, volume } = draining;
  const { busy, cluster } = stage;
  while (busy.has(name)) await Bun.sleep(50);
  busy.add(name);
  try {
    if ((await look(draining))?.state !== "safe") return false;
    const server = cluster.servers.find((one) => one.name === name)!;
    await server.kill();
    cluster.replaceDisk(name);
    server.start();
    operator.say(`${name} was drained, and destroyed with its disk (${volume})`);
    return true;
  } finally {
    busy.delete(name);
  }
}

/** Until it is done; what it is refused with first is counted. */
async function insist({ stage, operator, volume }: Draining, verb: "undrain" | "decommission"): Promise<void> {
  let overMs: number | undefined;
  let first = true;
  for (;;) {
    try {
      await stage.cluster.operate([verb, volume]);
      return;
    } catch (error) {
      if (first) noteRefusal(stage, operator, [verb], error);
      first = false;
      if (stage.isOver()) overMs ??= performance.now();
      if (overMs !== undefined && performance.now() - overMs > endMsMax)
        return stage.broken(
          `gfs ${verb} ${volume} is still refused after all faults were over: ${asGfsError(error).message}`,
        );
      await Bun.sleep(1_000);
    }
  }
}

/** Undefined while the master is away. */
async function look({ stage, volume }: Draining): Promise<DrainReport | undefined> {
  try {
    await using client = await stage.cluster.connect();
    return (await client.operator.drains(volume))[0];
  } catch {
    return undefined;
  }
}
