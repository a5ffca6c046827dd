/** The program of a client: does what it is told on standard input, by the library or by the command line, and answers on standard output. */
import { concatBytes } from "../../src/base/bytes.ts";
import { crc32 } from "../../src/base/checksum.ts";
import { asGfsError } from "../../src/base/errors.ts";
import { GfsClient } from "../../src/gfs.ts";
import { defaultLimits } from "../../src/limits.ts";
import { parseContent, recordOf } from "../sim/content.ts";
import { parseSecret } from "../../src/net/secret.ts";
import { type Answer, type Command, Request } from "./client-commands.ts";
import { runGfs } from "./command-line.ts";

type Result = Omit<Answer, "request">;

const [master = "", label = "", secretPath = "", timeoutSeconds = "20", folder = ""] = process.argv.slice(2);
const options = {
  master,
  label,
  secret: parseSecret(await Bun.file(secretPath).text(), secretPath),
  location: { x: 7 * Math.random(), y: 0 },
  limits: { ...defaultLimits, clientTimeoutMs: Number(timeoutSeconds) * 1_000, clientHeartbeatMs: 2_000 },
};
let connected: Promise<GfsClient> | undefined;

/** The one client of this process; connected at the first command that gets through. */
function client(): Promise<GfsClient> {
  connected ??= GfsClient.connect(options).catch((error: unknown) => {
    connected = undefined;
    throw error;
  });
  return connected;
}

function answer(request: number, result: Result): void {
  process.stdout.write(`${JSON.stringify({ request, ...result })}\n`);
}

function failure(thrown: unknown): Result {
  const error = asGfsError(thrown);
  const stack = error.code === "Bug" ? `\n${error.stack ?? ""}` : "";
  return { error: { code: error.code, message: `${error.message}${stack}` } };
}

function signalOf({ giveUpMs }: Command): AbortSignal | undefined {
  if (giveUpMs === undefined) return undefined;
  const controller = new AbortController();
  setTimeout(() => controller.abort(), giveUpMs);
  return controller.signal;
}

async function perform(request: number, command: Command): Promise<Result> {
  if (command.tool === true) return byTool(command);
  const library = await client();
  const { path } = command;
  const signal = signalOf(command);
  switch (command.kind) {
    case "put": {
      const bytes = command.bytes === 0 ? new Uint8Array() : recordOf(command.call, command.bytes);
      await library.put({ kind: "bytes", bytes }, path, { overwrite: command.overwrite, signal });
      return {};
    }
    case "append": {
      const record = recordOf(command.call, command.bytes);
      const { offset } = await library.appendToFile(path, record, { id: command.key, create: command.create, signal });
      return { offset };
    }
    case "run":
      await run(request, command, library);
      return {};
    case "read":
    case "range": {
      const range = command.kind === "range" ? { offset: command.offset, length: command.length } : {};
      const pieces: Uint8Array[] = [];
      for await (const piece of library.read(path, { ...range, signal })) pieces.push(piece);
      return readResult(command, concatBytes(pieces));
    }
    case "stat":
      return { bytes: (await library.stat(path)).entry.bytes };
    case "list": {
      const names: string[] = [];
      for await (const entry of library.list(path)) names.push(entry.name);
      return { names };
    }
    case "remove":
      await library.remove(path, { skipTrash: command.skipTrash, signal });
      return {};
    case "move":
      await library.move(path, command.to, { overwrite: command.overwrite, signal });
      return {};
    default:
      return command satisfies never;
  }
}

function readResult(command: Command, bytes: Uint8Array): Result {
  if (command.kind === "range") return { bytes: bytes.length, crc: crc32(bytes) };
  const content = parseContent(bytes);
  const records = content.records.map((one): [number, number, number] => [one.operation, one.offset, one.bytes]);
  return {
    bytes: bytes.length,
    content: content.kind === "whole" ? { kind: "whole", records } : { kind: "broken", records, why: content.why },
  };
}

async function run(request: number, command: Extract<Command, { kind: "run" }>, library: GfsClient): Promise<void> {
  const sent: Promise<void>[] = [];
  const appender = await library.appender(command.path, { create: command.create });
  try {
    for (const { call, bytes } of command.records) {
      await appender.ready();
      if (command.restMs > 0) await Bun.sleep(Math.random() * command.restMs);
      const told = appender.append(recordOf(call, bytes)).then(
        ({ offset }) => answer(request, { call, more: true, offset }),
        (error: unknown) => answer(request, { call, more: true, ...failure(error) }),
      );
      sent.push(told);
    }
  } finally {
    await Promise.all(sent);
    await appender.close().catch(() => {}); // each record has had its own answer
  }
}

/** The same by the compiled command line. */
async function byTool(command: Command): Promise<Result> {
  if (command.kind === "put")
    return withRecord(command, async (local) => {
      await tool(["put", local, command.path, ...(command.overwrite ? ["--overwrite"] : [])]);
      return {};
    });
  if (command.kind === "append")
    return withRecord(command, async (local) => {
      const key = command.key === undefined ? [] : ["--id", command.key];
      const printed = await tool(["append", command.path, local, ...key, "--json"]);
      const value: unknown = JSON.parse(new TextDecoder().decode(printed));
      if (typeof value !== "object" || value === null || !("offset" in value)) throw new Error("no offset is printed");
      return { offset: Number(value.offset) };
    });
  return readResult(command, await tool(["get", command.path, "-"]));
}

/** In a file: a pipe would end early where this process is killed, and that would be another record. */
async function withRecord(
  { call, bytes }: { readonly call: number; readonly bytes: number },
  use: (local: string) => Promise<Result>,
): Promise<Result> {
  const local = `${folder}/${label}-${call}`;
  await Bun.write(local, bytes === 0 ? new Uint8Array() : recordOf(call, bytes));
  try {
    return await use(local);
  } finally {
    await Bun.file(local).delete();
  }
}

function tool(args: readonly string[]): Promise<Uint8Array> {
  return runGfs([...args, "--master", master, "--secret-file", secretPath, "--timeout", timeoutSeconds, "--quiet"]);
}

async function serve(): Promise<void> {
  let rest = "";
  for await (const piece of Bun.stdin.stream()) {
    rest += new TextDecoder().decode(piece);
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const { request, command } = Request.parse(JSON.parse(line));
      perform(request, command).then(
        (result) => answer(request, result),
        (error: unknown) => answer(request, failure(error)),
      );
    }
  }
}

await serve();
process.exit(0);
