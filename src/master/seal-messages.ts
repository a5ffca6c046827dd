/** Fences and finishes (DESIGN §4.3) on their way to volumes: those of one turn of the event loop go in one message a volume. */
import { fence, type FenceAnswer, finish } from "../wire/control/commands.ts";
import type { ChunkHandle, ChunkVersion } from "../wire/ids.ts";
import { failureOf } from "./commands.ts";
import { inBackground, type MasterContext } from "./context.ts";
import type { VolumeIndex } from "./core/chunk-table.ts";
import type { Failure } from "./core/seal-types.ts";
import { originOf } from "./origin.ts";

export interface FenceItem {
  readonly volume: VolumeIndex;
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
}

export interface FinishItem extends FenceItem {
  readonly length: number;
  readonly crc: number;
}

export type FenceOutcome = { readonly kind: "answered"; readonly answer: FenceAnswer } | Failure;
export type FinishOutcome = { readonly kind: "done" } | Failure;

/** What waits for the end of the turn. */
interface Waiting<Item, Outcome> {
  readonly item: Item;
  readonly settle: (outcome: Outcome | Failure) => void;
}

/** A kind of message of up to `itemsMax` items. */
interface Messages<Item, Outcome> {
  readonly waiting: WeakMap<MasterContext, Map<VolumeIndex, Waiting<Item, Outcome>[]>>;
  /** The outcomes in the order of the items; one that is not there is unknown. @throws as `Commands.send` */
  readonly send: (
    ctx: MasterContext,
    volume: VolumeIndex,
    items: readonly Item[],
  ) => Promise<readonly (Outcome | Failure)[]>;
}

const itemsMax = 512;
const fences: Messages<FenceItem, FenceOutcome> = { waiting: new WeakMap(), send: sendFences };
const finishes: Messages<FinishItem, FinishOutcome> = { waiting: new WeakMap(), send: sendFinishes };

/** Never rejects. */
export function fenceReplica(ctx: MasterContext, item: FenceItem): Promise<FenceOutcome> {
  return enqueue(ctx, fences, item);
}

/** Never rejects. */
export function finishReplica(ctx: MasterContext, item: FinishItem): Promise<FinishOutcome> {
  return enqueue(ctx, finishes, item);
}

function enqueue<Item extends FenceItem, Outcome>(
  ctx: MasterContext,
  messages: Messages<Item, Outcome>,
  item: Item,
): Promise<Outcome | Failure> {
  const { promise, resolve: settle } = Promise.withResolvers<Outcome | Failure>();
  const one = { item, settle };
  const byVolume = messages.waiting.get(ctx) ?? new Map<VolumeIndex, Waiting<Item, Outcome>[]>();
  messages.waiting.set(ctx, byVolume);
  const { volume } = item;
  const others = byVolume.get(volume);
  if (others !== undefined) {
    others.push(one);
    return promise;
  }
  const all = [one];
  byVolume.set(volume, all);
  queueMicrotask(() => {
    byVolume.delete(volume);
    for (let i = 0; i < all.length; i += itemsMax)
      inBackground(ctx, "tell a volume of seals", sendSome(ctx, messages, all.slice(i, i + itemsMax)));
  });
  return promise;
}

/** `some` are of one volume. */
async function sendSome<Item extends FenceItem, Outcome>(
  ctx: MasterContext,
  messages: Messages<Item, Outcome>,
  some: readonly Waiting<Item, Outcome>[],
): Promise<void> {
  const items = some.map(({ item }) => item);
  const [first] = items;
  if (first === undefined) return;
  let outcomes: readonly (Outcome | Failure)[];
  try {
    outcomes = await messages.send(ctx, first.volume, items);
  } catch (error) {
    const failure = failureOf(error);
    outcomes = items.map(() => failure);
  }
  for (const [index, { settle }] of some.entries()) settle(outcomes[index] ?? { kind: "unknown" });
}

async function sendFences(
  ctx: MasterContext,
  volume: VolumeIndex,
  items: readonly FenceItem[],
): Promise<FenceOutcome[]> {
  const body = { items: items.map(({ handle, version }) => ({ handle, version })) };
  const { answers } = await ctx.commands.send(volume, fence, body, ctx.limits.fenceMs);
  return items.map(({ handle }) => {
    const answer = answers.find((each) => each.handle === handle);
    return answer === undefined ? { kind: "unknown" } : { kind: "answered", answer };
  });
}

async function sendFinishes(
  ctx: MasterContext,
  volume: VolumeIndex,
  items: readonly FinishItem[],
): Promise<FinishOutcome[]> {
  const body = {
    items: items.map(({ handle, version, length, crc }) => ({
      handle,
      version,
      length,
      crc,
      origin: originOf(ctx.state, handle),
    })),
  };
  const { results } = await ctx.commands.send(volume, finish, body, ctx.limits.putStallMs);
  return results.map((result) => (result.kind === "ok" ? { kind: "done" } : { kind: "failed", ...result.error }));
}
