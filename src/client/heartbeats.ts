/** A client that lives says so: its sessions and drafts then do not expire (DESIGN §4.1, §4.2). */
import { inTurns } from "../base/in-turns.ts";
import type { Timer } from "../io.ts";
import { clientHeartbeat } from "../wire/control/files.ts";
import { type ClientContext, inBackground } from "./context.ts";

const sessionsMax = 1_024;
const draftsMax = 4_096;

/** The first one after `intervalMs`: a client that is gone by then needs none. Until disposed. */
export function startHeartbeats(ctx: ClientContext, intervalMs: number): Disposable {
  const { world, control, master, label, alive, whereabouts } = ctx;
  const client = world.random.bytes(8).toHex();
  let timer: Timer | undefined;
  let ended = false;
  const beat = async (): Promise<void> => {
    const request = {
      client,
      label,
      sessions: inTurns(alive.sessions, sessionsMax),
      drafts: inTurns(alive.drafts, draftsMax),
      ...whereabouts,
    };
    try {
      await control.call(master, clientHeartbeat, request, { timeoutMs: ctx.limits.controlMs });
    } finally {
      arm();
    }
  };
  const arm = (): void => {
    if (ended) return;
    timer = world.clock.after(intervalMs, () => inBackground(ctx, "send a heartbeat", beat()));
  };
  arm();
  return {
    [Symbol.dispose]: () => {
      ended = true;
      timer?.cancel();
    },
  };
}
