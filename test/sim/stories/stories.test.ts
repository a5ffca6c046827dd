import { describe, expect, test } from "bun:test";
import type { SmallCluster } from "../../paper/small-cluster.ts";
import { runScenario } from "../scenarios.ts";
import { appenderOrder } from "./appender-order.ts";
import { balanceWaits } from "./balance-waits.ts";
import { chosenReplicas } from "./chosen-replicas.ts";
import { endedSessions } from "./ended-sessions.ts";
import { fetchedTails } from "./fetched-tails.ts";
import { fewerReplicas } from "./fewer-replicas.ts";
import { hastyAppends } from "./hasty-appends.ts";
import { keptTrash } from "./kept-trash.ts";
import { lateAttempts } from "./late-attempts.ts";
import { latePuts } from "./late-puts.ts";
import { lostMaster } from "./lost-master.ts";
import { restoredBehind, restoredWithinBatch } from "./restored-master.ts";
import { rottenReplicas } from "./rotten-replicas.ts";
import { rottenSources } from "./rotten-sources.ts";
import { smallPuts } from "./small-puts.ts";
import { stories } from "./stories.ts";
import { truthfulStatus } from "./truthful-status.ts";
import { twoMasters } from "./two-masters.ts";

const seeds = [1, 2, 3, 4, 5, 6];
const texts = (found: readonly { readonly promise: string; readonly what: string }[]): string =>
  found.map(({ promise, what }) => `${promise}: ${what}`).join("\n");

describe("a story", () => {
  test.each(Object.entries(stories).flatMap(([name, story]) => seeds.map((seed) => [name, seed, story] as const)))(
    "breaks no promise: %s, seed %i",
    (_name, seed, story) => {
      expect(texts(story(seed))).toBe("");
    },
  );

  test("waits for servers that have yet to register with a master that has just started: lostMaster, seed 7", () => {
    expect(texts(lostMaster(7))).toBe("");
  });

  test("has the name of no scenario", () => {
    for (const name of Object.keys(stories)) expect(() => runScenario(name, 1)).toThrow("No scenario is called");
  });
});

describe("the judge of a restored master", () => {
  const lose =
    (folder: RegExp) =>
    ({ cluster }: SmallCluster): void => {
      for (const server of cluster.servers) {
        const { files } = server.drive("/volume");
        for (const path of files.filesUnder("/volume/chunks")) if (folder.test(path)) files.remove(path, 0);
      }
    };

  test("notices that what is newer than the copy is gone, however that is proven", () => {
    for (const story of [restoredBehind, restoredWithinBatch])
      expect(texts(story(1, lose(/./)))).toMatch(/P1: chunk \d+, newer than the copy, can't be read/);
  });

  test("notices that what the copy refers to is gone", () => {
    expect(texts(restoredBehind(2, lose(/\/0000000000000001$/)))).toContain(
      "P1: /old/0 is not what the master's log says",
    );
  });

  test("notices what is deleted before anybody confirmed it", () => {
    const confirmEarly = (cluster: SmallCluster): void => {
      // Once that it is an old copy, once that so much is deleted.
      for (let i = 0; i < 2; i++) {
        cluster.as("hasty operator", (client) => client.confirm());
        cluster.simulation.runFor(20_000);
      }
    };
    expect(texts(restoredWithinBatch(3, confirmEarly))).toContain("P1: deleted unconfirmed");
  });
});

describe("the judges of the other stories", () => {
  test("notice replicas that went from a disk which is not the fullest", () => {
    const swap = ({ cluster }: SmallCluster): void => {
      const drives = cluster.servers.map((server) => server.drive("/volume").files);
      const sizes = drives.map(({ capacityBytes }) => capacityBytes).sort((a, b) => a - b);
      const ranked = drives.toSorted((a, b) => b.capacityBytes - a.capacityBytes);
      for (const [i, drive] of ranked.entries()) drive.capacityBytes = sizes[i] ?? 0;
    };
    expect(texts(fewerReplicas(3, swap))).toMatch(/P7: of \d replicas chunk \d+ of .* kept those on/);
  });

  test("notice a move beside chunks that wait for repair", () => {
    const tell = ({ cluster }: SmallCluster): void => cluster.servers[0]?.world.events.emit("info", "balance.begin");
    expect(texts(balanceWaits(1, tell))).toContain("P7: a move began");
  });

  test("notice another number of replicas than was asked for last", () => {
    const change = (cluster: SmallCluster): void => {
      cluster.as("meddler", (client) => client.setReplicas("/", 1, { recursive: true }));
      cluster.as("meddler", (client) => client.setReplicas("/a", 3, { recursive: true }));
    };
    expect(texts(chosenReplicas(1, change))).toMatch(/P7: .* wants \d replicas, and \d were asked for/);
  });

  test("notice that the trash was emptied", () => {
    const empty = (cluster: SmallCluster): void => {
      cluster.as("meddler", (client) => client.trashPurge(undefined));
    };
    expect(texts(keptTrash(2, empty))).toContain("is not in the trash");
  });

  test("notice a deleted replica that is there again", () => {
    const revive = ({ cluster }: SmallCluster): void => {
      for (const server of cluster.servers) {
        const { files } = server.drive("/volume");
        files.makeDirectory("/volume/chunks/01", 0);
        files.openFile("/volume/chunks/01/0000000000000001", "create", 0);
      }
    };
    expect(texts(latePuts(1, revive))).toContain("0000000000000001 was deleted at server");
  });

  test("notice that a rebuilt master changes and deletes before anybody confirmed it, and that a file is gone", () => {
    const confirmEarly = (cluster: SmallCluster): void => {
      cluster.as("hasty operator", (client) => client.confirm());
      cluster.as("hasty operator", (client) => client.remove("/early/1", { skipTrash: true }));
    };
    const found = texts(lostMaster(2, confirmEarly));
    expect(found).toContain("P7: rebuilt, and mutations go on unconfirmed");
    expect(found).toContain("P1: /early/1 was acknowledged before the copy");
  });

  const loseAll = ({ cluster }: SmallCluster): void => {
    const all = [...cluster.servers];
    for (const server of all) cluster.replace(server);
  };

  test("notice what status says otherwise than it is", () => {
    // A server dies just before it is looked: status can't know yet.
    const killOne = ({ cluster }: SmallCluster): void => {
      cluster.servers.find(({ alive }) => alive)?.crash({ powerLoss: false });
    };
    expect(texts(truthfulStatus(1, killOne))).toMatch(
      /^P7: after .*: (healthy|short|lost|atRisk) is \d+, and status says \d+/,
    );
  });

  test.each([
    ["two masters", twoMasters],
    ["small puts", smallPuts],
    ["hasty appends", hastyAppends],
    ["appender order", appenderOrder],
    ["fetched tails", fetchedTails],
    ["rotten sources", rottenSources],
  ] as const)("notice that all is lost: %s", (_name, story) => {
    expect(texts(story(1, loseAll))).toMatch(/^P[1246]: /);
  });

  test("notice that a change of unknown outcome was undone", () => {
    const undo = (cluster: SmallCluster): void => {
      cluster.as("meddler", (client) => client.remove("/new").catch(() => undefined));
    };
    expect(texts(endedSessions(1, undo))).toContain("P3: mkdir, done once, is not what is there");
  });

  test("notice an attempt that had an effect though it was refused", () => {
    const repeat = (cluster: SmallCluster): void =>
      cluster.as("meddler", (client) => client.makeDirectory("/there", { parents: true }));
    expect(texts(lateAttempts(1, repeat))).toContain("P3: a directory made where one was had an effect: missing there");
  });
});

describe("the judge of rotten replicas", () => {
  test("notices what rotted and was not found, and what is not the same everywhere", () => {
    const rot = ({ cluster }: SmallCluster): void => {
      for (const server of cluster.servers.slice(0, 2)) {
        const drive = server.drive("/volume");
        for (const path of drive.files.filesUnder("/volume/chunks")) drive.corrupt(path, 7);
      }
    };
    const found = texts(rottenReplicas(1, rot));
    expect(found).toMatch(/P5: chunk \d+ is still not the same on/);
    expect(found).toContain("P5: all was to be good");
  });
});
