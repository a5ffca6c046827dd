import { posix } from "node:path";

/** What the files under one path may import besides themselves. */
export interface Band {
  /** A folder ending in a slash, or one file. Of several that match, the longest rules. */
  readonly path: string;
  readonly mayImport: readonly string[];
  /** Packages, by name; `node:*` and `bun` stand for the platform. */
  readonly packages: readonly string[];
}

const PLATFORM = ["node:*", "bun"];
// What a size or a number of things is for people: texts are made in every band.
const UNITS = "src/config/units.ts";
const CORE = ["src/base/", "src/limits.ts", "src/wire/", UNITS];
const SHELL = [...CORE, "src/io.ts", "src/net/", "src/log/", "src/config/"];

/** DESIGN §5 as a table: base ← limits, wire ← io ← shells; cmd joins. */
export const BANDS: readonly Band[] = [
  { path: "src/base/", mayImport: [], packages: [] },
  { path: "src/limits.ts", mayImport: ["src/base/"], packages: [] },
  { path: "src/wire/", mayImport: ["src/base/", "src/limits.ts"], packages: ["zod", "cbor-x"] },
  { path: "src/config/", mayImport: CORE, packages: ["zod"] },
  { path: UNITS, mayImport: [], packages: [] },
  { path: "src/io.ts", mayImport: CORE, packages: [] },
  { path: "src/net/", mayImport: [...CORE, "src/io.ts"], packages: ["hono", "zod"] },
  { path: "src/log/", mayImport: [...CORE, "src/io.ts"], packages: [] },
  { path: "src/host/", mayImport: [...CORE, "src/io.ts"], packages: [...PLATFORM, "hono"] },
  { path: "src/master/core/", mayImport: CORE, packages: [] },
  { path: "src/chunkserver/core/", mayImport: CORE, packages: [] },
  { path: "src/master/", mayImport: [...SHELL, "src/master/core/"], packages: ["hono", "zod"] },
  { path: "src/chunkserver/", mayImport: [...SHELL, "src/chunkserver/core/"], packages: ["hono", "zod"] },
  { path: "src/client/core/", mayImport: CORE, packages: [] },
  { path: "src/client/", mayImport: [...SHELL, "src/client/core/"], packages: ["zod"] },
  // The package's entry: the one joint of a role and the host besides cmd.
  { path: "src/gfs.ts", mayImport: ["src/client/", "src/host/", "src/io.ts"], packages: [] },
  { path: "cmd/", mayImport: ["src/"], packages: [...PLATFORM, "citty", "cli-progress", "zod"] },
];

/** The band that a file belongs to; undefined for a file that DESIGN §5 has no place for. */
export function bandOf(path: string): Band | undefined {
  let best: Band | undefined;
  for (const band of BANDS) {
    if (covers(band.path, path) && band.path.length > (best?.path.length ?? 0)) best = band;
  }
  return best;
}

/** Why a file may not import a module, or undefined if it may. Both paths are relative to the repository. */
export function importRefusal(path: string, specifier: string): string | undefined {
  const band = bandOf(path);
  if (band === undefined)
    return `has no place in the layout (DESIGN §5); known: ${BANDS.map((b) => b.path).join(", ")}`;
  if (specifier.startsWith(".")) {
    const target = posix.join(posix.dirname(path), specifier);
    if (!/\.(?:ts|html|json|txt)$/.test(target)) return `imports "${specifier}" without its extension (.ts)`;
    const targetBand = bandOf(target)?.path;
    const allowed = [band.path, ...band.mayImport].some(
      (to) => to === targetBand || (to === "src/" && covers(to, target)),
    );
    if (allowed || target === "package.json") return undefined;
    return `imports ${target}; ${band.path} may import only ${list([band.path, ...band.mayImport])}`;
  }
  const platform = /^(?:node:|bun(?::|$))/.test(specifier);
  const name = specifier.startsWith("@")
    ? specifier.split("/", 2).join("/")
    : (specifier.split("/", 1)[0] ?? specifier);
  if (platform ? band.packages.includes("node:*") : band.packages.includes(name)) return undefined;
  return `imports "${specifier}"; packages allowed in ${band.path}: ${list(band.packages)}`;
}

function covers(bandPath: string, path: string): boolean {
  return bandPath.endsWith("/") ? path.startsWith(bandPath) : path === bandPath;
}

function list(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.join(", ");
}
