/** A client remembers its place in so many files: beyond that the lines of records that nobody holds end, and no others. */
import { describe, expect, test } from "bun:test";
import { asGfsError } from "../../../src/base/errors.ts";
import type { GfsClient } from "../../../src/client/gfs-client.ts";
import { FakeCluster, testLimits } from "./fake-cluster.ts";

const x = Uint8Array.of(120);
const limits = { ...testLimits, appendLinesPerClientMax: 4 };
const others = Array.from({ length: 10 }, (_, i) => `/${i}`);

function start(): FakeCluster {
  const cluster = new FakeCluster();
  for (const path of ["/f", ...others]) cluster.addFile(path, []);
  return cluster;
}

async function appendToOthers(client: GfsClient): Promise<void> {
  for (const path of others) await client.appendToFile(path, x);
}

describe("an appender", () => {
  test("goes on after its client has had lines to many other files", () => {
    const offsets = start().with(
      async (client) => {
        await using appender = await client.appender("/f");
        const first = await appender.append(x);
        await appendToOthers(client);
        const second = await appender.append(x);
        return [first.offset, second.offset];
      },
      { limits },
    );
    expect(offsets).toEqual([0, 1]);
  });

  test("that was closed makes room for others, and says so to whoever goes on with it", () => {
    const error = start().with(
      async (client) => {
        const appender = await client.appender("/f");
        await appender.append(x);
        await appender.close();
        await appendToOthers(client);
        return appender.append(x).then(() => undefined, asGfsError);
      },
      { limits },
    );
    expect(error?.message).toBe("Cannot append any more: the appender was closed");
  });
});
