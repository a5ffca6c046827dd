import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { makeHostControl } from "../../../src/host/control.ts";
import { ControlError } from "../../../src/io.ts";

/** What a broken server may do with a call, by its path. */
const misdeeds: Readonly<Record<string, (stream: ServerHttp2Stream) => void>> = {
  "/cut": (stream) => {
    stream.respond({ ":status": 200, "content-length": "100" });
    stream.write(new Uint8Array(60));
    setTimeout(() => stream.session?.destroy(), 20);
  },
  "/cut-without-length": (stream) => {
    stream.respond({ ":status": 200 });
    stream.write(new Uint8Array(60));
    setTimeout(() => stream.session?.destroy(), 20);
  },
  "/short": (stream) => {
    stream.respond({ ":status": 200, "content-length": "100" });
    stream.end(new Uint8Array(60));
  },
  "/reset": (stream) => stream.close(2),
  "/gone": (stream) => stream.session?.destroy(),
  "/silent": () => {},
  "/without-length": (stream) => {
    stream.respond({ ":status": 200 });
    stream.end("whole?");
  },
  "/fine": (stream) => {
    stream.respond({ ":status": 200, "content-length": "4" });
    stream.end("fine");
  },
};

let server: Http2Server;
let address = "";
let sessions = 0;

beforeAll(async () => {
  server = createServer();
  server.on("session", () => sessions++);
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on("error", () => {});
    misdeeds[headers[":path"] ?? ""]?.(stream);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const bound = server.address();
  address = typeof bound === "object" && bound !== null ? `127.0.0.1:${bound.port}` : "";
});

afterAll(() => {
  server.close();
});

const body = new Uint8Array(0);

describe("control client against a broken server", () => {
  test.each(["/cut", "/cut-without-length", "/without-length", "/short", "/reset", "/gone"])(
    "%s is an error of unknown outcome, never an answer; the next call is well",
    async (path) => {
      const channel = makeHostControl().channel(address);
      const error: unknown = await channel.post({ path, body, timeoutMs: 2000 }).catch((failure: unknown) => failure);
      if (!(error instanceof ControlError)) throw new Error(`got ${JSON.stringify(error)}`);
      expect({ kind: error.kind, notSent: error.notSent }).toEqual({ kind: "closed", notSent: false });
      const answer = await channel.post({ path: "/fine", body, timeoutMs: 2000 });
      expect(new TextDecoder().decode(answer.body)).toBe("fine");
      channel.close();
    },
  );

  test("a server that said nothing at all in time is connected to anew; one that speaks keeps its session", async () => {
    const channel = makeHostControl().channel(address);
    const before = sessions;
    await channel.post({ path: "/silent", body, timeoutMs: 30 }).catch(() => {});
    await channel.post({ path: "/fine", body, timeoutMs: 2000 });
    expect(sessions - before).toBe(2);
    const silent = channel.post({ path: "/silent", body, timeoutMs: 60 }).catch(() => {});
    await channel.post({ path: "/fine", body, timeoutMs: 2000 });
    await silent;
    await channel.post({ path: "/fine", body, timeoutMs: 2000 });
    expect(sessions - before).toBe(2);
    channel.close();
  });

  test("abort listeners are removed again", async () => {
    const channel = makeHostControl().channel(address);
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    };
    for (const path of ["/fine", "/reset", "/gone", "/fine"]) {
      await channel.post({ path, body, timeoutMs: 2000, signal }).catch(() => {});
    }
    expect(listeners).toBe(0);
    channel.close();
  });

  test("an address that is none is refused at once", () => {
    expect(() => makeHostControl().channel("nowhere")).toThrow("it is not host:port");
  });
});
