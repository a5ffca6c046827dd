import { read, readFileSync, write } from "node:fs";
import { isatty } from "node:tty";
import { GfsError } from "../base/errors.ts";
import { systemCode } from "./address.ts";
import { freeBuffer } from "./buffer-garbage.ts";

/** Standard output has no reader any more (`gfs get … - | head`): no error to report, a reason to stop. */
export class OutputClosedError extends Error {
  override readonly name = "OutputClosedError";
}

const stdinPieceBytesMax = 1 << 20;
const stdinPieceBytesMin = 64 * 1024;
const retryMs = 2;
const descriptors = { stdin: 0, stdout: 1, stderr: 2 } as const;

/** The arguments after the command's own name. */
export function argv(): readonly string[] {
  return process.argv.slice(2);
}

export function environmentVariables(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

export function isTerminal(stream: "stdin" | "stdout" | "stderr"): boolean {
  return isatty(descriptors[stream]);
}

/**
 * Standard input to its end, in pieces of up to 1 MiB that are the caller's. Reads no further than asked. Pieces of a pipe come in
 * 64 KiB: several lie in one buffer, which lives as long as the last of them.
 * @throws GfsError("LocalFile") where it can't be read, as of a directory
 */
export async function* readStdin(): AsyncGenerator<Uint8Array, void, void> {
  let buffer = new Uint8Array(0);
  for (;;) {
    if (buffer.length < stdinPieceBytesMin) buffer = new Uint8Array(stdinPieceBytesMax);
    const count = await readSome(0, buffer);
    if (count === 0) return;
    yield buffer.subarray(0, count);
    buffer = buffer.subarray(count);
  }
}

function readSome(descriptor: number, into: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    const attempt = (): void => {
      read(descriptor, into, 0, into.length, null, (error, count) => {
        if (error === null) return resolve(count);
        if (error.code === "EAGAIN") return void setTimeout(attempt, retryMs);
        if (error.code === "EOF") return resolve(0);
        reject(new GfsError("LocalFile", `Cannot read standard input: ${error.message}`, { cause: error }));
      });
    };
    attempt();
  });
}

let lastWrite: Promise<void> = Promise.resolve();

/**
 * Resolves when the system has taken all the bytes, which a slow reader delays; calls are done in order. They must not be changed
 * before. Off the event loop: heartbeats go on while a reader stalls.
 * @throws OutputClosedError when nobody reads any more; GfsError NoSpace | LocalFile where it goes to a file.
 */
export function writeStdout(bytes: Uint8Array): Promise<void> {
  const previous = lastWrite;
  const next = previous.then(() => writeAll(1, bytes));
  lastWrite = next.catch(() => {});
  return next;
}

/** Bytes that may wait for standard output while more are fetched. */
const waitingBytesMax = 4 * 1_048_576;

/**
 * Writes all the pieces in order; the next ones are asked for while earlier ones are written. The pieces are given away: a buffer that lies wholly in one is freed once it
 * is written, whoever else still refers to it.
 * @throws OutputClosedError, and what the pieces' source throws
 */
export async function pipeToStdout(pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const waiting: { readonly bytes: number; readonly written: Promise<void> }[] = [];
  let bytes = 0;
  for await (const piece of pieces) {
    const { length } = piece;
    const written = writeStdout(piece).then(() => freeBuffer(piece));
    written.catch(() => {}); // awaited below, unless the source fails first
    waiting.push({ bytes: length, written });
    bytes += length;
    while (bytes > waitingBytesMax) {
      const first = waiting.shift();
      await first?.written;
      bytes -= first?.bytes ?? 0;
    }
  }
  for (const { written } of waiting) await written;
}

async function writeAll(descriptor: number, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) done += await writeSome(descriptor, bytes, done);
}

function writeSome(descriptor: number, bytes: Uint8Array, from: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const attempt = (): void => {
      write(descriptor, bytes, from, bytes.length - from, null, (error, count) => {
        if (error === null) return resolve(count);
        if (error.code === "EAGAIN") return void setTimeout(attempt, retryMs);
        reject(outputError(error));
      });
    };
    attempt();
  });
}

function outputError(error: Error): Error {
  const code = systemCode(error);
  if (code === "EPIPE") return new OutputClosedError("standard output is closed", { cause: error });
  const full = code === "ENOSPC" || code === "EDQUOT";
  const reason = full ? "the local disk is full" : error.message;
  return new GfsError(full ? "NoSpace" : "LocalFile", `Cannot write standard output: ${reason}`, {
    cause: error,
    ...(full ? { details: { hint: "space is short here, not in the cluster" } } : {}),
  });
}

/** How many files and connections this process may have open at once; undefined where the system does not tell. */
export function openFileLimit(): number | undefined {
  try {
    const [, digits] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return digits === undefined ? undefined : Number(digits);
  } catch {
    return undefined;
  }
}
