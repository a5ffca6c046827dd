/** What the master tells a chunkserver to do (DESIGN §4.1, §4.3, §4.5). Each command is checked for cluster, volume and epoch first; all may be repeated. */
import { unreachable } from "../base/assert.ts";
import { GfsError } from "../base/errors.ts";
import { route, type Route } from "../net/control-server.ts";
import {
  clone,
  committedLength,
  deleteReplicas,
  fence,
  fetchTail,
  finish,
  open,
  steerClones,
  verify,
  type FenceAnswer,
} from "../wire/control/commands.ts";
import type { ItemError } from "../wire/control/common.ts";
import type { ChunkHandle, ChunkVersion } from "../wire/ids.ts";
import { cloneChunk, fetchMissingTail } from "./chunk-transfers.ts";
import { Clones } from "./clones.ts";
import { operatingError, traceMutation, type Context } from "./context.ts";
import { fittingAnswers } from "./core/fence-answers.ts";
import { metadataRoutes } from "./metadata-commands.ts";
import { obey } from "./obey.ts";
import { OpenChunks } from "./open-chunks.ts";
import { awaitsFinish } from "./read-stream.ts";
import type { Roles } from "./roles.ts";

export interface CommandOptions {
  readonly roles: Roles;
  /** A chunk stopped taking records: the master should hear of it soon. */
  readonly onStopped: () => void;
}

/** All routes of a chunkserver's control port. */
export function commandRoutes(context: Context, { roles, onStopped }: CommandOptions): Route[] {
  const { store } = context;
  const chunks = new OpenChunks(context, roles, onStopped);
  const transfers = new Map<string, Promise<void>>();
  const clones = new Clones(context);

  /** Runs the transfer once, however often it is asked for while it runs. */
  const once = (key: string, run: () => Promise<void>): Promise<void> => {
    const running = transfers.get(key);
    if (running !== undefined) return running;
    const started = run().finally(() => transfers.delete(key));
    transfers.set(key, started);
    return started;
  };

  return [
    ...metadataRoutes(context),
    route(open, async (request, caller) => {
      await obey(context, request, caller);
      return { results: await Promise.all(request.chunks.map((chunk) => settle(context, () => chunks.open(chunk)))) };
    }),

    route(fence, async (request, caller) => {
      await obey(context, request, caller);
      return {
        answers: fittingAnswers(await Promise.all(request.items.map((item) => fenceOne(context, roles, item)))),
      };
    }),

    route(fetchTail, async (request, caller) => {
      await obey(context, request, caller);
      const { handle, version } = request;
      await once(`tail ${handle} ${version} ${request.length} ${request.crc}`, () =>
        fetchMissingTail(context, request),
      );
      traceMutation(context, "FETCH", request, { length: request.length });
      return { prepared: store.replica(handle)?.length ?? request.length };
    }),

    route(finish, async (request, caller) => {
      await obey(context, request, caller);
      const finishOne = async (item: (typeof request.items)[number]): Promise<void> => {
        await store.finish(item);
        roles.remove(item.handle);
        traceMutation(context, "SEAL", item, { length: item.length });
      };
      return { results: await Promise.all(request.items.map((item) => settle(context, () => finishOne(item)))) };
    }),

    route(clone, async (request, caller) => {
      await obey(context, request, caller);
      const { handle, version } = request;
      await clones.run(request, async (control) => {
        // A member that was away while its chunk was sealed: the order says what the fence would have said.
        if (store.replica(handle)?.state === "open") await fenceOne(context, roles, { handle, version });
        await cloneChunk(context, request, control);
        roles.remove(handle);
      });
      return {};
    }),

    route(steerClones, async (request, caller) => {
      await obey(context, request, caller);
      const running: { handle: ChunkHandle; version: ChunkVersion; copied: number }[] = [];
      for (const { handle, version, action, bytesPerSecond } of request.items) {
        const chunk = { handle, version };
        if (action === "stop") clones.stop(chunk);
        if (action === "pace") clones.pace(chunk, bytesPerSecond);
        const copied = clones.copiedOf(chunk);
        if (copied !== undefined) running.push({ ...chunk, copied });
      }
      return { running };
    }),

    route(deleteReplicas, async (request, caller) => {
      await obey(context, request, caller);
      const deleteOne = async ({ handle, below }: (typeof request.items)[number]): Promise<void> => {
        await store.moveAside(handle, below);
        if (store.replica(handle) === undefined) roles.remove(handle);
      };
      return { results: await Promise.all(request.items.map((item) => settle(context, () => deleteOne(item)))) };
    }),

    route(committedLength, async (request, caller) => {
      await obey(context, request, caller);
      const { handle, version } = request;
      const role = roles.get(handle);
      const what = `Cannot tell the committed length of chunk ${handle} at version ${version}`;
      if (role?.kind !== "primary") throw new GfsError("NotPrimary", `${what}: this volume is not its primary`);
      if (role.version !== version) throw new GfsError("VersionStale", `${what}: this primary has ${role.version}`);
      if (!role.holdsRole) throw new GfsError("VersionStale", `${what}: it is fenced`);
      return { committed: role.committed };
    }),

    route(verify, async (request, caller) => {
      await obey(context, request, caller);
      const { handle, version } = request;
      const held = store.replica(handle);
      if (held !== undefined && awaitsFinish(held, version))
        throw new GfsError("Busy", `Cannot verify chunk ${handle} at version ${version}: its finish is yet to come`);
      if (held?.dataVersion !== version) return { result: "missing" as const };
      return { result: await store.verifyReplica(handle) };
    }),
  ];
}

type ItemResult = { kind: "ok" } | { kind: "error"; error: ItemError };

async function settle(context: Context, run: () => Promise<void>): Promise<ItemResult> {
  try {
    await run();
    return { kind: "ok" };
  } catch (thrown) {
    return { kind: "error", error: itemError(context, thrown) };
  }
}

function itemError(context: Context, thrown: unknown): ItemError {
  const { code, message } = operatingError(context, thrown);
  return { code, message: message.slice(0, 4_096) };
}

/** The role ends first, in memory, so that no vote and no answer can follow what the fence answers. */
async function fenceOne(
  context: Context,
  roles: Roles,
  { handle, version }: { readonly handle: ChunkHandle; readonly version: ChunkVersion },
): Promise<FenceAnswer> {
  const { store } = context;
  try {
    const role = roles.get(handle);
    if (role !== undefined && version > role.version && version >= store.promised(handle)) role.fenced(version);
    const answer = await store.promise(handle, version);
    traceMutation(context, "FENCE", { handle, version }, { answer: answer.kind });
    switch (answer.kind) {
      case "fenced": {
        // An open that was under way may have given a role meanwhile.
        const late = roles.get(handle);
        if (late !== undefined && version > late.version) late.fenced(version);
        const { prepared, crc, dataVersion, appendTable } = answer;
        const committed = Math.min(prepared, roles.committed(handle));
        return { kind: "fenced", handle, prepared, committed, crc, dataVersion, appendTable };
      }
      case "refused":
        return { kind: "refused", handle, promised: answer.promised };
      case "sealed":
        return { handle, ...answer };
      default:
        return unreachable(answer);
    }
  } catch (thrown) {
    return { kind: "error", handle, error: itemError(context, thrown) };
  }
}
