/** What does not speak gfs, on every port; and gfs pointed at what is no master. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { encodeFrame, FrameParser } from "../../src/wire/data/frame.ts";
import { encodeHeader, ErrorHeader, decodeHeader, Hello } from "../../src/wire/data/headers.ts";
import { gfs, TestCluster, type ServerProcess } from "../tools/processes.ts";

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.start();
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

const ports = ["master control", "chunkserver control", "chunkserver data"] as const;

function addressOf(port: (typeof ports)[number]): string {
  if (port === "master control") return cluster.address;
  return cluster.chunkservers[0]?.ready[port === "chunkserver data" ? "data" : "control"] ?? "";
}

/** Says all of it, and gives what comes back until the other side ends, it is `enough`, or it hangs up itself. */
function say(
  address: string,
  pieces: readonly Uint8Array[],
  {
    hangUpAfterMs = 100_000,
    enough = () => false,
  }: { readonly hangUpAfterMs?: number; readonly enough?: (answer: Buffer) => boolean } = {},
) {
  const { hostname, port } = new URL(`tcp://${address}`);
  return new Promise<{ readonly answer: Buffer; readonly ended: boolean }>((resolve) => {
    const socket = connect(Number(port), hostname);
    const got: Buffer[] = [];
    const done = (ended: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ answer: Buffer.concat(got), ended });
    };
    const timer = setTimeout(() => done(false), hangUpAfterMs);
    socket.on("data", (bytes: Buffer) => {
      got.push(bytes);
      if (enough(Buffer.concat(got))) done(false);
    });
    socket.on("end", () => done(true));
    socket.on("error", () => done(true));
    for (const piece of pieces) socket.write(piece);
  });
}

function residentMiB(server: ServerProcess | undefined): number {
  const text = readFileSync(`/proc/${server?.pid ?? 0}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1]) / 1_024;
}

/** Every server is there, and serves others. */
async function unharmed(): Promise<void> {
  const put = await cluster.run(["put", "-", "/unharmed", "--overwrite"], { stdin: new Uint8Array(100_000) });
  expect([put.code, put.stderr]).toEqual([0, ""]);
  expect((await cluster.run(["get", "/unharmed", "-"])).stdout).toHaveLength(100_000);
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const noise = crypto.getRandomValues(new Uint8Array(65_536));
const http2 = text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const settings = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0);
const hugeFrame = Uint8Array.of(255, 255, 255, 0, 0, 0, 0, 0, 1);

describe("strangers", () => {
  test.each<[string, readonly Uint8Array[]]>([
    ["noise", [noise]],
    ["a little noise", [noise.subarray(0, 10)]],
    ["much noise", Array.from({ length: 400 }, () => noise)],
    ["a TLS hello", [Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3)]],
    [
      "endless HTTP headers",
      [text("GET / HTTP/1.1\r\nX: "), ...Array.from({ length: 100 }, () => text("a".repeat(65_536)))],
    ],
    [
      "a body of 10 GB",
      [
        text("POST /v1/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n"),
        ...Array.from({ length: 200 }, () => noise),
      ],
    ],
    ["HTTP/2, then noise", [http2, settings, noise]],
    ["an HTTP/2 frame over its limit", [http2, settings, hugeFrame, noise]],
  ])("with %s are told to go, on every port, and nobody else notices", async (_, pieces) => {
    for (const port of ports) {
      const { answer, ended } = await say(addressOf(port), pieces);
      expect([port, ended]).toEqual([port, true]);
      if (port === "chunkserver data" && answer.length > 0)
        expect(answer.toString("latin1")).toContain("ProtocolError");
    }
    for (const server of [cluster.master, cluster.chunkservers[0]]) expect(residentMiB(server)).toBeLessThan(200);
    await unharmed();
  });

  test("who hang up within a request stop no server", async () => {
    const half = text("POST /v1/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
    for (const port of ports) await say(addressOf(port), [half], { hangUpAfterMs: 100 });
    const silent = await say(addressOf("chunkserver control"), [], { hangUpAfterMs: 100 });
    expect(silent.ended).toBe(false);
    await Bun.sleep(200);
    await unharmed();
    expect([cluster.master, ...cluster.chunkservers].map(({ stderr }) => /\.bug/.test(stderr))).not.toContain(true);
  });

  test("who are silent on a control port are sent away after 12 s, and within a minute where they began as HTTP/2", async () => {
    const silent = await Promise.all(
      (["master control", "chunkserver control"] as const).flatMap((port) => [
        say(addressOf(port), []),
        say(addressOf(port), [text("POST /v1/hello HTTP/1.1\r\nHost:")]),
        say(addressOf(port), [http2, settings]),
      ]),
    );
    expect(silent.map(({ ended }) => ended)).toEqual(silent.map(() => true));
    await unharmed();
  }, 120_000);

  test("who are silent on the data port are told so after 5 s", async () => {
    const { answer, ended } = await say(addressOf("chunkserver data"), []);
    expect(ended).toBe(true);
    expect(answer.toString("latin1")).toContain("Timeout");
  });
});

describe("on a data connection, after the hello,", () => {
  const hello = encodeHeader(Hello, {
    versionMin: 1,
    versionMax: 1,
    role: "client",
    nonce: crypto.getRandomValues(new Uint8Array(32)),
  });

  function fixed(change: (header: DataView) => void, repairCrc = true): Uint8Array {
    const header = new Uint8Array(24);
    header.set(text("gfsd"));
    header[4] = 1;
    header[5] = 10;
    const view = new DataView(header.buffer);
    view.setUint32(8, 1, true);
    change(view);
    const crc = Bun.hash.crc32(header.subarray(0, 20));
    view.setUint32(20, repairCrc ? crc : crc ^ 1, true);
    return header;
  }

  test.each<[string, Uint8Array, string]>([
    ["a payload over its limit", fixed((view) => view.setUint32(16, 0xffff_ffff, true)), "too long"],
    ["a header over its limit", fixed((view) => view.setUint32(12, 65_537, true)), "too long"],
    ["an unknown type", fixed((view) => view.setUint8(5, 99)), "unknown type 99"],
    ["another version", fixed((view) => view.setUint8(4, 9)), "version 9"],
    ["a wrong checksum", fixed(() => {}, false), "checksum"],
  ])("%s ends it with a typed error", async (_, frame, why) => {
    const { answer, ended } = await say(addressOf("chunkserver data"), [...encodeFrame("hello", 0, hello), frame]);
    const frames = new FrameParser().feed(new Uint8Array(answer));
    const last = frames.at(-1);
    expect([ended, last?.type, last?.stream]).toEqual([true, "error", 0]);
    const error = decodeHeader(ErrorHeader, last?.header ?? new Uint8Array(0));
    expect(error.code).toMatch(/^(ProtocolError|VersionUnsupported)$/);
    expect(error.message).toContain(why);
    await unharmed();
  });

  test("a stream that opens with nonsense is refused, and the connection goes on", async () => {
    const nonsense = encodeFrame("writeOpen", 7, noise.subarray(0, 500));
    const ping = encodeFrame("ping", 8, new Uint8Array(3));
    const framesOf = (answer: Buffer) => new FrameParser().feed(new Uint8Array(answer));
    const { answer } = await say(
      addressOf("chunkserver data"),
      [...encodeFrame("hello", 0, hello), ...nonsense, ...ping],
      { enough: (soFar) => framesOf(soFar).length >= 3 },
    );
    const frames = framesOf(answer);
    expect(frames.map(({ type, stream }) => [type, stream])).toEqual([
      ["helloReply", 0],
      ["error", 7],
      ["pong", 8],
    ]);
  });
});

describe("gfs pointed at what is no master says what, and which setting pointed there:", () => {
  async function refusedAt(address: string, code: number): Promise<string> {
    const result = await gfs(["ls", "/", "--master", address, "--timeout", "2"]);
    expect(result.code).toBe(code);
    expect(result.stderr).toContain(`${address} (flag --master)`);
    expect(result.ms).toBeLessThan(10_000);
    return result.stderr;
  }

  test("a chunkserver's ports", async () => {
    expect(await refusedAt(addressOf("chunkserver control"), 1)).toContain("chunkserver has no such route");
    await refusedAt(addressOf("chunkserver data"), 7);
  });

  test("a web server", async () => {
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("hello") });
    await refusedAt(`127.0.0.1:${server.port}`, 7);
    await server.stop(true);
  });

  test("one that never answers", async () => {
    const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    expect(await refusedAt(`127.0.0.1:${server.port}`, 7)).toContain("no answer within 2000 ms");
    server.stop(true);
  });
});
