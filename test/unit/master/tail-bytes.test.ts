import { describe, expect, test } from "bun:test";
import { sleep } from "../../../src/net/deadline.ts";
import { SmallCluster } from "../../paper/small-cluster.ts";
import { simLimits } from "../../sim/sim-limits.ts";

describe("sizes of what is being appended to (P7)", () => {
  test("du and status count what heartbeats told of it, and how many files may hold more", () => {
    const small = new SmallCluster();
    const [sealed, open] = small.as("c", async (client, { clock }) => {
      await client.makeDirectory("/d");
      await client.put({ kind: "bytes", bytes: new Uint8Array(700) }, "/d/whole");
      const look = async () => ({ usage: await client.usage("/d"), status: await client.status() });
      const before = await look();
      for (const name of ["a", "b"]) {
        await client.put({ kind: "bytes", bytes: new Uint8Array(0) }, `/d/${name}`);
        await client.appendToFile(`/d/${name}`, new Uint8Array(50));
      }
      await sleep(clock, 3 * simLimits.heartbeatMs);
      return [before, await look()];
    });
    const { replicas } = simLimits;
    expect(sealed.usage).toEqual({
      files: 1,
      directories: 0,
      openFiles: 0,
      bytes: 700,
      storedBytes: 700 * replicas,
    });
    expect(sealed.status).toMatchObject({ files: 1, openFiles: 0, bytes: 700 });
    expect(open.usage).toEqual({ files: 3, directories: 0, openFiles: 2, bytes: 800, storedBytes: 800 * replicas });
    expect(open.status).toMatchObject({ files: 3, directories: 1, openFiles: 2, bytes: 800 });
  });
});
