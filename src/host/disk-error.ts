import { DiskError, type DiskErrorKind } from "../io.ts";
import { systemCode } from "./address.ts";

const kinds: Readonly<Record<string, DiskErrorKind>> = {
  ENOENT: "missing",
  EEXIST: "exists",
  ENOSPC: "full",
  EDQUOT: "full",
  EACCES: "denied",
  EPERM: "denied",
  EROFS: "denied",
  EISDIR: "kind",
  ENOTDIR: "kind",
};

/** Any error of the system as a DiskError: `Cannot open /a/b: ENOENT: no such file or directory`. */
export function diskError(action: string, path: string, error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  const code = systemCode(error);
  const kind = (code === undefined ? undefined : kinds[code]) ?? "failed";
  const reason = error instanceof Error ? error.message : String(error);
  return new DiskError(kind, path, `Cannot ${action} ${path}: ${reason}`, { cause: error });
}
