/** What one append has at hand, plain or under a key, and what both ask. */
import { GfsError, hasCode } from "../base/errors.ts";
import { createFile, fileLength } from "../wire/control/files.ts";
import type { InodeId } from "../wire/ids.ts";
import type { AppendLines } from "./append-lines.ts";
import type { AppendOptions } from "./api.ts";
import type { ClientContext, Operation } from "./context.ts";
import { locateRange } from "./locations.ts";
import { askMaster } from "./retry.ts";
import type { MutationSession } from "./session.ts";
import type { OpenSource } from "./sources.ts";

export interface Appending {
  readonly ctx: ClientContext;
  readonly session: MutationSession;
  readonly lines: AppendLines;
  /** What the cluster uses. */
  readonly chunkBytes: number;
}

export interface OneAppend extends Appending {
  readonly op: Operation;
  readonly path: string;
  readonly source: OpenSource;
  readonly options: AppendOptions;
}

/** What a file is looked for by. */
export type Lookup = Pick<OneAppend, "ctx" | "session" | "op" | "path"> & { readonly create: boolean };

/** A refusal to look the path up or to make its file refuses the append, and says so. What is thrown otherwise stays. */
export function appendRefusal(path: string, thrown: unknown): unknown {
  if (!(thrown instanceof GfsError)) return thrown;
  const { code, message, details } = thrown;
  const asked = ["read", "put", "open"]
    .map((what) => `Cannot ${what} ${path}`)
    .find((text) => message.startsWith(text));
  if (asked === undefined) return thrown;
  return new GfsError(code, `Cannot append to ${path}${message.slice(asked.length)}`, { details, cause: thrown });
}

/** The file at the path; undefined where it is missing and may be made. @throws GfsError NotFound | IsDirectory */
export async function findFile({ ctx, op, path, create }: Omit<Lookup, "session">): Promise<InodeId | undefined> {
  try {
    return (await locateRange(ctx, op, { kind: "path", path }, { offset: 0, length: 0 })).inode;
  } catch (error) {
    if (!create || !hasCode(error, "NotFound")) throw error;
    return undefined;
  }
}

/** The file at the path, made empty where it is missing and may be: for appends that are more than one, or nothing. @throws GfsError NotFound | IsDirectory */
export async function openFile(lookup: Lookup): Promise<InodeId> {
  const { session, op, path } = lookup;
  const found = await findFile(lookup);
  if (found !== undefined) return found;
  return (await session.mutate(op, createFile, (id) => ({ id, path, mode: "open" as const }))).inode;
}

export async function lengthOf({ ctx, op }: OneAppend, inode: InodeId): Promise<number> {
  return (await askMaster(ctx, op, fileLength, { inode })).bytes;
}

/**
 * Where the file ends now: for the trailers of what is about to be written for its end, by which a salvage finds its place. Never too far: 0 for a file that is not there yet, and where its
 * sealed part ends, which the master knows by itself, where nobody tells the length of an open tail. @throws as `locateRange`
 */
export async function endNow({ ctx, op }: Pick<OneAppend, "ctx" | "op">, inode: InodeId | undefined): Promise<number> {
  if (inode === undefined) return 0;
  const options = { timeoutMs: op.within(ctx.limits.controlMs), signal: op.signal };
  try {
    return (await ctx.control.call(ctx.master, fileLength, { inode }, options)).bytes;
  } catch (error) {
    if (!(error instanceof GfsError) || hasCode(error, "Interrupted", "Bug")) throw error;
    return sealedEnd(ctx, op, inode);
  }
}

/** 0 for a file that is gone: whether its append was done before that, its commit tells. */
async function sealedEnd(ctx: ClientContext, op: Operation, inode: InodeId): Promise<number> {
  try {
    return (await locateRange(ctx, op, { kind: "inode", inode }, { offset: 0, length: 0 })).sealedBytes;
  } catch (error) {
    if (hasCode(error, "NotFound", "InodeChanged")) return 0;
    throw error;
  }
}

/** All of a source whose length is known, as one record. */
export async function wholeOf(source: OpenSource): Promise<Uint8Array> {
  const bytes = source.bytes ?? 0;
  const chunk = await source.nextChunk(bytes);
  if (chunk === undefined) return new Uint8Array(0);
  const record = await chunk.source.read(new Uint8Array(bytes), 0);
  await source.verify();
  return record;
}
