/** The user's own files: what goes wrong with them, in words and codes. */
import { type ErrorCode, GfsError } from "../base/errors.ts";
import { DiskError, type DiskErrorKind, type FileInfo, type World } from "../io.ts";

const codes: Record<DiskErrorKind, ErrorCode> = {
  missing: "NotFound",
  exists: "Exists",
  full: "NoSpace",
  denied: "Denied",
  kind: "IsDirectory",
  busy: "LocalFile",
  failed: "LocalFile",
};
const reasons: Record<DiskErrorKind, string> = {
  missing: "there is no such file here",
  exists: "it exists already",
  full: "the local disk is full",
  denied: "permission denied",
  kind: "it is a directory, or a file stands where a directory should",
  busy: "it is locked",
  failed: "the local disk failed",
};

/** A DiskError as an operating error that names the local file; others as they are. */
export function localError(what: string, thrown: unknown): unknown {
  if (!(thrown instanceof DiskError)) return thrown;
  const { kind, path, message } = thrown;
  const more = kind === "failed" ? ` (${message})` : "";
  return new GfsError(codes[kind], `Cannot ${what} local ${path}: ${reasons[kind]}${more}`, {
    cause: thrown,
    details: { local: true, ...(kind === "full" ? { hint: "space is short here, not in the cluster" } : {}) },
  });
}

/** Runs work on local files. @throws what `localError` makes of a DiskError */
export async function local<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    throw localError(what, thrown);
  }
}

/** Of a regular file. @throws GfsError NotFound | IsDirectory | LocalFile */
export async function fileInfo({ disk }: World, path: string): Promise<FileInfo> {
  const info = await local("read", disk.info(path));
  if (info === undefined)
    throw new GfsError("NotFound", `Cannot read local ${path}: ${reasons.missing}`, { details: { local: true } });
  if (info.kind === "directory") throw new GfsError("IsDirectory", `Cannot read local ${path}: it is a directory`);
  if (info.kind === "other")
    throw new GfsError("LocalFile", `Cannot read local ${path}: it is not a regular file; pipe it in as - instead`);
  return info;
}

/** The directory that a local path lies in, and its last name. */
export function splitLocal(path: string): { readonly directory: string; readonly name: string } {
  const at = path.lastIndexOf("/");
  if (at < 0) return { directory: ".", name: path };
  return { directory: at === 0 ? "/" : path.slice(0, at), name: path.slice(at + 1) };
}
