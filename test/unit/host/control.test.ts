import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { utf8 } from "../../../src/base/bytes.ts";
import { makeHostControl } from "../../../src/host/control.ts";
import { encodeNumberFrame, frameFlag, frameType } from "../../../src/host/http2/frames.ts";
import { ControlError } from "../../../src/io.ts";
import { dataFrame, headersFrame, type RawCall, startRawServer } from "./http2/raw-server.ts";

const { endStream } = frameFlag;
const sixty = new Uint8Array(60);
const ok = { ":status": "200" };

/** What a broken server may do with a call, by its path. */
const misdeeds: Readonly<Record<string, (call: RawCall) => void>> = {
  "/cut": ({ socket, stream }) => {
    socket.write(headersFrame(stream, { ...ok, "content-length": "100" }));
    socket.write(dataFrame(stream, sixty));
    socket.end();
  },
  "/short": ({ socket, stream }) => {
    socket.write(headersFrame(stream, { ...ok, "content-length": "100" }));
    socket.write(dataFrame(stream, sixty, endStream));
  },
  "/long": ({ socket, stream }) => {
    socket.write(headersFrame(stream, { ...ok, "content-length": "59" }));
    socket.write(dataFrame(stream, sixty, endStream));
  },
  "/without-length": ({ socket, stream }) => {
    socket.write(headersFrame(stream, ok));
    socket.write(dataFrame(stream, utf8("whole?"), endStream));
  },
  "/without-status": ({ socket, stream }) => {
    socket.write(headersFrame(stream, { "content-length": "0" }, endStream));
  },
  "/reset": ({ socket, stream }) => {
    socket.write(encodeNumberFrame(frameType.reset, stream, 2));
  },
  "/reset-without-error": ({ socket, stream }) => {
    socket.write(headersFrame(stream, { ...ok, "content-length": "60" }));
    socket.write(encodeNumberFrame(frameType.reset, stream, 0));
  },
  "/garbage": ({ socket }) => {
    socket.write(utf8("HTTP/1.1 400 Bad Request\r\n\r\n"));
  },
  "/gone": ({ socket }) => socket.terminate(),
  "/silent": () => {},
  "/fine": ({ socket, stream }) => {
    socket.write(headersFrame(stream, { ...ok, "content-length": "4" }));
    socket.write(dataFrame(stream, utf8("fine"), endStream));
  },
  "/refused": ({ socket, stream }) => {
    socket.write(encodeNumberFrame(frameType.reset, stream, 7));
  },
  "/leaving": ({ socket, stream }) => {
    socket.write(encodeNumberFrame(frameType.goaway, 0, stream - 2, 0));
  },
};

let server: ReturnType<typeof startRawServer>;
let address = "";
let sessions = 0;

beforeAll(() => {
  server = startRawServer(
    (call) => misdeeds[call.path]?.(call),
    () => sessions++,
  );
  address = `127.0.0.1:${server.port}`;
});

afterAll(() => {
  server.stop(true);
});

const body = new Uint8Array(0);

describe("control client against a broken server", () => {
  test.each([
    "/cut",
    "/without-length",
    "/without-status",
    "/short",
    "/long",
    "/reset",
    "/reset-without-error",
    "/garbage",
    "/gone",
  ])("%s is an error of unknown outcome, never an answer; the next call is well", async (path) => {
    const channel = makeHostControl().channel(address);
    const error: unknown = await channel.post({ path, body, timeoutMs: 2000 }).catch((failure: unknown) => failure);
    if (!(error instanceof ControlError)) throw new Error(`got ${JSON.stringify(error)}`);
    expect({ kind: error.kind, notSent: error.notSent }).toEqual({ kind: "closed", notSent: false });
    const answer = await channel.post({ path: "/fine", body, timeoutMs: 2000 });
    expect(new TextDecoder().decode(answer.body)).toBe("fine");
    channel.close();
  });

  test.each(["/refused", "/leaving"])("%s surely did nothing; the next call is well", async (path) => {
    const channel = makeHostControl().channel(address);
    await channel.post({ path: "/fine", body, timeoutMs: 2000 });
    const error: unknown = await channel.post({ path, body, timeoutMs: 2000 }).catch((failure: unknown) => failure);
    if (!(error instanceof ControlError)) throw new Error(`got ${JSON.stringify(error)}`);
    expect({ kind: error.kind, notSent: error.notSent }).toEqual({ kind: "refused", notSent: true });
    expect((await channel.post({ path: "/fine", body, timeoutMs: 2000 })).status).toBe(200);
    channel.close();
  });

  test("a server that said nothing at all in time is connected to anew; one that speaks keeps its session", async () => {
    const channel = makeHostControl().channel(address);
    const before = sessions;
    const silent = channel.post({ path: "/silent", body, timeoutMs: 29.999999559 });
    expect(await silent.catch(String)).toMatch(/\/silent: no answer in 30 ms$/);
    await channel.post({ path: "/fine", body, timeoutMs: 2000 });
    expect(sessions - before).toBe(2);
    const slow = channel.post({ path: "/silent", body, timeoutMs: 60 }).catch(() => {});
    await channel.post({ path: "/fine", body, timeoutMs: 2000 });
    await slow;
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

  test("a deadline ends its own call alone, also the earlier one of a later call", async () => {
    const channel = makeHostControl().channel(address);
    const ends: string[] = [];
    const silent = async (timeoutMs: number): Promise<void> => {
      await channel.post({ path: "/silent", body, timeoutMs }).catch(() => {});
      ends.push(`silent ${timeoutMs}`);
    };
    const late = silent(250);
    await Promise.all([silent(50), silent(100)]);
    expect((await channel.post({ path: "/fine", body, timeoutMs: 2000 })).status).toBe(200);
    ends.push("fine");
    await late;
    expect(ends).toEqual(["silent 50", "silent 100", "fine", "silent 250"]);
    channel.close();
  });

  test("an idle session lets the process end, one in use does not", async () => {
    const url = new URL("../../../src/host/control.ts", import.meta.url).href;
    const script = `const { makeHostControl } = await import(${JSON.stringify(url)});
      const channel = makeHostControl().channel(${JSON.stringify(address)});
      const call = (path, timeoutMs) => channel.post({ path, body: new Uint8Array(0), timeoutMs });
      await call("/fine", 5000);
      call("/silent", 50).catch(() => console.log("ended"));`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
    expect(await new Response(child.stdout).text()).toBe("ended\n");
    expect(await child.exited).toBe(0);
  });

  test("an address that is none is refused at once", () => {
    expect(() => makeHostControl().channel("nowhere")).toThrow("it is not host:port");
  });
});
