import { confirm } from "../wire/control/namespace.ts";
import { sessionId } from "../wire/ids.ts";
import type { LogRecord } from "../wire/log-records.ts";
import type { MasterContext } from "./context.ts";
import { acceptProofs, type Proof, proofsOf, whyBehind } from "./core/behind.ts";
import { beginServing } from "./core/chunk-apply.ts";
import { wantScan } from "./core/chunk-scan.ts";
import type { ReplyOf, RequestOf } from "./core/decision.ts";
import { confirmDeletions } from "./core/garbage.ts";
import { endSafeMode } from "./core/safe-mode.ts";
import { beginSealing, confirmSeals } from "./sealer.ts";

/**
 * An operator accepts what stopped mutations or deletions, or that the rest of the reports won't come (DESIGN §4.1, §4.5). Handles, sessions and epochs go on above
 * all that volumes have seen, so that nothing of the lost log is ever given out again. Accepted is what the answer names, all that stood when it was decided: what is proved
 * while that becomes durable, or by a retry of the request, stops mutations still.
 */
export async function confirmAll(
  ctx: MasterContext,
  request: RequestOf<typeof confirm>,
): Promise<ReplyOf<typeof confirm>> {
  const { soft, state, engine } = ctx;
  let told: { readonly proofs: readonly Proof[]; readonly entry: number } | undefined;
  const reply = await engine.mutate(confirm, request, (decideNow) => {
    const decided = decideNow(() => {
      const what = toAccept(ctx);
      told = { proofs: proofsOf(soft.behind), entry: soft.highestEntry };
      const records: LogRecord[] = what.length === 0 ? [] : [...raiseRecords(ctx), { kind: "confirmed", what }];
      return { records, reply: { accepted: what } };
    });
    // The next chunk's handle lies above the mark that was raised.
    if (decided.accepted.length > 0) beginServing(state.chunks);
    return decided;
  });
  if (told === undefined || reply.accepted.length === 0) return reply;
  ctx.world.events.emit("warn", "master.confirmed", { accepted: reply.accepted, epoch: state.cluster.epoch?.number });
  soft.acceptedEntry = Math.max(soft.acceptedEntry, told.entry);
  confirmDeletions(soft.garbage);
  acceptProofs(soft.behind, told.proofs);
  soft.mutationsStopped = whyBehind(soft.behind);
  soft.garbage.stopped = soft.mutationsStopped;
  endSafeMode(soft.safeMode);
  confirmSeals(ctx);
  // Their replicas were fenced or sealed by the lost log: no append can go on there.
  for (const handle of soft.higherVersions.keys()) beginSealing(ctx, handle, "it was sealed by a log that is lost");
  for (const volume of state.volumes.byId.values()) volume.reportWanted = true;
  wantScan(soft.scan);
  return reply;
}

function toAccept({ soft }: MasterContext): string[] {
  const accepted: string[] = [];
  for (const { why } of proofsOf(soft.behind)) accepted.push(`mutations go on: ${why}`);
  if (soft.garbage.stopped !== undefined && soft.garbage.stopped !== soft.mutationsStopped)
    accepted.push(`deletions go on: ${soft.garbage.stopped}`);
  if (soft.safeMode.active) accepted.push(`safe mode ends: ${soft.safeMode.reason}`);
  return accepted.map((text) => text.slice(0, 1_024));
}

function raiseRecords(ctx: MasterContext): LogRecord[] {
  const { soft, state, limits, world } = ctx;
  const records: LogRecord[] = [];
  if (soft.highestHandle > state.chunks.handleMark)
    records.push({ kind: "handles-reserved", upTo: soft.highestHandle + limits.handleBatch });
  if (soft.mutationsStopped !== undefined) {
    const upTo = Math.max(state.chunks.handleMark, soft.highestHandle);
    records.push({ kind: "lost-handles-accepted", upTo });
  }
  if (state.sessions.next < soft.sessionFloor) {
    const session = sessionId(soft.sessionFloor);
    records.push({ kind: "session-opened", session, label: "" }, { kind: "session-closed", session });
  }
  const epoch = state.cluster.epoch;
  if (epoch !== undefined && soft.highestEpoch >= epoch.number) {
    const startId = world.random.bytes(8).toHex();
    const next = { number: soft.highestEpoch + 1, startId };
    records.push({ kind: "epoch-begun", epoch: next, wallMs: world.clock.wallMs() });
  }
  return records;
}
