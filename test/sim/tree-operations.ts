/** What clients do to directories: make, move and remove them, with all below, list them, and take back what was removed. */
import { asGfsError, type GfsError } from "../../src/base/errors.ts";
import type { GfsClient } from "../../src/client/gfs-client.ts";
import type {
  History,
  ListCall,
  MakeDirectoryCall,
  MoveCall,
  Operation,
  PurgeCall,
  RangeCall,
  RemoveCall,
  ReplicateCall,
  RestoreCall,
  RetainCall,
} from "./history.ts";
import { concatBytes } from "../../src/base/bytes.ts";

/** Never fewer than the cluster's own: a server, and a drive, may be lost for ever. */
function replicasOf(random: () => number): number {
  return random() < 0.5 ? 3 : 4;
}

/** Who does it: draws in [0, 1), and perhaps gives it up. */
export interface TreeLane {
  readonly name: string;
  readonly client: GfsClient;
  readonly random: () => number;
  readonly signal: () => AbortSignal | undefined;
}

export class TreeOperations {
  readonly #history: History;
  readonly #directories: number;

  /** @param directories below each group, by name */
  constructor(history: History, directories: number) {
    this.#history = history;
    this.#directories = directories;
  }

  /** Where a file of a group lies this time: in the group's directory or in one below it. */
  directoryOf(lane: TreeLane, group: string): string {
    return lane.random() < 0.5 ? group : this.#pick(lane, group);
  }

  async operate(lane: TreeLane, group: string, file: string): Promise<void> {
    const { random } = lane;
    const path = this.#pick(lane, group);
    const draw = random();
    if (draw < 0.25) return this.#makeDirectory(lane, random() < 0.3 ? `${path}/d0` : path);
    if (draw < 0.5) {
      const to = random() < 0.8 ? this.#pick(lane, group) : `${this.#pick(lane, group)}/d0`;
      return to === path ? undefined : this.move(lane, path, to);
    }
    if (draw < 0.7) return this.remove(lane, path, random() < 0.7);
    if (draw < 0.85) {
      await this.list(lane, random() < 0.3 ? group : path);
      return;
    }
    return this.#restore(lane, random() < 0.5 ? file : path);
  }

  #pick({ random }: TreeLane, group: string): string {
    return `${group}/d${Math.floor(random() * this.#directories)}`;
  }

  async #makeDirectory(lane: TreeLane, path: string): Promise<void> {
    const parents = lane.random() < 0.5;
    const base = this.#history.call(lane.name, path);
    const call = this.#history.add<MakeDirectoryCall>({ ...base, kind: "mkdir", parents });
    await this.#end(call, () => lane.client.makeDirectory(path, { parents, signal: lane.signal() }));
  }

  async remove(lane: TreeLane, path: string, recursive: boolean): Promise<void> {
    const skipTrash = lane.random() < 0.5;
    const base = this.#history.call(lane.name, path);
    const call = this.#history.add<RemoveCall>({ ...base, kind: "remove", recursive, skipTrash });
    await this.#end(call, () => lane.client.remove(path, { recursive, skipTrash, signal: lane.signal() }));
  }

  async move(lane: TreeLane, path: string, to: string): Promise<void> {
    const overwrite = lane.random() < 0.5;
    const base = this.#history.call(lane.name, path);
    const call = this.#history.add<MoveCall>({ ...base, kind: "move", to, overwrite });
    await this.#end(call, () => lane.client.move(path, to, { overwrite, signal: lane.signal() }));
  }

  async #restore(lane: TreeLane, path: string): Promise<void> {
    const call = this.#history.add<RestoreCall>({ ...this.#history.call(lane.name, path), kind: "restore" });
    await this.#end(call, () => lane.client.trashRestore(path, { signal: lane.signal() }));
  }

  /** Replicas of what is there, and of what comes; what the trash keeps, and what goes from it. */
  async choose(lane: TreeLane, group: string, file: string): Promise<void> {
    const { random, client } = lane;
    const path = random() < 0.5 ? group : this.#pick(lane, group);
    const draw = random();
    const signal = lane.signal();
    const base = this.#history.call(lane.name, draw < 0.4 && random() < 0.5 ? file : path);
    if (draw < 0.4) {
      const call = this.#history.add<ReplicateCall>({ ...base, kind: "replicate", replicas: replicasOf(random) });
      await this.#end(call, () => client.setReplicas(call.path, call.replicas, { recursive: true, signal }));
    } else if (draw < 0.6) {
      const call = this.#history.add<ReplicateCall>({ ...base, kind: "replicate", replicas: replicasOf(random) });
      await this.#end(call, () =>
        client.setDefaultReplicas(path, random() < 0.3 ? undefined : call.replicas, { signal }),
      );
    } else if (draw < 0.85) {
      const trashMs = random() < 0.3 ? undefined : random() < 0.5 ? 0 : 5_000;
      const call = this.#history.add<RetainCall>({ ...base, kind: "retain", trashMs });
      await this.#end(call, () => client.setTrashRetention(path, trashMs, { signal }));
    } else {
      const call = this.#history.add<PurgeCall>({ ...base, kind: "purge", below: random() < 0.5 });
      await this.#end(call, () => client.trashPurge(path, { below: call.below, signal }));
    }
  }

  async list({ name, client }: Pick<TreeLane, "name" | "client">, path: string): Promise<ListCall> {
    const call = this.#history.add<ListCall>({ ...this.#history.call(name, path), kind: "list", names: undefined });
    await this.#look(call, async () => {
      const names: string[] = [];
      for await (const entry of client.list(path)) names.push(entry.name);
      call.names = names;
    });
    return call;
  }

  /** Of a file that is only appended to. */
  async readRange({ name, client, random }: TreeLane, path: string, bytesMax: number): Promise<void> {
    const offset = Math.floor(random() * bytesMax);
    const length = 1 + Math.floor(random() ** 2 * 100_000);
    const base = this.#history.call(name, path);
    const call = this.#history.add<RangeCall>({ ...base, kind: "range", offset, length, bytes: new Uint8Array() });
    await this.#look(call, async () => {
      const pieces: Uint8Array[] = [];
      for await (const piece of client.read(path, { offset, length })) pieces.push(piece);
      call.bytes = concatBytes(pieces);
    });
  }

  /** That there is nothing is an answer too. */
  async #look(call: Operation, look: () => Promise<void>): Promise<void> {
    await this.#end(call, async () => {
      try {
        await look();
      } catch (error) {
        if (asGfsError(error).code !== "NotFound") throw error;
      }
    });
  }

  async #end(call: Operation, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
      this.#history.done(call);
    } catch (thrown) {
      const error: GfsError = asGfsError(thrown);
      this.#history.failed(call, error);
    }
  }
}
