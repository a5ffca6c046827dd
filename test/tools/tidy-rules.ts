import { bandOf, importRefusal } from "./import-bands.ts";
import { importsOf, lineAt, splitSource } from "./source-text.ts";

/** A file of the repository; its path is relative to the root, with forward slashes. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** A layout rule, with the samples that prove it can fail and that it lets good code be. */
export interface Rule {
  readonly name: string;
  /** Folders whose files the rule reads; where one exists, a file in it must have been read. */
  readonly folders: readonly string[];
  readonly reads: (path: string) => boolean;
  /** One line for each breach, `path:line: what is wrong, and what to do`. */
  readonly breaches: (file: SourceFile, all: readonly SourceFile[]) => string[];
  readonly bad: readonly SourceFile[];
  readonly good: readonly SourceFile[];
}

const LINES_MAX = 400;
/** Files allowed to be longer. Empty, and to be kept so: split a file along the bands instead. */
const LONG_FILES: readonly string[] = [];
const CODE = ["src/", "cmd/", "test/"];

const isCode = (path: string): boolean => CODE.some((folder) => path.startsWith(folder)) && path.endsWith(".ts");
const isSource = (path: string): boolean => path.startsWith("src/") && path.endsWith(".ts");
const isProduct = (path: string): boolean => isSource(path) || (path.startsWith("cmd/") && path.endsWith(".ts"));
const isCore = (path: string): boolean => /^src\/[^/]+\/core\/.*\.ts$/.test(path);
const file = (path: string, text = "export {};\n"): SourceFile => ({ path, text });
/** Joins the halves of words that this file may not contain whole. */
const word = (...halves: string[]): string => halves.join("");

/** Breaches at every place of `text` where the pattern matches. */
function matches(path: string, text: string, pattern: RegExp, say: (found: string) => string): string[] {
  return [...text.matchAll(pattern)].map((match) => `${path}:${lineAt(text, match.index)}: ${say(match[0].trim())}`);
}

/** Breaches for matches in a comment or code that no comment on the same line or the line before explains. */
function unexplained(source: SourceFile, where: string, pattern: RegExp, say: (found: string) => string): string[] {
  const comments = splitSource(source.text).comments.split("\n");
  return matches(source.path, where, pattern, say).filter((breach) => {
    const line = Number(/:(\d+): /.exec(breach)?.[1]);
    const near = `${comments[line - 2] ?? ""}\n${comments[line - 1] ?? ""}`;
    return !/(?:reason: |-- )\S+/.test(near);
  });
}

export const RULES: readonly Rule[] = [
  {
    name: `a file has at most ${LINES_MAX} lines`,
    folders: CODE,
    reads: isCode,
    breaches: ({ path, text }) => {
      const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
      if (lines <= LINES_MAX || LONG_FILES.includes(path)) return [];
      return [`${path}:${LINES_MAX + 1}: has ${lines} lines; split it, one concept a file`];
    },
    bad: [file("src/base/long.ts", "\n".repeat(LINES_MAX + 1))],
    good: [file("src/base/long.ts", "\n".repeat(LINES_MAX))],
  },
  {
    name: "files and folders are named in kebab-case",
    folders: CODE,
    reads: (path) => CODE.some((folder) => path.startsWith(folder)),
    breaches: ({ path }) =>
      path.split("/").every((part) => /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)*$/.test(part))
        ? []
        : [`${path}:1: is not in kebab-case`],
    bad: [file("src/base/crcTable.ts"), file("src/Base/crc.ts"), file("test/unit/crc_table.test.ts")],
    good: [file("src/base/crc-table.ts"), file("test/unit/crc.test.ts"), file("test/golden/data/frame-v1.bin")],
  },
  {
    name: "no file or folder is a drawer for odds and ends",
    folders: CODE,
    reads: (path) => CODE.some((folder) => path.startsWith(folder)),
    breaches: ({ path }) =>
      matches(path, path, /(?<=^|[/-])(?:utils?|helpers?|misc)(?=[/.-])/g, (found) => {
        return `is called "${found}"; name it for its one concept`;
      }),
    bad: [file("src/base/utils.ts"), file("src/util/x.ts"), file("test/sim/test-helpers.ts")],
    good: [file("src/base/utilisation.ts")],
  },
  {
    name: "src has no default exports",
    folders: ["src/"],
    reads: isSource,
    breaches: ({ path, text }) =>
      matches(path, splitSource(text).code, /\bexport\s+default\b|\bas\s+default\b/g, () => "default export; name it"),
    bad: [file("src/base/a.ts", "export default 1;"), file("src/base/a.ts", "const a = 1;\nexport { a as default };")],
    good: [file("src/base/a.ts", "// export default\nexport const a = 'export default';")],
  },
  {
    name: "src has no barrels",
    folders: ["src/"],
    reads: isSource,
    breaches: ({ path, text }) => {
      if (path.endsWith("/index.ts"))
        return [`${path}:1: is an index file; import from the file that defines the name`];
      const { withStrings, code } = splitSource(text);
      const stars = matches(path, code, /\bexport\s+(?:type\s+)?\*/g, () => "export *; import from the defining file");
      const rest = withStrings.replace(/\b(?:export|import)\b[^;"'()=]*\bfrom\s*["'][^"'\n]*["']\s*;?/g, "");
      const reexports = /\bexport\b[^;"'()=]*\bfrom\s*["']/.test(withStrings);
      return reexports && rest.trim() === ""
        ? [...stars, `${path}:1: only re-exports; import from the defining file`]
        : stars;
    },
    bad: [
      file("src/wire/index.ts", "export const a = 1;"),
      file("src/wire/all.ts", 'export * from "./ids.ts";'),
      file("src/wire/all.ts", 'export { A } from "./ids.ts";\nexport type { B } from "./b.ts";'),
    ],
    good: [file("src/wire/a.ts", 'import { A } from "./ids.ts";\nexport const a = A;')],
  },
  {
    name: "every file of src and cmd imports only what its band allows",
    folders: ["src/", "cmd/"],
    reads: isProduct,
    breaches: ({ path, text }) => {
      if (bandOf(path) === undefined) return [`${path}:1: ${importRefusal(path, "") ?? ""}`];
      return importsOf(text).flatMap(({ specifier, line }) => {
        const refusal = importRefusal(path, specifier);
        return refusal === undefined ? [] : [`${path}:${line}: ${refusal}`];
      });
    },
    bad: [
      file("src/base/a.ts", 'import { b } from "../limits.ts";'),
      file("src/base/a.ts", 'import type { T } from "zod";'),
      file("src/limits.ts", 'import { b } from "./wire/ids.ts";'),
      file("src/wire/a.ts", 'import { io } from "../io.ts";'),
      file("src/wire/a.ts", 'import { a } from "./b";'),
      file("src/io.ts", 'import type { H } from "./host/clock.ts";'),
      file("src/net/a.ts", 'import { h } from "../host/clock.ts";'),
      file("src/log/a.ts", 'import { h } from "../net/a.ts";'),
      file("src/config/a.ts", 'import { h } from "../io.ts";'),
      file("src/master/core/a.ts", 'import type { C } from "../../io.ts";'),
      file("src/master/core/a.ts", 'import { C } from "../routes.ts";'),
      file("src/master/core/a.ts", 'import { C } from "../../chunkserver/core/a.ts";'),
      file("src/master/a.ts", 'import {\n  C,\n} from "../chunkserver/core/a.ts";'),
      file("src/chunkserver/a.ts", 'export { C } from "../client/a.ts";'),
      file("src/client/a.ts", 'const m = await import("../master/a.ts");'),
      file("src/client/a.ts", 'import { readFile } from "node:fs/promises";'),
      file("src/host/a.ts", 'import { m } from "../master/a.ts";'),
      file("src/host/a.ts", 'import { m } from "../../test/sim/world.ts";'),
      file("src/master/a.ts", 'import "../../cmd/gfs.ts";'),
      file("cmd/a.ts", 'import "../test/tools/demo.ts";'),
      file("src/other/a.ts"),
    ],
    good: [
      file("src/base/a.ts", 'import { b } from "./b.ts";'),
      file("src/wire/a.ts", 'import { z } from "zod";\nimport { L } from "../limits.ts";'),
      file("src/master/core/a.ts", 'import { z } from "../../wire/ids.ts";\nimport { b } from "./b.ts";'),
      file("src/master/a.ts", 'import { Hono } from "hono/tiny";\nimport { b } from "./core/b.ts";'),
      file("src/client/a.ts", '// import "../master/a.ts"\nimport { c } from "../config/c.ts";'),
      file("src/host/a.ts", 'import { open } from "node:fs/promises";'),
      file("cmd/a.ts", 'import { a } from "../src/host/a.ts";\nimport meta from "../package.json";'),
    ],
  },
  {
    name: "a core is synchronous, and sees no clock, chance or world",
    folders: ["src/master/core/", "src/chunkserver/core/", "src/client/core/"],
    reads: isCore,
    breaches: ({ path, text }) => [
      ...matches(
        path,
        splitSource(text).code,
        /(?<![.\w$#])(?:async|await|Promise|PromiseLike|Date|Bun|process|performance|console|crypto|fetch|queueMicrotask|set(?:Timeout|Interval|Immediate)|AbortSignal)\b(?!\s*\??:)/g,
        (found) => `${found} in a core; a core is a pure function of its arguments`,
      ),
      ...matches(
        path,
        splitSource(text).code,
        /\bMath\s*\.\s*random\b/g,
        () => "Math.random in a core; take it as an argument",
      ),
    ],
    bad: [
      file("src/master/core/a.ts", "export async function f() {}"),
      file("src/master/core/a.ts", "export type T = Promise<void>;"),
      file("src/master/core/a.ts", "export const now = Date.now();"),
      file("src/chunkserver/core/a.ts", "export const r = Math.random();"),
      file("src/chunkserver/core/a.ts", "export const c = Bun.hash.crc32(new Uint8Array(1));"),
    ],
    good: [
      file(
        "src/master/core/a.ts",
        '/** No await, no Date. */\nexport const a = { text: "async", promisedVersion: 1 };',
      ),
    ],
  },
  {
    name: "nothing is left to do, and no test is left out without a reason",
    folders: CODE,
    reads: isCode,
    breaches: (source) => {
      const { code } = splitSource(source.text);
      const left = new RegExp(`\\b(?:${word("TO", "DO")}|${word("FIX", "ME")}|${word("HA", "CK")})\\b`, "g");
      return [
        ...matches(source.path, source.text, left, (found) => `${found}; do it, or open an issue`),
        ...matches(
          source.path,
          code,
          /\b(?:test|it|describe)\s*\.\s*only\b/g,
          (found) => `${found} hides the other tests`,
        ),
        ...unexplained(
          source,
          code,
          /\b(?:test|it|describe)\s*\.\s*(?:skip|skipIf|todo|todoIf|failing|if)\b/g,
          (found) => {
            return `${found} without "// reason: …" on it or the line before`;
          },
        ),
      ];
    },
    bad: [
      file("src/base/a.ts", `// ${word("TO", "DO")}: later`),
      file("test/unit/a.test.ts", "test.only('x', () => {});"),
      file("test/unit/a.test.ts", "// see above\ndescribe.skipIf(!root)('x', () => {});"),
    ],
    good: [
      file("test/unit/a.test.ts", "// reason: a loop mount wants root\ntest.skipIf(!root)('x', () => {});"),
      file("src/base/a.ts", "export const skip = list.skip(1);"),
    ],
  },
  {
    name: "no path of this machine is in a file",
    folders: ["src/", "cmd/", "test/", "docs/"],
    reads: (path) => !path.startsWith("test/golden/data/"),
    breaches: ({ path, text }) =>
      matches(path, text, /(?<![\w.~$}-])\/(?:work|root|Users|home\/[\w.-]+)\/[\w.-]+/g, (found) => {
        return `${found} is a path of one machine; use a relative or temporary one`;
      }),
    bad: [file("docs/a.md", `see ${word("/wo", "rk/main")}`), file("a.json", `"${word("/ro", "ot/.bun")}"`)],
    good: [
      file("docs/a.md", ["~", "src", "https://example.com"].map((before) => before + word("/ro", "ot/a")).join(", ")),
    ],
  },
  {
    name: "the type any is not used",
    folders: CODE,
    reads: isCode,
    breaches: ({ path, text }) =>
      matches(path, splitSource(text).code, /(?<![.\w$#])any\b(?!\s*[?(:])/g, () => "any; use unknown and narrow it"),
    bad: [
      file("src/base/a.ts", "export const a = b as any;"),
      file("src/base/a.ts", "export function f(x: any): void {}"),
      file("test/unit/a.ts", "const m = new Map<string, any>();"),
    ],
    good: [
      file(
        "src/base/a.ts",
        "// any\nexport const s = AbortSignal.any([]); const t = 'as any'; const u = `any ${s} any`;",
      ),
    ],
  },
  {
    name: "a suppressed finding says why",
    folders: CODE,
    reads: isCode,
    breaches: (source) => {
      const { comments } = splitSource(source.text);
      return [
        ...matches(
          source.path,
          comments,
          /@ts-(?:ignore|nocheck)\b/g,
          (found) => `${found}; use @ts-expect-error -- reason`,
        ),
        ...matches(
          source.path,
          comments,
          /(?:@ts-expect-error|(?:oxlint|eslint)-disable[\w-]*)(?![^\n]*-- \S)/g,
          (found) => {
            return `${found} without "-- reason"`;
          },
        ),
      ];
    },
    bad: [
      file("src/base/a.ts", "// @ts-ignore\nf();"),
      file("src/base/a.ts", "// @ts-expect-error\nf();"),
      file("src/base/a.ts", "// oxlint-disable-next-line no-shadow\nf();"),
    ],
    good: [file("src/base/a.ts", "// oxlint-disable-next-line no-shadow -- the outer one is meant\nf();")],
  },
  {
    name: "only src/wire/ids.ts casts to a brand",
    folders: CODE,
    reads: (path) => isCode(path) && path !== "src/wire/ids.ts",
    breaches: ({ path, text }, all) => {
      const ids = all.find((other) => other.path === "src/wire/ids.ts")?.text ?? "";
      const declared = [...splitSource(ids).code.matchAll(/\bexport\s+type\s+(\w+)/g)].map((match) => match[1] ?? "");
      const brands = new Set(["ChunkHandle", "ChunkVersion", "VolumeId", "InstantMs", ...declared]);
      const { code } = splitSource(text);
      const cast = new RegExp(`\\bas\\s+(?:readonly\\s+)?(?:${[...brands].join("|")})\\b`, "g");
      return matches(path, code, cast, (found) => `"${found}"; a brand comes from parsing, see src/wire/ids.ts`).filter(
        (breach) =>
          !/^import\b|^export\b.*\bfrom\b/.test(code.split("\n")[Number(/:(\d+): /.exec(breach)?.[1]) - 1] ?? ""),
      );
    },
    bad: [
      file("src/master/a.ts", "export const h = 1 as ChunkHandle;"),
      file("test/unit/a.ts", "f(n as unknown as VolumeId);"),
    ],
    good: [
      file("src/wire/ids.ts", "export const h = 1 as ChunkHandle;"),
      file("src/master/a.ts", "export const h = ChunkHandle.parse(1); const k = { a: 1 } as const;"),
    ],
  },
];
