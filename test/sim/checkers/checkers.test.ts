import { describe, expect, test } from "bun:test";
import { concatBytes } from "../../../src/base/bytes.ts";
import { GfsError } from "../../../src/base/errors.ts";
import { recordOf } from "../content.ts";
import { judged, type Script } from "./history-script.ts";

const path = "/hot/f0";

describe("an honest history", () => {
  test("is no violation", () => {
    expect(
      judged((s) => {
        const a = s.appended(path, 0);
        const b = s.appended(path, 20);
        s.read(path, [a, b]);
        const put = s.putDone("/g/f");
        const more = s.appended("/g/f", 20);
        s.moved("/g/f", "/g/h");
        s.read("/g/h", [put, more]);
        s.read("/g/f", undefined);
        s.removed("/g/h");
      }),
    ).toEqual([]);
  });

  test("may leave the outcome of what was never answered open", () => {
    for (const happened of [true, false]) {
      expect(
        judged((s) => {
          const lost = s.append(path);
          const put = s.put("/g/f");
          s.history.failed(put, new GfsError("OutcomeUnknown", "who knows"));
          s.read(path, happened ? [lost] : undefined);
          s.read("/g/f", happened ? [put] : undefined);
        }),
      ).toEqual([]);
    }
  });
});

const doctored: readonly (readonly [name: string, says: string, write: (script: Script) => void])[] = [
  [
    "an acknowledged append is missing",
    "P1 acknowledged and not there",
    (s) => {
      s.appended(path, 0);
      s.read(path, []);
    },
  ],
  [
    "a file with acknowledged appends is gone",
    "P1 acknowledged and not there",
    (s) => {
      s.appended(path, 0);
      s.read(path, undefined);
    },
  ],
  [
    "a record is in the file twice",
    "is in the file twice",
    (s) => {
      const a = s.appended(path, 0);
      s.read(path, [a, a]);
    },
  ],
  [
    "a record is in two files",
    "took effect twice",
    (s) => {
      const a = s.appended(path, 0);
      const b = s.appended("/hot/f1", 0);
      s.read(path, [a]);
      s.read("/hot/f1", [b, a]);
    },
  ],
  [
    "a record is elsewhere than it was acknowledged",
    "was acknowledged at 20 and is at 0",
    (s) => {
      const a = s.appended(path, 20);
      s.read(path, [a]);
    },
  ],
  [
    "a retry was told another offset",
    "was acknowledged at 20 and is at 0",
    (s) => {
      const a = s.append(path);
      a.offsets.push(0);
      s.ends(a, 20);
      s.read(path, [a]);
    },
  ],
  [
    "a record is torn",
    "is cut",
    (s) => {
      const a = s.appended(path, 0);
      s.readBytes(path, recordOf(a.id, 20).subarray(0, 18));
    },
  ],
  [
    "a file ends with padding",
    "no record begins at 20",
    (s) => {
      const a = s.appended(path, 0);
      s.readBytes(path, concatBytes([recordOf(a.id, 20), new Uint8Array(64)]));
    },
  ],
  [
    "a byte is flipped",
    "differs from what was written at its byte 19",
    (s) => {
      const bytes = recordOf(s.appended(path, 0).id, 20);
      bytes[19]! ^= 1;
      s.readBytes(path, bytes);
    },
  ],
  [
    "two reads saw different orders",
    "two reads of one file differ",
    (s) => {
      const a = s.append(path);
      const b = s.append(path);
      const c = s.append(path);
      s.read(path, [a, b]);
      s.read(path, [a, c]);
    },
  ],
  [
    "bytes once read vanish",
    "have vanished",
    (s) => {
      const a = s.append(path);
      const b = s.append(path);
      s.read(path, [a, b]);
      s.read(path, [a]);
    },
  ],
  [
    "the order of one lane is turned round",
    "was sent before",
    (s) => {
      const a = s.append(path);
      const b = s.append(path);
      s.ends(b, 0);
      s.ends(a, 20);
      s.read(path, [b, a]);
    },
  ],
  [
    "a later append lies before an acknowledged one",
    "which was acknowledged before it was called",
    (s) => {
      const a = s.appended(path, 20, "c1");
      const b = s.appended(path, 0, "c2");
      s.read(path, [b, a]);
    },
  ],
  [
    "what was refused took effect",
    "took effect although it was refused",
    (s) => {
      const a = s.append(path);
      s.history.failed(a, new GfsError("NoSpace", "full"));
      s.read(path, [a]);
    },
  ],
  [
    "an acknowledged put is not there",
    "no order of the operations under /g",
    (s) => {
      s.putDone("/g/f");
      s.read("/g/f", undefined);
    },
  ],
  [
    "a stale put is read",
    "no order of the operations under /g",
    (s) => {
      const first = s.putDone("/g/f");
      s.putDone("/g/f");
      s.read("/g/f", [first]);
    },
  ],
  [
    "an append succeeded in a file that had been replaced",
    "no order of the operations under /g",
    (s) => {
      s.appended("/g/f", 0);
      const put = s.putDone("/g/f");
      s.appended("/g/f", 20);
      s.read("/g/f", [put]);
    },
  ],
  [
    "a removed file is back",
    "no order of the operations under /g",
    (s) => {
      const put = s.putDone("/g/f");
      s.removed("/g/f");
      s.read("/g/f", [put]);
    },
  ],
  [
    "a file is at both ends of a move",
    "no order of the operations under /g",
    (s) => {
      const put = s.putDone("/g/f");
      s.moved("/g/f", "/g/h");
      s.read("/g/h", [put]);
      s.read("/g/f", [put]);
    },
  ],
  [
    "a put is seen, then not, then again",
    "no order of the operations under /g",
    (s) => {
      const first = s.putDone("/g/f");
      const second = s.put("/g/f");
      s.read("/g/f", [second]);
      s.read("/g/f", [first]);
    },
  ],
];

describe("an append to a file that was moved", () => {
  for (const [name, after, violations] of [
    ["may reach it where it was called before", false, 0],
    ["may not where it was called after", true, 1],
  ] as const) {
    test(name, () => {
      expect(
        judged((s) => {
          const put = s.putDone("/g/f");
          const early = after ? undefined : s.append("/g/f");
          s.moved("/g/f", "/g/h");
          const append = early ?? s.append("/g/f");
          s.ends(append, 20);
          s.read("/g/h", [put, append]);
        }),
      ).toHaveLength(violations);
    });
  }
});

describe("a doctored history", () => {
  for (const [name, says, write] of doctored) {
    test(`is caught where ${name}`, () => {
      expect(judged(write).join("\n")).toContain(says);
    });
  }
});
