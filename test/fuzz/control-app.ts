/**
 * Every message of the control plane, mutated: against its schema, and against a running master and its chunkservers, which must answer with a typed error or
 * an answer, go on, and never end by themselves. An input is a cluster, and some messages to it from a caller who may claim any role.
 */
import { z } from "zod";
import { GfsError } from "../../src/base/errors.ts";
import { utf8 } from "../../src/base/bytes.ts";
import type { GfsClient } from "../../src/client/gfs-client.ts";
import type { World } from "../../src/io.ts";
import { ControlClient } from "../../src/net/control-client.ts";
import { decodeCbor, encodeCbor } from "../../src/wire/cbor.ts";
import type { MessageType } from "../../src/wire/control/common.ts";
import * as chunkservers from "../../src/wire/control/chunkservers.ts";
import * as commands from "../../src/wire/control/commands.ts";
import { sessionOpen } from "../../src/wire/control/files.ts";
import { hello } from "../../src/wire/control/handshake.ts";
import { allMessages } from "../golden/all-messages.ts";
import { samplesOf } from "../golden/schema-samples.ts";
import { Cluster } from "../sim/cluster.ts";
import { connectTo } from "../sim/client-machine.ts";
import { History } from "../sim/history.ts";
import { simLimits } from "../sim/sim-limits.ts";
import { noFaults } from "../sim/world/fault-settings.ts";
import type { Prng } from "../sim/world/prng.ts";
import { formatEvent, type SimEvent } from "../sim/world/sim-events.ts";
import { Simulation } from "../sim/world/simulation.ts";
import { demand, type FuzzRun, type FuzzTarget, mustBeTyped, sameCbor, typed } from "./fuzz-target.ts";
import { mutateBytes, mutateValue, pick, type Pool } from "./mutate.ts";

interface Sample {
  readonly message: MessageType;
  readonly requests: readonly unknown[];
}

const samples: readonly Sample[] = allMessages.map((message) => ({
  message,
  requests: [...samplesOf(message.request).values()],
}));
const emptyPool: Pool = { texts: ["", "/a", "/"], numbers: [0, 1, 2, 3], bytes: [new Uint8Array(0)] };

function prepareMessages(): FuzzRun {
  const encoded = samples.flatMap(({ requests }) => requests.map((request) => encodeCbor(request)));
  return {
    once(prng) {
      const { message, requests } = pick(prng, samples);
      const request = pick(prng, requests);
      const bytes = prng.chance(0.5)
        ? mutateBytes(prng, encodeCbor(request), encoded)
        : encodeCbor(mutateValue(prng, request, emptyPool));
      const value = typed(() => decodeCbor(bytes), "ProtocolError");
      if (value instanceof GfsError) return;
      for (const schema of [message.request, message.reply]) {
        const parsed = schema.safeParse(value);
        if (!parsed.success) continue;
        const again = schema.parse(decodeCbor(encodeCbor(parsed.data)));
        demand(sameCbor(again, parsed.data), () => `another ${message.name}: ${JSON.stringify(parsed.data)}`);
      }
    },
  };
}

const messagesOfInput = 40;
const anything = z.any();
const ofChunkservers: ReadonlySet<unknown> = new Set(Object.values(chunkservers));
const ofCommands: ReadonlySet<unknown> = new Set(Object.values(commands));
const callMs = 3_000;

/** What there is in a cluster that a caller may name. */
interface Live {
  readonly pool: Pool;
  /** By the name of a field: what stands there in a request that is meant well. */
  readonly fields: ReadonlyMap<string, readonly unknown[]>;
}

/** A cluster with a few files in it. */
async function furnish(client: GfsClient, session: number): Promise<Live> {
  await client.put({ kind: "bytes", bytes: new Uint8Array(200_000) }, "/a/large");
  await client.put({ kind: "bytes", bytes: new Uint8Array(100) }, "/a/small");
  await client.appendToFile("/log", utf8("record"), { id: "a key" });
  await client.makeDirectory("/empty");
  await client.remove("/a/small");
  const { clusterId, epoch, servers } = await client.status();
  const volumes = servers.map(({ volume }) => volume);
  const controls = servers.map(({ control }) => control);
  const paths = ["/", "/a", "/a/large", "/log", "/empty", "/none", "/a/new"];
  const small = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  const sequences = Array.from({ length: 60 }, (_, i) => i + 1);
  return {
    pool: {
      texts: [...paths, "a key", clusterId, epoch.startId, ...volumes, ...controls],
      numbers: [0, ...small, 100, 1_000, 200_000, 2 ** 32, 2 ** 53 - 1, epoch.number],
      bytes: [new Uint8Array(0), new Uint8Array(28), new Uint8Array(32), new Uint8Array(100_000)],
    },
    fields: new Map<string, readonly unknown[]>([
      ["clusterId", [clusterId]],
      ["epoch", [epoch]],
      ["volume", volumes],
      ["control", controls],
      ["data", servers.map(({ data }) => data)],
      ["path", paths],
      ["from", paths],
      ["to", paths],
      ["session", [session]],
      ["sequence", sequences],
      ["floor", [1]],
      ["handle", small],
      ["inode", small],
      ["draft", [1, 2, 3]],
      ["version", [1, 2, 3]],
      ["length", [0, 6, 100, 200_000]],
    ]),
  };
}

/** The request with its fields naming what is there, where the schema still takes it so. */
function dressed(prng: Prng, value: unknown, fields: Live["fields"]): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => dressed(prng, item, fields));
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  const entries = Object.entries(value).map(([name, field]: [string, unknown]): [string, unknown] => {
    const known = fields.get(name);
    const one = known === undefined ? undefined : pick(prng, known);
    return [name, typeof one === typeof field ? one : dressed(prng, field, fields)];
  });
  return Object.fromEntries(entries);
}

function isBug({ name, level }: SimEvent): boolean {
  return name.endsWith(".bug") || (level === "error" && name === "master.task-failed");
}

function prepareRunning(): FuzzRun {
  const served = samples.filter(({ message }) => message !== hello);
  return {
    once(prng) {
      const simulation = new Simulation(1, { faults: noFaults });
      const bugs: string[] = [];
      simulation.onEvent((event) => {
        if (isBug(event)) bugs.push(formatEvent(event));
      });
      const history = new History(() => simulation.nowMs);
      const cluster = new Cluster(simulation, history, { chunkservers: 3, limits: simLimits, masterDirectories: 1 });
      cluster.start();
      simulation.runFor(2_000);
      const user = simulation.machine("user");
      const withClient = <T>(use: (client: GfsClient) => Promise<T>): T =>
        simulation.do(user, async (world) => {
          await using client = await connectTo(cluster, world, "user");
          return await use(client);
        });
      const stranger = simulation.machine("stranger");
      const { session } = simulation.do(stranger, async (world) => {
        const control = new ControlClient(world, { role: "client", clusterId: () => undefined });
        return control.call(cluster.masterAddress, sessionOpen, { label: "stranger" }, { timeoutMs: callMs });
      });
      const { pool, fields } = withClient((client) => furnish(client, session));
      const told: string[] = [];
      for (let i = 0; i < messagesOfInput; i++) {
        const { message, requests } = pick(prng, served);
        const meant = dressed(prng, pick(prng, requests), fields);
        const request = mutateValue(prng, meant, pool, pick(prng, [0, 0.03, 0.1, 0.4]));
        told.push(`${message.name} ${Bun.inspect(request, { compact: true }).slice(0, 2_000)}`);
        simulation.do(stranger, (world) => send({ cluster, prng, message }, world, request), 60_000);
        demand(bugs.length === 0, () => `${bugs.join("\n")}\nafter ${told.at(-1)}`);
      }
      simulation.runFor(20_000);
      demand(history.violations.length === 0, () => history.violations.map(({ what }) => what).join("\n"));
      demand(bugs.length === 0, () => `${bugs.join("\n")}\nafter ${told.join("\n")}`);
      withClient((client) => client.status());
    },
  };
}

/** To whom it belongs, from a caller of the right role or of any. */
async function send(
  { cluster, prng, message }: { readonly cluster: Cluster; readonly prng: Prng; readonly message: MessageType },
  world: World,
  request: unknown,
): Promise<void> {
  const command = ofCommands.has(message);
  const usual = command ? "master" : ofChunkservers.has(message) ? "chunkserver" : "client";
  const role = prng.chance(0.9) ? usual : pick(prng, ["master", "chunkserver", "client", "tool"] as const);
  const control = new ControlClient(world, { role, clusterId: () => undefined });
  const server = cluster.chunkserver(pick(prng, cluster.servers));
  const address = command ? (server?.controlAddress ?? cluster.masterAddress) : cluster.masterAddress;
  const raw = { name: message.name, request: anything, reply: anything };
  try {
    await control.call(address, raw, request, { timeoutMs: callMs });
  } catch (error) {
    mustBeTyped(error, []);
  } finally {
    control.close();
  }
}

export const controlTargets: readonly FuzzTarget[] = [
  { name: "control-messages", shortRun: 2000, prepare: prepareMessages },
  { name: "running-servers", shortRun: 8, prepare: prepareRunning },
];
