/** Answers that don't arrive, or can't be understood: what of the change is unknown then, and what is not (P3). */
import { describe, expect, test } from "bun:test";
import { GfsError } from "../../../src/base/errors.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { codeOf, FakeCluster, sample, testLimits } from "./fake-cluster.ts";

const never = new Promise<void>(() => {});
const x = Uint8Array.of(120);
const put = (client: GfsClient): Promise<unknown> => client.put({ kind: "bytes", bytes: x }, "/x");
const large = (client: GfsClient): Promise<unknown> => client.appendToFile("/x", sample(testLimits.chunkBytes));
const underKey = (client: GfsClient): Promise<unknown> => client.appendToFile("/x", x, { id: "k" });
const writes = [
  ["a put", put],
  ["a large append", large],
  ["an append under a key", underKey],
] as const;

describe.each(writes)("%s of which no draft was heard", (_what, write) => {
  test("had no effect: a draft alone shows nowhere", () => {
    const cluster = new FakeCluster();
    cluster.after = (name) => (name === "draft-create" ? never : undefined);
    expect(cluster.with((client) => codeOf(write(client)))).toBe("Timeout");
    expect(cluster.files.has("/x")).toBe(false);
  });
});

test("a put that is asked for a draft again when its session has ended goes on in another one", () => {
  const cluster = new FakeCluster();
  let asked = 0;
  cluster.before = async (name) => {
    if (name !== "draft-create") return;
    asked++;
    if (asked === 1) await never;
    if (asked === 2) throw new GfsError("SessionExpired", "it has ended");
  };
  expect(cluster.with((client) => codeOf(put(client)))).toBe("done");
});

describe("a commit whose first answer is lost, and that is then refused with", () => {
  test.each(["Denied", "WrongCluster", "MutationsStopped"] as const)(
    "%s, before anybody looks whether it was done, is of unknown outcome",
    (code) => {
      const cluster = new FakeCluster();
      let commits = 0;
      cluster.after = (name) => (name === "draft-commit" && ++commits === 1 ? never : undefined);
      cluster.before = (name) => {
        if (name === "draft-commit" && commits === 1) throw new GfsError(code, "not now");
      };
      expect(cluster.with((client) => codeOf(put(client)))).toBe("OutcomeUnknown");
    },
  );
});

describe.each(writes)("%s whose commit is answered with what can't be understood", (_what, write) => {
  test("is of unknown outcome", () => {
    const cluster = new FakeCluster();
    cluster.garbled = "draft-commit";
    expect(cluster.with((client) => codeOf(write(client)))).toBe("OutcomeUnknown");
    expect(cluster.files.has("/x")).toBe(true);
  });
});
