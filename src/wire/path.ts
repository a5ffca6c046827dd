import { fromUtf8, utf8 } from "../base/bytes.ts";
import { GfsError } from "../base/errors.ts";
import { protocol } from "../limits.ts";

const shownCharsMax = 80;

function refuse(path: string, why: string): never {
  const shown = path.length > shownCharsMax ? `${path.slice(0, shownCharsMax)}…` : path;
  throw new GfsError("PathInvalid", `Cannot use path ${JSON.stringify(shown)}: ${why}`);
}

/**
 * The names of a path, from the root; none for "/". A path begins with "/"; one slash at its end is dropped.
 *
 * @throws GfsError("PathInvalid") for a relative path, an empty, "." or ".." name, NUL, a name over 255 bytes, a path over 4 096
 * bytes, or text that isn't valid Unicode.
 */
export function parsePath(path: string): string[] {
  if (!path.startsWith("/")) refuse(path, 'it must begin with "/"');
  if (!path.isWellFormed()) refuse(path, "it is not valid Unicode");
  if (isLonger(path, protocol.pathBytesMax)) refuse(path, `it is longer than ${protocol.pathBytesMax} bytes`);
  const inner = path.endsWith("/") && path.length > 1 ? path.slice(1, -1) : path.slice(1);
  if (inner === "") return path === "/" ? [] : refuse(path, "it has an empty name");
  const names = inner.split("/");
  for (const name of names) {
    if (name === "") refuse(path, "it has an empty name");
    if (name === "." || name === "..") refuse(path, `the name ${JSON.stringify(name)} is not allowed`);
    if (name.includes("\0")) refuse(path, "it has a NUL character");
    if (isLonger(name, protocol.nameBytesMax))
      refuse(path, `a name in it is longer than ${protocol.nameBytesMax} bytes`);
  }
  return names;
}

/** Whether a text has more than so many bytes in UTF-8. A short one is not encoded to find that out: no character takes more than three bytes for each of its units. */
function isLonger(text: string, bytesMax: number): boolean {
  return text.length * 3 > bytesMax && utf8(text).length > bytesMax;
}

/** The path of the names, "/" for none. */
export function formatPath(names: readonly string[]): string {
  return `/${names.join("/")}`;
}

/** A path given as bytes (a command line): text, or PathInvalid where it is not UTF-8. */
export function pathFromBytes(bytes: Uint8Array): string {
  return fromUtf8(bytes) ?? refuse("(bytes)", "it is not valid UTF-8");
}
