/** What operators ask of a running cluster and change in it, as the library offers it: one call to the master each. */
import { balanceStatus } from "../wire/control/balance.ts";
import { decommission, decommissionCheck, drain, type DrainReport, drains, undrain } from "../wire/control/drains.ts";
import { changeSettings, type Setting, settings } from "../wire/control/settings.ts";
import type {
  AwaitDrainOptions,
  BalanceStatus,
  CallOptions,
  ClusterEvent,
  EventsOptions,
  DecommissionCheck,
  Decommissioned,
  DecommissionOptions,
  DrainBegun,
  RepairReport,
  ScrubOrder,
  ScrubTarget,
  SettingChange,
  Undrained,
} from "./api.ts";
import { repairResume, repairStatus, safeModeLeave } from "../wire/control/repair.ts";
import { type ClientContext, Operation } from "./context.ts";
import { awaitDrain } from "./drain.ts";
import { listEvents } from "./events.ts";
import { askMaster } from "./retry.ts";
import { awaitScrub, listScrubOrders, startScrub, stopScrub } from "./scrub.ts";
import type { MutationSession } from "./session.ts";

export class Operator {
  readonly #ctx: ClientContext;
  readonly #session: MutationSession;

  constructor(ctx: ClientContext, session: MutationSession) {
    this.#ctx = ctx;
    this.#session = session;
  }

  async settings({ signal }: CallOptions = {}): Promise<readonly Setting[]> {
    using op = new Operation(this.#ctx, "get the cluster's settings", signal);
    return (await askMaster(this.#ctx, op, settings, {})).settings;
  }

  async changeSettings(changes: readonly SettingChange[], { signal }: CallOptions = {}): Promise<void> {
    using op = new Operation(this.#ctx, "change the cluster's settings", signal);
    const items = changes.map(({ name, value }) => ({ name, ...(value === undefined ? {} : { value }) }));
    await this.#session.mutate(op, changeSettings, (id) => ({ id, changes: items }));
  }

  scrub(target: ScrubTarget, options: CallOptions = {}): Promise<string> {
    return startScrub(this.#ctx, target, options);
  }

  scrubOrders(id: string | undefined, options: CallOptions = {}): Promise<readonly ScrubOrder[]> {
    return listScrubOrders(this.#ctx, id, options);
  }

  awaitScrub(
    id: string,
    options: CallOptions & { readonly onProgress?: ((order: ScrubOrder) => void) | undefined } = {},
  ): Promise<ScrubOrder> {
    return awaitScrub(this.#ctx, id, options);
  }

  scrubStop(id: string, options: CallOptions = {}): Promise<void> {
    return stopScrub(this.#ctx, id, options);
  }

  events(options: EventsOptions = {}): AsyncIterable<ClusterEvent> {
    return listEvents(this.#ctx, options);
  }

  async drain(server: string, { signal }: CallOptions = {}): Promise<DrainBegun> {
    using op = new Operation(this.#ctx, `drain ${server}`, signal);
    return await this.#session.mutate(op, drain, (id) => ({ id, server }));
  }

  async undrain(server: string, { signal }: CallOptions = {}): Promise<Undrained> {
    using op = new Operation(this.#ctx, `undrain ${server}`, signal);
    return await this.#session.mutate(op, undrain, (id) => ({ id, server }));
  }

  async balance({ signal }: CallOptions = {}): Promise<BalanceStatus> {
    using op = new Operation(this.#ctx, "look at the balance", signal);
    return await askMaster(this.#ctx, op, balanceStatus, {});
  }

  async drains(server?: string, { signal }: CallOptions = {}): Promise<readonly DrainReport[]> {
    using op = new Operation(this.#ctx, "look at the servers that are being drained", signal);
    const reply = await askMaster(this.#ctx, op, drains, server === undefined ? {} : { server });
    return reply.drains;
  }

  awaitDrain(volume: string, options: AwaitDrainOptions = {}): Promise<DrainReport> {
    return awaitDrain(this.#ctx, volume, options);
  }

  async decommissionCheck(server: string, { signal }: CallOptions = {}): Promise<DecommissionCheck> {
    using op = new Operation(this.#ctx, `look what is lost with ${server}`, signal);
    return await askMaster(this.#ctx, op, decommissionCheck, { server });
  }

  async decommission(
    server: string,
    { signal, force = false, lostMax = 0 }: DecommissionOptions = {},
  ): Promise<Decommissioned> {
    using op = new Operation(this.#ctx, `forget ${server}`, signal);
    return await this.#session.mutate(op, decommission, (id) => ({ id, server, force, lostMax }));
  }

  async repairStatus({ signal }: CallOptions = {}): Promise<RepairReport> {
    using op = new Operation(this.#ctx, "get the state of repair", signal);
    return await askMaster(this.#ctx, op, repairStatus, {});
  }

  async repairResume({ signal }: CallOptions = {}): Promise<string | undefined> {
    using op = new Operation(this.#ctx, "resume repair", signal);
    return (await askMaster(this.#ctx, op, repairResume, {})).held;
  }

  async safeModeLeave({ signal }: CallOptions = {}): Promise<string | undefined> {
    using op = new Operation(this.#ctx, "leave safe mode", signal);
    return (await askMaster(this.#ctx, op, safeModeLeave, {})).waitedFor;
  }
}
