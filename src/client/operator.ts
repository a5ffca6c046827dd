/** What operators ask of a running cluster and change in it, as the library offers it: one call to the master each. */
import { changeSettings, type Setting, settings } from "../wire/control/settings.ts";
import type { CallOptions, ClusterEvent, EventsOptions, SettingChange } from "./api.ts";
import { type ClientContext, Operation } from "./context.ts";
import { listEvents } from "./events.ts";
import { askMaster } from "./retry.ts";
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

  events(options: EventsOptions = {}): AsyncIterable<ClusterEvent> {
    return listEvents(this.#ctx, options);
  }
}
