/** Reads past the system's cache in memory: what a scrub compares must be what the medium has. */
import { constants, type FileHandle, open } from "node:fs/promises";
import { systemCode } from "./address.ts";

/** Of offsets, lengths and memory: enough for every device. Bun gives buffers of so many bytes and more from whole pages. */
const alignBytes = 4_096;

/** Undefined where neither the platform nor the file system can. @throws what opening throws else */
export async function openDirect(path: string): Promise<FileHandle | undefined> {
  // Absent on systems without it (macOS, Windows).
  const direct = (constants as { readonly O_DIRECT?: number }).O_DIRECT;
  if (direct === undefined) return undefined;
  try {
    return await open(path, constants.O_RDONLY | direct);
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

/** Contract: DiskFile.read; undefined where the file system will not read so after all. */
export async function readDirect(handle: FileHandle, into: Uint8Array, offset: number): Promise<number | undefined> {
  const fits = [into.byteOffset, into.length, offset].every((number) => number % alignBytes === 0);
  // Without a copy, where the memory turns out to be from whole pages.
  const straight = fits ? await readAligned(handle, into, offset) : undefined;
  if (straight !== undefined) return straight;
  const from = offset - (offset % alignBytes);
  const end = Math.ceil((offset + into.length) / alignBytes) * alignBytes;
  const whole = new Uint8Array(end - from);
  const done = await readAligned(handle, whole, from);
  if (done === undefined) return undefined;
  const read = Math.max(0, Math.min(done - (offset - from), into.length));
  into.set(whole.subarray(offset - from, offset - from + read));
  return read;
}

/** All three a multiple of `alignBytes`; undefined where it is refused. */
async function readAligned(handle: FileHandle, into: Uint8Array, offset: number): Promise<number | undefined> {
  let done = 0;
  try {
    while (done < into.length) {
      const { bytesRead } = await handle.read(into, done, into.length - done, offset + done);
      done += bytesRead;
      // Only the end of the file cuts a read elsewhere.
      if (bytesRead === 0 || done % alignBytes !== 0) break;
    }
    return done;
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  return ["EINVAL", "EOPNOTSUPP", "ENOTSUP"].includes(systemCode(error) ?? "");
}
