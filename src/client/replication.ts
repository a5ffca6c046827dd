/** How many replicas files want, and the attributes of directories, as the library offers them (wire/control/attributes.ts). */
import { GfsError } from "../base/errors.ts";
import { counted, have } from "../config/units.ts";
import { sleep } from "../net/deadline.ts";
import { goalProgress, setAttribute, setGoal } from "../wire/control/attributes.ts";
import { formatPath, parsePath } from "../wire/path.ts";
import type { CallOptions, GoalProgress, GoalReport } from "./api.ts";
import { type ClientContext, Operation } from "./context.ts";
import { askMaster } from "./retry.ts";
import type { MutationSession } from "./session.ts";

/** Between two looks at least, and so many times what a look took, which may be the time that the master was away: at most a share of the client's time-out. */
const pause = { minMs: 250, perLook: 4, timeoutShare: 1 / 4 };

export class Replication {
  readonly #ctx: ClientContext;
  readonly #session: MutationSession;

  constructor(ctx: ClientContext, session: MutationSession) {
    this.#ctx = ctx;
    this.#session = session;
  }

  /** A page after the other, each under an id of its own: whoever is cut off begins again, and finds done what is. */
  async setReplicas(
    path: string,
    replicas: number,
    {
      signal,
      recursive,
      onProgress,
    }: CallOptions & {
      readonly recursive: boolean;
      readonly onProgress?: ((files: number) => void) | undefined;
    },
  ): Promise<GoalReport> {
    const at = formatPath(parsePath(path));
    using op = new Operation(this.#ctx, `set the replicas of ${at}`, signal);
    const sums = { files: 0, changed: 0, chunks: 0 };
    let cursor: string | undefined;
    for (;;) {
      const page = { path: at, replicas, recursive, ...(cursor === undefined ? {} : { cursor }) };
      const reply = await this.#session.mutate(op, setGoal, (id) => ({ id, ...page }));
      sums.files += reply.files;
      sums.changed += reply.changed;
      sums.chunks += reply.chunks;
      op.progress();
      onProgress?.(sums.files);
      ({ cursor } = reply);
      if (cursor === undefined) return { ...sums, minReplicas: reply.minReplicas };
    }
  }

  /**
   * Waits until every chunk at or below the path that wants so many replicas has them.
   *
   * @throws GfsError("TooFewServers") where there are fewer servers, ("Timeout") where nothing was gained for the client's time-out, with what it waits for
   */
  async awaitReplicas(
    path: string,
    replicas: number,
    { signal, onProgress }: CallOptions & { readonly onProgress?: ((progress: GoalProgress) => void) | undefined },
  ): Promise<GoalProgress> {
    const at = formatPath(parsePath(path));
    const { clock } = this.#ctx.world;
    using op = new Operation(this.#ctx, `wait for ${replicas} replicas of ${at}`, signal);
    const { clientTimeoutMs } = this.#ctx.limits;
    let missing = Number.POSITIVE_INFINITY;
    let missingBytes = Number.POSITIVE_INFINITY;
    let gainedMs = clock.monotonicMs();
    for (;;) {
      const beganMs = clock.monotonicMs();
      const now = await this.#progress(op, at, replicas);
      onProgress?.(now);
      const left = now.chunks - now.reached - now.otherwise;
      if (left === 0) return now;
      const still = `${left} of ${counted(now.chunks, "chunk")} ${have(left)} fewer`;
      if (now.servers < replicas)
        throw new GfsError(
          "TooFewServers",
          `Cannot wait for ${counted(replicas, "replica")} of ${at}: only ${counted(now.servers, "server")} can hold them, and ${still}; they are made when there are more servers`,
        );
      const nowMs = clock.monotonicMs();
      if (left < missing || now.missingBytes < missingBytes) gainedMs = nowMs;
      missing = Math.min(missing, left);
      missingBytes = Math.min(missingBytes, now.missingBytes);
      if (nowMs - gainedMs >= clientTimeoutMs) {
        const why = now.waitsFor === undefined ? "" : `; ${now.waitsFor}`;
        const seconds = Math.round(clientTimeoutMs / 1_000);
        throw new GfsError(
          "Timeout",
          `Cannot wait for ${counted(replicas, "replica")} of ${at} any longer: nothing was gained for ${seconds} s, and ${still}${why}`,
        );
      }
      const pauseMs = Math.min(pause.perLook * (nowMs - beganMs), pause.timeoutShare * clientTimeoutMs);
      await sleep(clock, Math.max(pause.minMs, pauseMs), op.signal);
      op.progress();
    }
  }

  /** A look at all there is: each page has the client's time-out for itself. */
  async #progress(op: Operation, path: string, replicas: number): Promise<GoalProgress> {
    const sums = { files: 0, chunks: 0, reached: 0, otherwise: 0, missingBytes: 0 };
    let cursor: string | undefined;
    for (;;) {
      const page = { path, replicas, ...(cursor === undefined ? {} : { cursor }) };
      const reply = await askMaster(this.#ctx, op, goalProgress, page);
      op.progress();
      sums.files += reply.files;
      sums.chunks += reply.chunks;
      sums.reached += reply.reached;
      sums.otherwise += reply.otherwise;
      sums.missingBytes += reply.missingBytes;
      ({ cursor } = reply);
      if (cursor === undefined) return { ...sums, servers: reply.servers, waitsFor: reply.waitsFor };
    }
  }

  async setDefaultReplicas(path: string, replicas: number | undefined, { signal }: CallOptions): Promise<void> {
    const at = formatPath(parsePath(path));
    using op = new Operation(this.#ctx, `set the default replicas of ${at}`, signal);
    const attribute = { kind: "replicas" as const, ...(replicas === undefined ? {} : { replicas }) };
    await this.#session.mutate(op, setAttribute, (id) => ({ id, path: at, attribute }));
  }

  async setTrashRetention(path: string, trashMs: number | undefined, { signal }: CallOptions): Promise<void> {
    const at = formatPath(parsePath(path));
    using op = new Operation(this.#ctx, `set the trash's retention of ${at}`, signal);
    const attribute = { kind: "trash" as const, ...(trashMs === undefined ? {} : { trashMs }) };
    await this.#session.mutate(op, setAttribute, (id) => ({ id, path: at, attribute }));
  }
}
