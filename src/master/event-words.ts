/** An event of the master's own, as operators read it: in words, with the names that people know (DESIGN §6). */
import type { EventFields, EventLevel } from "../io.ts";
import { protocol } from "../limits.ts";
import type { ClusterEvent } from "../wire/control/events.ts";
import { chunkHandle } from "../wire/ids.ts";
import type { MasterContext } from "./context.ts";
import { findChunk } from "./core/chunk-table.ts";
import type { EventKind, Told } from "./core/event-kinds.ts";
import { allVolumes } from "./core/volumes.ts";
import { pathOfChunk } from "./locating.ts";

export interface Emitted {
  readonly atMs: number;
  readonly level: EventLevel;
  readonly kind: string;
  readonly fields: EventFields;
}

const textCharsMax = 1_024;

/** `count`: of a flood, for how many it stands. `ctx`: undefined while the master starts, when nobody has names yet. */
export function inWords(
  { kind, level, atMs, fields }: Emitted,
  { text }: EventKind,
  of: { readonly number: number; readonly count: number; readonly ctx: MasterContext | undefined },
): ClusterEvent {
  const { number, count, ctx } = of;
  const server = serverOf(ctx, fields);
  const chunk = typeof fields["chunk"] === "number" ? chunkHandle(fields["chunk"]) : undefined;
  const path = ctx === undefined || chunk === undefined ? undefined : pathOf(ctx, chunk);
  const reason = reasonOf(fields);
  const told: Told = {
    fields,
    server: server ?? "a server",
    chunk: chunk === undefined ? "a chunk" : `chunk ${chunk}${path === undefined ? "" : ` of ${path}`}`,
    because: reason === undefined ? "" : `: ${reason}`,
  };
  const words = text(told);
  return {
    number,
    atMs,
    level: level === "debug" ? "info" : level,
    kind,
    text: cut(count === 1 ? words : `${count} more of ${kind}, the last: ${words}`, textCharsMax),
    ...(count === 1 ? {} : { count }),
    ...(server === undefined ? {} : { server: cut(server, protocol.labelBytesMax) }),
    ...(chunk === undefined ? {} : { chunk }),
    ...(path === undefined ? {} : { path }),
    ...(reason === undefined ? {} : { reason: cut(reason, textCharsMax) }),
  };
}

/** Named by its label, its volume's id, or its place in the master's table (`target`). */
function serverOf(ctx: MasterContext | undefined, fields: EventFields): string | undefined {
  const { label, volume: id, target } = fields;
  if (typeof label === "string" && label !== "") return label;
  const volume =
    typeof target === "number"
      ? ctx?.state.volumes.byIndex[target]
      : typeof id === "string"
        ? ctx && allVolumes(ctx.state.volumes).find((each) => each.volume === id)
        : undefined;
  if (volume === undefined) return typeof id === "string" ? id : undefined;
  return volume.label === "" ? volume.volume : volume.label;
}

/** Undefined for a chunk of no file (yet). */
function pathOf(ctx: MasterContext, handle: ReturnType<typeof chunkHandle>): string | undefined {
  const owner = findChunk(ctx.state.chunks, handle)?.owner;
  return owner?.kind === "inode" ? pathOfChunk(ctx, owner.inode) : undefined;
}

/** `why` goes before: beside it `reason` is one word of a few. */
function reasonOf({ why, reason }: EventFields): string | undefined {
  const text = why ?? reason;
  return typeof text === "string" && text !== "" ? text : undefined;
}

function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}
