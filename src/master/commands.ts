/** Commands to chunkservers (DESIGN §4.1): each carries the epoch, and leaves only when all that it rests on is durable. */
import type { z } from "zod";
import { asGfsError, GfsError, hasCode } from "../base/errors.ts";
import type { ControlClient } from "../net/control-client.ts";
import type { MessageType, VolumeAddress } from "../wire/control/common.ts";
import type { VolumeIndex } from "./core/chunk-table.ts";
import type { Failure } from "./core/seal-types.ts";
import type { MasterState } from "./core/state.ts";
import { addressOf } from "./core/volumes.ts";
import type { Engine } from "./engine.ts";

/** The fields that `Commands` fills in itself. */
type Addressed = "clusterId" | "epoch" | "volume";

export class Commands {
  readonly #control: ControlClient;
  readonly #engine: Engine;
  readonly #state: MasterState;
  /** A volume obeys a newer master than us. */
  readonly #onSuperseded: (why: string) => void;

  constructor(control: ControlClient, engine: Engine, onSuperseded: (why: string) => void) {
    this.#control = control;
    this.#engine = engine;
    this.#state = engine.state;
    this.#onSuperseded = onSuperseded;
  }

  /**
   * @throws GfsError("Unavailable") where nobody got it, GfsError("Timeout") where the outcome is unknown, and whatever the server refuses with
   */
  async send<Request extends z.ZodType, Reply extends z.ZodType>(
    volume: VolumeIndex,
    message: MessageType<Request, Reply>,
    body: Omit<z.infer<Request>, Addressed>,
    timeoutMs: number,
  ): Promise<z.infer<Reply>> {
    const known = this.#state.volumes.byIndex[volume];
    const address = known === undefined ? undefined : addressOf(known);
    if (known === undefined || address === undefined)
      throw new GfsError("Unavailable", `Cannot send ${message.name} to volume ${volume}: it has not registered yet`);
    await this.#engine.release(undefined);
    const { clusterId, epoch } = this.#state.cluster;
    const request = message.request.parse({ ...body, clusterId, epoch, volume: known.volume });
    try {
      return await this.#control.call(address.control, message, request, { timeoutMs });
    } catch (error) {
      if (hasCode(error, "EpochStale"))
        this.#onSuperseded(
          `${address.label === "" ? known.volume : address.label} obeys another start of the master: ${error.message}`,
        );
      throw error;
    }
  }

  /** The volumes as others reach them; those that have not registered are left out. */
  addresses(volumes: readonly VolumeIndex[]): VolumeAddress[] {
    return volumes.flatMap((index) => {
      const volume = this.#state.volumes.byIndex[index];
      const address = volume === undefined ? undefined : addressOf(volume);
      return address === undefined ? [] : [address];
    });
  }

  close(): void {
    this.#control.close();
  }
}

/** What a failed command says about its effect. */
export function failureOf(error: unknown): Failure {
  const { code, message } = asGfsError(error);
  if (code === "Unavailable") return { kind: "refused" };
  if (code === "Timeout" || code === "Interrupted") return { kind: "unknown" };
  return { kind: "failed", code, message };
}
