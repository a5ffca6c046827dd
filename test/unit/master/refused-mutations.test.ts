import { describe, expect, test } from "bun:test";
import { GfsError } from "../../../src/base/errors.ts";
import { appendTail, createFile, draftCommit, draftCreate } from "../../../src/wire/control/files.ts";
import { mkdir, move, remove, stat } from "../../../src/wire/control/namespace.ts";
import { generation } from "../../../src/wire/ids.ts";
import { started } from "./cluster-with-puts.ts";
import type { MasterInSim } from "./master-in-sim.ts";

/** `/d/log` with an open tail, and `/d/other` without. */
function withOpenTail(): MasterInSim {
  const cluster = started(51, 3);
  cluster.call(mkdir, { id: cluster.nextId(), path: "/d", parents: false });
  cluster.call(createFile, { id: cluster.nextId(), path: "/d/other", mode: "new" });
  const { inode } = cluster.call(createFile, { id: cluster.nextId(), path: "/d/log", mode: "new" });
  cluster.call(appendTail, { inode, recordBytes: 100 });
  return cluster;
}

type Refused = readonly [what: string, code: GfsError["code"], ask: (cluster: MasterInSim) => unknown];

describe("a change that is refused seals no open chunk", () => {
  const never = generation(99);
  const refused: Refused[] = [
    [
      "rm of a directory that is not empty",
      "DirectoryNotEmpty",
      (c) => c.call(remove, { id: c.nextId(), path: "/d", recursive: false, skipTrash: false }),
    ],
    [
      "mv of what is missing over a file",
      "NotFound",
      (c) => c.call(move, { id: c.nextId(), from: "/d/nix", to: "/d/log", overwrite: true }),
    ],
    [
      "mv of a directory over a file",
      "NotDirectory",
      (c) => {
        c.call(mkdir, { id: c.nextId(), path: "/e", parents: false });
        return c.call(move, { id: c.nextId(), from: "/e", to: "/d/log", overwrite: true });
      },
    ],
    [
      "an empty put over another generation",
      "GenerationMismatch",
      (c) => c.call(createFile, { id: c.nextId(), path: "/d/log", mode: "replace", ifGeneration: never }),
    ],
    [
      "a put over another generation",
      "GenerationMismatch",
      (c) => {
        const target = { kind: "put", path: "/d/log", overwrite: true, ifGeneration: generation(1) } as const;
        const { draft } = c.call(draftCreate, { id: c.nextId(), target });
        // Somebody else's file has taken the place meanwhile, and is appended to.
        c.call(createFile, { id: c.nextId(), path: "/d/log", mode: "replace" });
        const { entry } = c.call(stat, { path: "/d/log" });
        c.call(appendTail, { inode: entry.inode, recordBytes: 100 });
        for (const { told } of c.servers) told.length = 0;
        return c.call(draftCommit, { id: c.nextId(), draft, chunks: [] });
      },
    ],
  ];
  test.each(refused)("%s", (_, code, ask) => {
    const cluster = withOpenTail();
    let error: unknown;
    try {
      ask(cluster);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(GfsError);
    expect(error).toMatchObject({ code });
    cluster.simulation.runFor(1_000);
    expect(cluster.call(stat, { path: "/d/log" }).extents.at(-1)?.state).toBe("open");
    for (const { told } of cluster.servers) expect(told.filter((each) => each.startsWith("fence"))).toEqual([]);
  });
});
