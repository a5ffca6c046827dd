/** Liveness of a volume, by its heartbeats (DESIGN §4.5): pure transitions. */
import { unreachable } from "../../base/assert.ts";
import type { Limits } from "../../limits.ts";

/** live: chosen for everything. suspect: read from, not chosen for new chunks. dead: its replicas don't count. retired: for good, by its own word. */
export type Liveness = "live" | "suspect" | "dead" | "retired";

export type LivenessEvent =
  { readonly kind: "heartbeat" } | { readonly kind: "silent"; readonly sinceMs: number } | { readonly kind: "retired" };

export type LivenessLimits = Pick<Limits, "heartbeatMs" | "suspectHeartbeats" | "deadHeartbeats">;

/** `sinceMs`: since the last heartbeat. Exactly at a bound counts as missed. Silence never makes a volume more alive; a retired one stays so. */
export function nextLiveness(current: Liveness, event: LivenessEvent, limits: LivenessLimits): Liveness {
  if (current === "retired") return "retired";
  switch (event.kind) {
    case "heartbeat":
      return "live";
    case "retired":
      return "retired";
    case "silent":
      if (current === "dead" || event.sinceMs >= limits.deadHeartbeats * limits.heartbeatMs) return "dead";
      if (current === "suspect" || event.sinceMs >= limits.suspectHeartbeats * limits.heartbeatMs) return "suspect";
      return current;
    default:
      return unreachable(event);
  }
}
