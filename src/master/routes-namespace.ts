/** What clients ask about paths, the trash and the cluster (wire/control/namespace.ts). */
import { utf8 } from "../base/bytes.ts";
import { GfsError } from "../base/errors.ts";
import { type Route, route } from "../net/control-server.ts";
import {
  confirm,
  fsck,
  list,
  mkdir,
  move,
  remove,
  space,
  stat,
  status,
  trashList,
  trashPurge,
  trashRestore,
  usage,
} from "../wire/control/namespace.ts";
import { formatPath, parsePath } from "../wire/path.ts";
import { confirmAll } from "./confirm.ts";
import { inSlices, type MasterContext, nextTurn, requireMutations } from "./context.ts";
import { inheritedAt } from "./core/attributes.ts";
import { childCount } from "./core/children.ts";
import { decideMkdir } from "./core/decide-files.ts";
import { decideMove, decideRemove } from "./core/decide-namespace.ts";
import { decideTrashPurge, decideTrashRestore, listTrash, sumTrash } from "./core/decide-trash.ts";
import type { ReplyOf, RequestOf } from "./core/decision.ts";
import { isDirectory, isFile } from "./core/inodes.ts";
import { listChildren, lookup } from "./core/namespace.ts";
import { trashTotals } from "./core/trash.ts";
import { checkPage } from "./fsck.ts";
import { statExtents } from "./locating.ts";
import { spaceOf, statusOf, type StatusSources } from "./status.ts";
import { mutateSealed } from "./sealed-mutation.ts";
import { contentWithTail, entryWithTail, usageWithTails } from "./tail-bytes.ts";

/** Trash entries purged at one moment. */
const purgeSlice = 512;

export function namespaceRoutes(ctx: MasterContext, sources: StatusSources): Route[] {
  const { engine, state } = ctx;
  return [
    route(mkdir, async (request) => {
      requireMutations(ctx);
      return engine.mutate(mkdir, request, (decideNow) => decideNow((now) => decideMkdir(state, request, now)));
    }),
    route(move, async (request) =>
      mutateSealed(ctx, move, request, {
        why: `move ${request.from} to ${request.to}`,
        displacing: { kind: "move", ...request },
        decide: (now) => decideMove(state, request, now),
      }),
    ),
    route(remove, async (request) =>
      mutateSealed(ctx, remove, request, {
        why: `remove ${request.path}`,
        displacing: { kind: "remove", ...request },
        decide: (now) => decideRemove(state, request, now),
      }),
    ),
    route(list, async (request) => engine.read(() => listPage(ctx, request))),
    route(stat, async (request) => engine.read(() => statOf(ctx, request))),
    route(usage, async (request) => engine.release(await usageAt(ctx, request))),
    route(status, async () => engine.read(() => statusOf(ctx, sources))),
    route(space, async () => engine.read(() => spaceOf(ctx))),
    route(fsck, async (request) => engine.release(await checkPage(ctx, request))),
    route(trashList, async (request) =>
      engine.read((now) => {
        const { entries, cursor } = listTrash(state, request, now);
        return { entries, ...(cursor === undefined ? {} : { cursor }) };
      }),
    ),
    route(trashRestore, async (request) => {
      requireMutations(ctx);
      return engine.mutate(trashRestore, request, (decideNow) =>
        decideNow((now) => decideTrashRestore(state, request, now)),
      );
    }),
    route(trashPurge, async (request) => purgeTrash(ctx, request)),
    route(confirm, async (request) => confirmAll(ctx, request)),
  ];
}

function listPage(ctx: MasterContext, request: RequestOf<typeof list>): ReplyOf<typeof list> {
  const { inodes } = ctx.state;
  const slot = lookup(inodes, request.path, "list");
  if (isFile(inodes, slot)) return { kind: "file", entries: [entryWithTail(ctx, slot)] };
  const { slots, cursor } = listChildren(inodes, slot, request);
  const entries = slots.map((child) => entryWithTail(ctx, child));
  return { kind: "directory", entries, ...(cursor === undefined ? {} : { cursor }) };
}

function statOf(ctx: MasterContext, request: RequestOf<typeof stat>): ReplyOf<typeof stat> {
  const { inodes } = ctx.state;
  const slot = lookup(inodes, request.path, "stat");
  const entry = entryWithTail(ctx, slot);
  const path = formatPath(parsePath(request.path));
  if (isDirectory(inodes, slot))
    return {
      entry,
      path,
      children: childCount(inodes, slot),
      inherited: inheritedAt(ctx.state, slot),
      extentCount: 0,
      extents: [],
    };
  const { chunks } = contentWithTail(ctx, slot);
  return { entry, path, extentCount: chunks, extents: statExtents(ctx, slot, request) };
}

/** What `du` says, with what the trash holds of there where that is asked for. */
async function usageAt(ctx: MasterContext, request: RequestOf<typeof usage>): Promise<ReplyOf<typeof usage>> {
  const { state } = ctx;
  const found = (): ReplyOf<typeof usage> => usageWithTails(ctx, lookup(state.inodes, request.path, "sum up"));
  if (request.trash !== true) return found();
  found();
  const names = parsePath(request.path);
  if (names.length === 0) return { ...found(), trash: trashTotals(state.inodes) };
  const path = utf8(formatPath(names));
  const trash = { entries: 0, bytes: 0, storedBytes: 0 };
  let cursor: string | undefined;
  await inSlices(ctx, () => {
    const sums = sumTrash(state, { path, cursor, max: purgeSlice });
    trash.entries += sums.entries;
    trash.bytes += sums.bytes;
    trash.storedBytes += sums.storedBytes;
    ({ cursor } = sums);
    return cursor === undefined ? "done" : "more";
  });
  return { ...found(), trash };
}

/** All that was removed up to now, in slices; the last one carries the id. @throws GfsError("NotFound") where a path or number is named that the trash has nothing of */
async function purgeTrash(
  ctx: MasterContext,
  request: RequestOf<typeof trashPurge>,
): Promise<ReplyOf<typeof trashPurge>> {
  requireMutations(ctx);
  const { engine, state } = ctx;
  return engine.mutate(trashPurge, request, async (decideNow) => {
    const removedUpToMs = engine.now().clusterMs - (request.olderThanMs ?? 0);
    let before = 0;
    let cursor: string | undefined;
    for (;;) {
      const decision = decideTrashPurge({ state, request }, { cursor, max: purgeSlice, removedUpToMs });
      const { records, reply } = decision;
      ({ cursor } = decision);
      const entries = before + reply.entries;
      if (cursor === undefined) {
        if (entries === 0 && request.entry !== undefined && request.olderThanMs === undefined)
          throw new GfsError("NotFound", `Cannot purge ${request.entry}: the trash has no such entry`);
        return decideNow(() => ({ records, reply: { entries } }));
      }
      if (records.length > 0) engine.apply(records);
      before = entries;
      await nextTurn(ctx);
      requireMutations(ctx);
    }
  });
}
