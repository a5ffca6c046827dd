/** Standard output of the verbs: text for people, or one JSON value. */
import { utf8 } from "../../src/base/bytes.ts";
import { writeStdout } from "../../src/host/environment.ts";

export { counted } from "../../src/config/units.ts";

export async function print(text: string): Promise<void> {
  await writeStdout(utf8(text.endsWith("\n") ? text : `${text}\n`));
}

export async function printJson(value: unknown): Promise<void> {
  await print(JSON.stringify(value));
}

/** Columns padded to their widest cell; cells of the columns named in `right` are flush right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, Bun.stringWidth(cell));
  return rows
    .map((row) =>
      row
        .map((cell, i) => {
          const pad = " ".repeat(Math.max(0, (widths[i] ?? 0) - Bun.stringWidth(cell)));
          return right.includes(i) ? pad + cell : cell + pad;
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** After a size that counts files which are open for append: their last bytes as far as heartbeats have told. */
export function asLastTold(openFiles = 0): string {
  return openFiles === 0 ? "" : ` as last told (${openFiles} open for append)`;
}

/** A name as it may be shown on a terminal: control characters escaped, so that a file's name can't move the cursor. */
export function showName(name: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what it is about
  return name.replace(/[\u0000-\u001f\u007f-\u009f\\]/g, (c) =>
    c === "\n"
      ? "\\n"
      : c === "\t"
        ? "\\t"
        : c === "\\"
          ? "\\\\"
          : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** A server as its label, or the beginning of its volume id where it has none: both are names that verbs take. */
export function showServer({ label, volume }: { readonly label: string; readonly volume: string }): string {
  return label === "" ? volume.slice(0, 12) : showName(label);
}

/** Of a server, since the master's start: before, nobody knows where it is and what it holds. */
export function hasRegistered({ control }: { readonly control: string }): boolean {
  return !control.endsWith(":0");
}

/** Where it is to be asked: the control address, as in `--listen`, `--from` and events. `-`: it has not registered since the master's start. */
export function showAddress(server: { readonly control: string }): string {
  return hasRegistered(server) ? server.control : "-";
}

/** `2026-11-23 20:38`, local time. */
export function showTime(ms: number): string {
  const date = new Date(ms);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** `2026-11-23 20:38:07`, local time. */
export function showMoment(ms: number): string {
  return `${showTime(ms)}:${String(new Date(ms).getSeconds()).padStart(2, "0")}`;
}

/** A line for people on standard error, unless they asked for quiet. */
export function note(call: { readonly quiet: boolean }, text: string): void {
  if (!call.quiet) process.stderr.write(`gfs: ${text}\n`);
}
