/** What guided runs do besides: scripts that react to events and acknowledgements (scenarios.ts). */
import type { Operation } from "./history.ts";
import type { Stage } from "./run-seed.ts";
import type { Machine } from "./world/machine.ts";
import type { Prng } from "./world/prng.ts";

/** Whoever holds the only copy that a seal named is lost at once: allowed once, and harmless where every seal names two. */
export function loseLoneHolder({ simulation, cluster }: Stage): void {
  const labels: string[] = [];
  let lost = false;
  simulation.onEvent(({ name, fields }) => {
    const { label, members, length } = fields;
    if (name === "volume.registered" && typeof label === "string" && !labels.includes(label)) labels.push(label);
    if (name !== "seal.done" || lost || length === 0 || !Array.isArray(members) || members.length !== 1) return;
    const holder = cluster.servers.find((server) => server.name === labels[Number(members[0])]);
    if (holder === undefined) return;
    lost = true;
    simulation.after(0, () => cluster.replace(holder));
  });
}

/** Nobody has a reason to mend anything, once all servers have registered. */
export function expectNoTrouble({ simulation, history }: Stage): void {
  simulation.onEvent(({ name, fields }) => {
    const mended = name.startsWith("repair.") && simulation.nowMs > 5_000;
    if (mended || name === "replica.bad")
      history.violations.push({ promise: "P7", what: `on a good day: ${name} ${JSON.stringify(fields)}` });
  });
}

/** No reader comes too late, though its file may be removed meanwhile. */
export function expectReadersInTime({ simulation, history }: Stage): void {
  const removed = new Set<unknown>();
  simulation.onEvent(({ name, fields }) => {
    if (name === "replica.removed") removed.add(fields["handle"]);
    if (name === "read.replica-failed" && removed.has(fields["chunk"]))
      history.violations.push({ promise: "P6", what: `a reader came too late: ${JSON.stringify(fields)}` });
  });
}

/** Of files that are synced and named: what lies in the volume log is another matter. */
export function rotOneDrive({ simulation, cluster }: Stage): void {
  const prng = simulation.prng.fork("rot");
  const victim = cluster.servers[0];
  const strike = (): void => {
    if (victim === undefined || simulation.nowMs > 20_000) return;
    const drive = victim.drive("/volume");
    const folders = drive.files.info("/volume/chunks") === undefined ? [] : drive.files.list("/volume/chunks");
    const paths = folders
      .map((folder) => `/volume/chunks/${folder}`)
      .flatMap((folder) => drive.files.list(folder).map((name) => `${folder}/${name}`));
    const path = paths[prng.integer(0, Math.max(0, paths.length - 1))];
    const bytes = path === undefined ? 0 : (drive.files.info(path)?.bytes ?? 0);
    if (path !== undefined && bytes > 0) drive.corrupt(path, prng.integer(0, bytes - 1));
    simulation.after(prng.integer(50, 300), strike);
  };
  simulation.after(3_000, strike);
}

interface Blackouts {
  /** Which acknowledgements are put to the proof, and how often. */
  readonly proven: readonly Operation["kind"][];
  readonly probability: number;
  /** Of the times: the processes are killed first, so that the page cache is what they find. */
  readonly killFirst: number;
  /** How long they have then, to report and to be fenced. */
  readonly foundMs: readonly [number, number];
  readonly master: number;
  /** What is put to the proof besides acknowledgements: fences answered and seals logged. */
  readonly seals: number;
  /** Of tails that the master opens. */
  readonly opens?: number;
}

export const atAcknowledgements: Blackouts = {
  proven: ["append", "put", "remove", "move"],
  probability: 0.2,
  killFirst: 0,
  foundMs: [0, 0],
  master: 0,
  seals: 0,
};

/** What was told to be durable is put to the proof at once: servers, or the master, lose power, and all that they had not synced. */
export function blackouts(options: Blackouts): (stage: Stage) => void {
  return ({ simulation, cluster, history }) => {
    const prng = simulation.prng.fork("blackouts");
    let restMs = 1_500;
    const strike = (probability: number): void => {
      if (simulation.nowMs < restMs || simulation.nowMs > 15_000 || !prng.chance(probability)) return;
      restMs = simulation.nowMs + prng.integer(400, 1_000);
      const victims = prng.chance(options.master) ? [cluster.master] : cluster.servers;
      const killFirst = prng.chance(options.killFirst);
      const lose = (): void => {
        for (const machine of victims) cluster.crash(machine, { powerLoss: true, keep: 0 }, prng.integer(20, 300));
      };
      simulation.after(0, () => {
        if (!killFirst) return lose();
        for (const machine of victims) cluster.crash(machine, { powerLoss: false }, prng.integer(1, 40));
        simulation.after(prng.between(options.foundMs), lose);
      });
    };
    history.onDone = ({ kind }) => {
      if (options.proven.includes(kind)) strike(options.probability);
    };
    simulation.onEvent(({ name, machine }) => {
      if (name === "mutation.FENCE" || name === "seal.done") strike(options.seals);
      if (name === "mutation.START" && machine === "master") strike(options.opens ?? 0);
    });
  };
}

/** Calls back in the very step in which a primary takes a record, now and then. */
function whenTaken({ simulation, cluster }: Stage, strike: (head: Machine, prng: Prng) => void): void {
  const prng = simulation.prng.fork("when taken");
  const taken = new Set<string>();
  let restMs = 1_500;
  simulation.onEvent(({ name, machine, fields: { chunk, id } }) => {
    if (name !== "mutation.START" || id === undefined) return;
    const key = `${String(chunk)} ${String(id)}`;
    // The first of a chain to have it is its head.
    const isHead = !taken.has(key);
    taken.add(key);
    if (!isHead || simulation.nowMs < restMs || simulation.nowMs > 8_000 || !prng.chance(0.3)) return;
    const head = cluster.servers.find((server) => server.name === machine);
    if (head === undefined) return;
    restMs = simulation.nowMs + prng.integer(900, 1_500);
    strike(head, prng);
  });
}

/** A primary that has just taken a record is alone with its clients, and a moment later gone, without having told the others what it took. */
export function behead(stage: Stage): void {
  const { cluster, simulation } = stage;
  whenTaken(stage, (head, prng) => {
    const others = cluster.servers.filter((server) => server !== head).map((server) => server.name);
    simulation.network.partition([head.name], others);
    simulation.after(prng.integer(20, 250), () => {
      simulation.network.heal();
      if (head.alive) cluster.crash(head, { powerLoss: prng.chance(0.5) }, prng.integer(600, 1_200));
    });
  });
}

/** Once: what it took while it was alone is gone with it. */
export function loseHead({ simulation, cluster }: Stage): void {
  const prng = simulation.prng.fork("lose head");
  simulation.after(prng.integer(2_000, 3_000), () => {
    const victim = cluster.servers[prng.integer(0, cluster.servers.length - 1)];
    if (victim === undefined) return;
    const others = cluster.servers.filter((server) => server !== victim).map(({ name }) => name);
    simulation.network.partition([victim.name], others);
    simulation.after(1_200, () => {
      simulation.network.heal();
      cluster.replace(victim);
    });
  });
}

/** A primary whose answers don't reach its clients is gone for so short that nobody may notice. */
export function restartPrimaries(stage: Stage): void {
  const { cluster, simulation, workload } = stage;
  whenTaken(stage, (head, prng) => {
    const clients = workload.machines.map((client) => client.name);
    simulation.network.block([head.name], clients);
    simulation.after(prng.integer(60, 160), () => {
      if (head.alive) cluster.crash(head, { powerLoss: false }, prng.integer(1, 30));
      simulation.network.heal();
    });
  });
}

/** A member has just fetched what it lacked: the master forgets that, and another member, perhaps the source, is away. */
export function loseSources({ simulation, cluster }: Stage): void {
  const prng = simulation.prng.fork("lose sources");
  simulation.onEvent(({ name, machine }) => {
    if (name !== "mutation.FETCH" || !cluster.master.alive) return;
    const others = cluster.servers.filter((server) => server.name !== machine && server.alive);
    const source = others[prng.integer(0, others.length - 1)];
    if (source === undefined) return;
    simulation.after(0, () => {
      if (cluster.master.alive) cluster.crash(cluster.master, { powerLoss: false }, prng.integer(5, 50));
      if (source.alive) cluster.crash(source, { powerLoss: false }, prng.integer(1_500, 3_000));
    });
  });
}
