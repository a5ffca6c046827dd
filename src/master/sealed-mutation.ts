import type { z } from "zod";
import type { MessageType, MutationId } from "../wire/control/common.ts";
import { type MasterContext, requireMutations } from "./context.ts";
import type { Decision, Now } from "./core/decision.ts";
import { displacedInode, type DisplacingMutation } from "./core/displaced.ts";
import { withSealedTails } from "./tail-service.ts";

/**
 * A client's mutation that may take files away, exactly once: tails of what it displaces are sealed first, and none is opened until it is durable (DESIGN §4.3).
 *
 * @throws GfsError("MutationsStopped"), those of `Engine.mutate` and `withSealedTails`, and what `decide` throws
 */
export function mutateSealed<Reply extends z.ZodType>(
  ctx: MasterContext,
  message: MessageType<z.ZodType, Reply>,
  request: { readonly id: MutationId },
  mutation: {
    readonly why: string;
    readonly displacing: DisplacingMutation;
    readonly decide: (now: Now) => Decision<z.infer<Reply>>;
  },
): Promise<z.infer<Reply>> {
  requireMutations(ctx);
  const { why, displacing, decide } = mutation;
  const displaced = () => displacedInode(ctx.state, displacing);
  return ctx.engine.mutate(message, request, (decideNow) =>
    withSealedTails(ctx, { why, displaced, decide }, decideNow),
  );
}
