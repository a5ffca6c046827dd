import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { makeHostStream } from "../../../src/host/stream.ts";
import { StreamError } from "../../../src/io.ts";

const stream = makeHostStream();

async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "none";
  } catch (error) {
    return error instanceof StreamError ? error.kind : String(error);
  }
}

describe("stream on the host", () => {
  test("connect() to a machine that does not answer ends in time, and late connections are dropped", async () => {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "process-child.ts"), "listen"], {
      stdout: "pipe",
    });
    const address = new TextDecoder().decode((await child.stdout.getReader().read()).value).trim();
    // A stopped process accepts as many as the system queues for it (512), and no more.
    child.kill("SIGSTOP");
    const kinds = await Promise.all(
      Array.from({ length: 600 }, async () => {
        const connecting = stream.connect(address, { timeoutMs: 1_000 });
        void connecting.then(
          (connection) => setTimeout(() => connection.close(), 300),
          () => {},
        );
        return failureOf(connecting);
      }),
    );
    expect(new Set(kinds)).toEqual(new Set(["none", "timeout"]));
    child.kill("SIGKILL");
    await child.exited;
  });

  test("a name that does not exist, and an address that is none", async () => {
    expect(await failureOf(stream.connect("no-such-host.invalid:80", { timeoutMs: 5000 }))).toBe("refused");
    expect(await failureOf(stream.connect("nowhere", { timeoutMs: 5000 }))).toContain("it is not host:port");
    expect(await failureOf(stream.listen("nowhere", () => {}))).toContain("it is not host:port");
  });

  test("the other side killed in the middle of a transfer is an error for sender and reader", async () => {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "process-child.ts"), "listen"], {
      stdout: "pipe",
    });
    const address = new TextDecoder().decode((await child.stdout.getReader().read()).value).trim();
    const connection = await stream.connect(address, { timeoutMs: 2000 });
    connection.send([new Uint8Array(32 << 20)]);
    const failures = [failureOf(connection.sent()), failureOf(connection.read())];
    await Bun.sleep(50);
    child.kill("SIGKILL");
    expect(await Promise.all(failures)).toEqual(["closed", "closed"]);
  });
});
