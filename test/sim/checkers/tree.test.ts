import { describe, expect, test } from "bun:test";
import { concatBytes } from "../../../src/base/bytes.ts";
import { GfsError } from "../../../src/base/errors.ts";
import { recordOf } from "../content.ts";
import type { RemoveCall } from "../history.ts";
import { judged, type Script } from "./history-script.ts";

const noOrder = "no order of the operations under /g";

describe("an honest history of directories", () => {
  test("is no violation", () => {
    expect(
      judged((s) => {
        const put = s.putDone("/g/a/f");
        s.listed("/g/a", ["f"]);
        s.listed("/g", ["a"]);
        s.madeDirectory("/g/b");
        s.moved("/g/a", "/g/b");
        s.read("/g/b/a/f", [put]);
        s.read("/g/a/f", undefined);
        s.removed("/g/b");
        s.listed("/g", []);
        s.listed("/g/b", undefined);
        s.restored("/g/b");
        s.read("/g/b/a/f", [put]);
      }),
    ).toEqual([]);
  });

  test("has an older entry restored where the newest was kept briefly, and a tree kept for what is in it", () => {
    expect(
      judged((s) => {
        const first = s.putDone("/g/a/f");
        s.removed("/g/a/f");
        s.retained("/g/a", 5_000);
        s.putDone("/g/a/f");
        s.removed("/g/a/f");
        s.restored("/g/a/f");
        s.read("/g/a/f", [first]);
        s.retained("/g", 0);
        s.removed("/g/a");
        s.restored("/g/a");
        s.purged("/g/none", true);
        s.read("/g/a/f", [first]);
      }),
    ).toEqual([]);
  });

  test("has an append reach a file whose directory was moved since", () => {
    expect(
      judged((s) => {
        const put = s.putDone("/g/a/f");
        const append = s.append("/g/a/f");
        s.moved("/g/a", "/g/b");
        s.ends(append, 20);
        s.read("/g/b/f", [put, append]);
      }),
    ).toEqual([]);
  });
});

type Doctored = readonly [name: string, says: string, write: (script: Script) => void];

const doctored: readonly Doctored[] = [
  [
    "a removed directory is still listed",
    noOrder,
    (s) => {
      s.madeDirectory("/g");
      s.madeDirectory("/g/a");
      s.removed("/g/a");
      s.listed("/g", ["a"]);
    },
  ],
  [
    "a file outlives its directory",
    noOrder,
    (s) => {
      const put = s.putDone("/g/a/f");
      s.removed("/g/a");
      s.read("/g/a/f", [put]);
    },
  ],
  [
    "a moved directory leaves a file behind",
    noOrder,
    (s) => {
      const put = s.putDone("/g/a/f");
      s.moved("/g/a", "/g/b");
      s.read("/g/b/f", undefined);
      s.read("/g/a/f", [put]);
    },
  ],
  [
    "what was restored is older than the newest that was removed",
    noOrder,
    (s) => {
      const first = s.putDone("/g/f");
      s.removed("/g/f");
      s.putDone("/g/f");
      s.removed("/g/f");
      s.restored("/g/f");
      s.read("/g/f", [first]);
    },
  ],
  [
    "what was purged is restored",
    noOrder,
    (s) => {
      s.putDone("/g/a/f");
      s.removed("/g/a/f");
      s.purged("/g/a", true);
      s.restored("/g/a/f");
    },
  ],
  [
    "what was removed where nothing is kept is restored",
    noOrder,
    (s) => {
      s.putDone("/g/a/f");
      s.retained("/g", 0);
      s.removed("/g/a/f");
      s.restored("/g/a/f");
    },
  ],
  [
    "a directory that keeps nothing keeps nothing where it was moved from",
    noOrder,
    (s) => {
      s.madeDirectory("/g");
      s.madeDirectory("/g/a");
      s.retained("/g/a", 0);
      s.moved("/g/a", "/g/b");
      s.putDone("/g/b/f");
      s.removed("/g/b/f");
      s.restored("/g/b/f");
    },
  ],
  [
    "a directory is made twice",
    noOrder,
    (s) => {
      s.madeDirectory("/g");
      s.madeDirectory("/g");
    },
  ],
  [
    "a directory is refused as not empty that is",
    noOrder,
    (s) => {
      s.madeDirectory("/g");
      s.madeDirectory("/g/a");
      const base = s.history.call("c1", "/g/a");
      const call = s.history.add<RemoveCall>({ ...base, kind: "remove", recursive: false, skipTrash: true });
      s.history.failed(call, new GfsError("DirectoryNotEmpty", "it is not"));
    },
  ],
  [
    "a part of a file has other bytes than the whole",
    "is not that of the whole file",
    (s) => {
      const a = s.appended("/hot/f", 0);
      const b = s.appended("/hot/f", 20);
      s.readRange("/hot/f", { offset: 10, length: 5 }, new Uint8Array(5));
      s.read("/hot/f", [a, b]);
    },
  ],
  [
    "a part of a file ends before what was acknowledged",
    "after 40 were acknowledged",
    (s) => {
      const a = s.appended("/hot/f", 0);
      const b = s.appended("/hot/f", 20);
      s.readRange("/hot/f", { offset: 0, length: 40 }, recordOf(a.id, 20));
      s.read("/hot/f", [a, b]);
    },
  ],
];

describe("a doctored history", () => {
  for (const [name, says, write] of doctored) {
    test(`is caught where ${name}`, () => {
      expect(judged(write).join("\n")).toContain(says);
    });
  }

  test("is none where the part is right", () => {
    expect(
      judged((s) => {
        const a = s.appended("/hot/f", 0);
        const b = s.appended("/hot/f", 20);
        const whole = concatBytes([recordOf(a.id, 20), recordOf(b.id, 20)]);
        s.readRange("/hot/f", { offset: 15, length: 10 }, whole.slice(15, 25));
        s.readRange("/hot/f", { offset: 30, length: 100 }, whole.slice(30));
        s.read("/hot/f", [a, b]);
      }),
    ).toEqual([]);
  });
});
