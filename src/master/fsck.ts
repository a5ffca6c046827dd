/** Namespace against chunk table against what volumes report (issue: `fsck`), a page at a time, in slices. */
import { counted } from "../config/units.ts";
import { protocol } from "../limits.ts";
import type { ChunkHandle } from "../wire/ids.ts";
import { GfsError } from "../base/errors.ts";
import type { CheckedFile, fsck } from "../wire/control/namespace.ts";
import { chunkView, inSlices, type MasterContext } from "./context.ts";
import { type Replica, replicasAt } from "./core/chunk-replicas.ts";
import { awaitsTelling, holderCountAt, verdictAt } from "./core/chunk-scan.ts";
import { chunkAt, findChunk, slotOf } from "./core/chunk-table.ts";
import type { ReplyOf, RequestOf } from "./core/decision.ts";
import { extentAt, extentCount, type PlacedExtent } from "./core/extents.ts";
import { firstFreeSlot, idOfSlot, isFile } from "./core/inodes.ts";
import { lookup, pathOf } from "./core/namespace.ts";
import { isUnder, tailOf } from "./core/tails.ts";
import { isForgotten, isGone, nameAmong, volumeAt } from "./core/volumes.ts";
import { healthFor } from "./locating.ts";
import { contentWithTail } from "./tail-bytes.ts";

type Page = ReplyOf<typeof fsck>;
type Problem = Page["problems"][number];

/** Inode slots visited for one page: the caller asks for the next. */
const slotsPerPage = 65_536;
const problemsPerPage = 1_000;
const listedPerPage = 1_000;
/** Of one file that are named one by one. */
const problemsPerFile = 16;

/** @throws GfsError("NotFound"), GfsError("ProtocolError") for a cursor that no page gave */
export async function checkPage(ctx: MasterContext, request: RequestOf<typeof fsck>): Promise<Page> {
  const { inodes } = ctx.state;
  const top = lookup(inodes, request.path, "check");
  const from = request.cursor === undefined ? firstFreeSlot : parseCursor(request.cursor);
  const sums = { files: 0, openFiles: 0, chunks: 0, bytes: 0 };
  const problems: Problem[] = [];
  const listed: CheckedFile[] = [];
  let slot = from;
  // Slots stay with their inodes: whatever comes and goes meanwhile, a file that stays is visited once.
  await inSlices(ctx, () => {
    for (let visited = 0; visited < 256; visited++, slot++) {
      if (slot >= inodes.slotEnd || slot - from >= slotsPerPage) return "done";
      if (problems.length >= problemsPerPage || listed.length >= listedPerPage) return "done";
      if (!isFile(inodes, slot) || !isUnder(inodes, slot, top)) continue;
      sums.files++;
      const content = contentWithTail(ctx, slot);
      sums.bytes += content.bytes;
      sums.chunks += content.chunks;
      if (content.open) sums.openFiles++;
      const found = problemsOf(ctx, slot);
      problems.push(...found.problems);
      if (request.list) listed.push({ ...content, ...namedFile(ctx, slot), problems: found.count });
    }
    return "more";
  });
  const cursor = slot < inodes.slotEnd ? slot.toString(36) : undefined;
  return { ...sums, problems: problems.slice(0, 1_024), listed, ...(cursor === undefined ? {} : { cursor }) };
}

function parseCursor(cursor: string): number {
  const slot = /^[0-9a-z]{1,10}$/.test(cursor) ? Number.parseInt(cursor, 36) : Number.NaN;
  if (Number.isSafeInteger(slot) && slot >= firstFreeSlot && slot < 0xffff_ffff) return slot;
  throw new GfsError("ProtocolError", "Cannot check: the cursor is not one that a page gave");
}

function namedFile(ctx: MasterContext, slot: number): Pick<CheckedFile, "path" | "replicas"> {
  const { inodes } = ctx.state;
  return { path: pathOf(inodes, slot).path.slice(0, protocol.pathBytesMax), replicas: inodes.replicas.get(slot) };
}

/** `count`: those that are not named one by one too. */
function problemsOf(ctx: MasterContext, slot: number): { readonly problems: Problem[]; readonly count: number } {
  const { inodes } = ctx.state;
  const problems: Problem[] = [];
  const path = (): string => pathOf(inodes, slot).path.slice(0, protocol.pathBytesMax);
  const count = extentCount(inodes, slot);
  let unnamed = 0;
  for (let index = 0; index < count; index++) {
    const found = problemOf(ctx, extentAt(inodes, slot, index));
    if (found === undefined) continue;
    if (problems.length < problemsPerFile) problems.push({ ...found, path: path(), text: found.text.slice(0, 512) });
    else unnamed++;
  }
  const tail = tailOf(ctx.state, idOfSlot(inodes, slot));
  const ofTail = tail === undefined ? undefined : problemOfTail(ctx, tail);
  if (ofTail !== undefined) problems.push({ ...ofTail, path: path(), text: ofTail.text.slice(0, 512) });
  const last = problems.at(-1);
  if (unnamed > 0 && last !== undefined)
    problems[problems.length - 1] = {
      ...last,
      text: `${last.text}; ${counted(unnamed, "more chunk")} of this file`.slice(0, 512),
    };
  return { problems, count: problems.length + unnamed };
}

function problemOfTail(ctx: MasterContext, handle: ChunkHandle): Omit<Problem, "path"> | undefined {
  const { chunks, volumes } = ctx.state;
  const chunk = findChunk(chunks, handle);
  if (chunk === undefined) return { kind: "inconsistent", handle, text: `its open chunk ${handle} is not known` };
  const sealing = ctx.soft.seals.get(handle);
  if (sealing !== undefined) {
    const { phase, waitsFor } = sealing.machine;
    if (phase === "finishing") return undefined;
    return { kind: "pending", handle, text: `chunk ${handle} is being sealed and waits for ${waitsFor}` };
  }
  const gone = chunk.members.filter((index) => isGone(volumes.byIndex[index]));
  const left = chunk.members.length - gone.length;
  if (left >= chunk.goal) return undefined;
  const why = gone
    .map((index) => volumeAt(volumes, index))
    .map((volume) => `, ${nameAmong(volumes, volume)} is ${volume.liveness}`);
  const text = `chunk ${handle}, open for append, has ${left} of ${counted(chunk.goal, "server")}${why.join("")}`;
  return { kind: "short", handle, text };
}

function problemOf(ctx: MasterContext, extent: PlacedExtent): Omit<Problem, "path"> | undefined {
  const { chunks, volumes } = ctx.state;
  const { handle } = extent;
  const at = slotOf(chunks, handle);
  const chunk = at < 0 ? undefined : chunkAt(chunks, at);
  if (chunk === undefined) return { kind: "inconsistent", handle, text: `chunk ${handle} is not known` };
  if (chunk.state !== "sealed")
    return { kind: "inconsistent", handle, text: `chunk ${handle} is ${chunk.state}, and has an extent` };
  if (extent.offset + extent.length > chunk.length)
    return {
      kind: "inconsistent",
      handle,
      text: `an extent reaches byte ${extent.offset + extent.length} of chunk ${handle}, which has ${chunk.length}`,
    };
  const view = chunkView(ctx);
  const verdict = verdictAt(view, at);
  if (verdict === "healthy") return undefined;
  const replicas = replicasAt(chunks, at).filter(({ volume }) => !isForgotten(volumes, volume));
  const where = replicas.map((replica) => replicaWords(ctx, replica)).join(", ");
  const holders = holderCountAt(view, at);
  const text = `chunk ${handle} has ${holders} of ${counted(chunk.goal, "replica")} (${where === "" ? "none known" : where})`;
  if (verdict !== "pending") {
    const isBad = replicas.some(({ volume, health }) => health === "corrupt" && !isGone(volumes.byIndex[volume]));
    return { kind: verdict === "lost" && isBad ? "corrupt" : verdict, handle, text };
  }
  if (holders >= chunk.goal)
    return {
      kind: "pending",
      handle,
      text: `${text}, of which not all servers have registered since the master started`,
    };
  const awaited = awaitsTelling(view) ? "; not all servers have told what they hold" : "";
  return { kind: "pending", handle, text: text + awaited };
}

function replicaWords(ctx: MasterContext, { volume: index, health }: Replica): string {
  const volume = volumeAt(ctx.state.volumes, index);
  const shown = healthFor(ctx, index, health);
  const words = shown === "dead" ? volume.liveness : shown === "unreported" ? "not reported yet" : shown;
  return `${nameAmong(ctx.state.volumes, volume)} ${words}`;
}
