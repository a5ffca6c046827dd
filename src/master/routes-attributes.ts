/** Replicas that files want, and attributes of directories (wire/control/attributes.ts; core/goals.ts, core/attributes.ts). */
import { GfsError } from "../base/errors.ts";
import { type Route, route } from "../net/control-server.ts";
import { goalProgress, setAttribute, setGoal } from "../wire/control/attributes.ts";
import { chunkView, inSlices, type MasterContext, nextTurn, nowMs, requireMutations } from "./context.ts";
import { decideSetAttribute } from "./core/attributes.ts";
import { wantScan } from "./core/chunk-scan.ts";
import { replicasNeeded } from "./core/decide-drafts.ts";
import type { Decision, Now, ReplyOf, RequestOf } from "./core/decision.ts";
import { beginWalk, cursorOf, stepWalk } from "./core/file-walk.ts";
import { countGoals, decideGoals } from "./core/goals.ts";
import { idOfSlot, isDirectory, slotOfId } from "./core/inodes.ts";
import { lookup } from "./core/namespace.ts";
import { allVolumes, isGone } from "./core/volumes.ts";
import { beginSealing } from "./sealer.ts";

type GoalReply = ReplyOf<typeof setGoal>;
type DecideNow = (decide: (now: Now) => Decision<GoalReply>) => GoalReply;

export function attributeRoutes(ctx: MasterContext): Route[] {
  const { engine, state } = ctx;
  return [
    route(setAttribute, async (request) => {
      requireMutations(ctx);
      return engine.mutate(setAttribute, request, (decideNow) => decideNow(() => decideSetAttribute(state, request)));
    }),
    route(setGoal, async (request) => {
      requireMutations(ctx);
      return engine.mutate(setGoal, request, (decideNow) => changeGoals(ctx, request, decideNow));
    }),
    route(goalProgress, async (request) => engine.release(await progressOf(ctx, request))),
  ];
}

/** A batch of the log a step; the last one carries the id. What a crash cuts off, a repetition finds undone. */
async function changeGoals(
  ctx: MasterContext,
  request: RequestOf<typeof setGoal>,
  decideNow: DecideNow,
): Promise<GoalReply> {
  const { state, engine, limits } = ctx;
  const { replicas } = request;
  const top = lookup(state.inodes, request.path, "set the replicas of");
  if (isDirectory(state.inodes, top) && !request.recursive)
    throw new GfsError("IsDirectory", `Cannot set the replicas of ${request.path}: it is a directory`);
  const inode = idOfSlot(state.inodes, top);
  const walk = beginWalk(state.inodes, top, request.cursor);
  const sums = { files: 0, changed: 0, chunks: 0 };
  let endMs = nowMs(ctx) + limits.sliceMs;
  for (;;) {
    const { parts, page } = stepWalk(state.inodes, walk);
    const { records, tails, changed, chunks } = decideGoals(state, parts, replicas);
    sums.files += parts.filter(({ last }) => last).length;
    sums.changed += changed;
    sums.chunks += chunks;
    if (page) {
      const cursor = cursorOf(state.inodes, walk);
      const reply = {
        ...sums,
        minReplicas: replicasNeeded(state, replicas),
        ...(cursor === undefined ? {} : { cursor }),
      };
      const decided = decideNow(() => ({ records, reply }));
      for (const tail of tails) beginSealing(ctx, tail, "another number of replicas is wanted");
      if (sums.changed > 0 || sums.chunks > 0) wantScan(ctx.soft.scan);
      return decided;
    }
    if (records.length > 0) engine.apply(records);
    for (const tail of tails) beginSealing(ctx, tail, "another number of replicas is wanted");
    if (nowMs(ctx) < endMs) continue;
    await nextTurn(ctx);
    requireMutations(ctx);
    // Its place may be another one's by now.
    if (slotOfId(state.inodes, inode) !== top)
      throw new GfsError("NotFound", `Cannot set the replicas of ${request.path}: it was removed meanwhile`);
    endMs = nowMs(ctx) + limits.sliceMs;
  }
}

async function progressOf(
  ctx: MasterContext,
  request: RequestOf<typeof goalProgress>,
): Promise<ReplyOf<typeof goalProgress>> {
  const { state } = ctx;
  const walk = beginWalk(state.inodes, lookup(state.inodes, request.path, "look at the replicas of"), request.cursor);
  const counts = { files: 0, chunks: 0, reached: 0, otherwise: 0, missingBytes: 0 };
  await inSlices(ctx, () => {
    const { parts, page } = stepWalk(state.inodes, walk);
    countGoals({ view: chunkView(ctx), state }, parts, { replicas: request.replicas, counts });
    return page ? "done" : "more";
  });
  const cursor = cursorOf(state.inodes, walk);
  const waitsFor = whyNoRepair(ctx);
  return {
    ...counts,
    servers: allVolumes(state.volumes).filter((volume) => !isGone(volume) && volume.mark === "none").length,
    ...(waitsFor === undefined ? {} : { waitsFor: waitsFor.slice(0, 512) }),
    ...(cursor === undefined ? {} : { cursor }),
  };
}

function whyNoRepair({ soft }: MasterContext): string | undefined {
  if (soft.mutationsStopped !== undefined) return `the master is stopped: ${soft.mutationsStopped}`;
  if (soft.safeMode.active) return `safe mode: ${soft.safeMode.reason}`;
  return soft.repair.blocked === "" ? undefined : `repair waits: ${soft.repair.blocked}`;
}
