/** What is said of a commit under a key (P3): refused only where it neither took effect nor will; else that nobody knows, with the key to repeat it under. */
import { describe, expect, test } from "bun:test";
import { asGfsError, GfsError } from "../../../src/base/errors.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { FakeCluster } from "./fake-cluster.ts";

const never = new Promise<void>(() => {});
const append = (client: GfsClient): Promise<unknown> =>
  client.appendToFile("/x", new TextEncoder().encode("x"), { id: "k" });

function told(cluster: FakeCluster): { readonly code: string; readonly id?: unknown; readonly made: boolean } {
  const error = cluster.with((client) => append(client).then(() => undefined, asGfsError));
  const made = cluster.files.has("/x");
  return error === undefined ? { code: "done", made } : { code: error.code, id: error.details["id"], made };
}

describe("a commit under a key", () => {
  test.each(["MutationsStopped", "Unavailable", "ChunkLost"] as const)(
    "that is refused with %s, whenever it is sent, is refused",
    (code) => {
      const cluster = new FakeCluster();
      cluster.before = (name) => {
        if (name === "draft-commit") throw new GfsError(code, "not now");
      };
      expect(told(cluster)).toEqual({ code, id: undefined, made: false });
    },
  );

  test("that is refused after a first try of which nothing was heard is of unknown outcome: that may come yet", () => {
    const cluster = new FakeCluster();
    let commits = 0;
    cluster.before = async (name) => {
      if (name !== "draft-commit") return;
      if (++commits > 1) throw new GfsError("ChunkLost", "its copies are gone for now");
      await new Promise<void>((resolve) => {
        cluster.simulation.after(1_800, resolve);
      });
    };
    expect(told(cluster)).toEqual({ code: "OutcomeUnknown", id: "k", made: false });
    cluster.simulation.runFor(3_000);
    expect(cluster.files.has("/x")).toBe(true);
    cluster.before = () => {};
    expect(told(cluster)).toEqual({ code: "done", made: true });
  });

  describe.each(["k", "@place"])("that was done is asked for again, under %s, and the master", (kind) => {
    test.each(["MutationsStopped", "Unavailable", "silence"] as const)("answers with %s: nobody knows", (how) => {
      const cluster = new FakeCluster();
      let id: string = kind;
      if (kind === "k") expect(told(cluster).code).toBe("done");
      else {
        cluster.after = (name) => (name === "draft-commit" ? never : undefined);
        const lost = cluster.with((client) =>
          client.appendToFile("/x", Uint8Array.of(120)).then(() => undefined, asGfsError),
        );
        id = String(lost?.details["id"]);
        cluster.after = () => {};
      }
      cluster.before = async (name) => {
        if (name !== (kind === "k" ? "draft-commit" : "draft-abort")) return;
        if (how === "silence") await never;
        else throw new GfsError(how, "not now");
      };
      const again = cluster.with((client) =>
        client.appendToFile("/x", Uint8Array.of(120), { id }).then(() => undefined, asGfsError),
      );
      expect(again?.code).toBe("OutcomeUnknown");
      expect(again?.details["id"]).toBe(id);
    });
  });
});
