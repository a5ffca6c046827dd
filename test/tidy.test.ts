import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RULES, type Rule, type SourceFile } from "./tools/tidy-rules.ts";
import { importsOf, splitSource } from "./tools/source-text.ts";

// Each rule reads every file, on a machine that may be busy.
setDefaultTimeout(120_000);

const ROOT = join(import.meta.dir, "..");
const NOT_OURS = new Set([".git", "node_modules", "dist", "coverage"]);
/** Every file of the repository, by its path from the root. */
const FILES: readonly SourceFile[] = readTree("");

function readTree(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    // In a worktree .git is a file.
    if (NOT_OURS.has(entry.name)) return [];
    if (entry.isDirectory()) return readTree(path);
    return entry.isFile() ? [{ path, text: readFileSync(join(ROOT, path), "utf8") }] : [];
  });
}

function breachesOf(rule: Rule, files: readonly SourceFile[]): string[] {
  return files.filter(({ path }) => rule.reads(path)).flatMap((file) => rule.breaches(file, files));
}

describe("tidy", () => {
  for (const rule of RULES) {
    test(rule.name, () => {
      for (const folder of rule.folders) {
        const read = FILES.filter(({ path }) => path.startsWith(folder) && rule.reads(path)).length;
        // A folder without a file yet is not there in a fresh clone either.
        const populated = existsSync(join(ROOT, folder)) && FILES.some(({ path }) => path.startsWith(folder));
        if (populated) expect(read, `files read in ${folder}`).toBeGreaterThan(0);
      }
      expect(breachesOf(rule, FILES).join("\n")).toBe("");
    });

    test(`the rule "${rule.name}" can fail`, () => {
      expect(rule.bad.length).toBeGreaterThan(0);
      for (const sample of rule.bad) {
        expect(breachesOf(rule, [sample]), `bad sample ${sample.path}: ${sample.text.slice(0, 80)}`).not.toEqual([]);
      }
      expect(breachesOf(rule, rule.good)).toEqual([]);
    });
  }

  test("a brand declared in src/wire/ids.ts is known to the rule on casts", () => {
    const rule = RULES.find(({ name }) => name.includes("casts to a brand"));
    const ids = { path: "src/wire/ids.ts", text: "export type DraftId = number & { readonly brand: 'DraftId' };" };
    const user = { path: "src/master/a.ts", text: "export const d = 1 as DraftId;" };
    expect(rule?.breaches(user, [ids, user])).toHaveLength(1);
    expect(rule?.breaches(user, [user])).toEqual([]);
  });

  test("the lock file names no registry host", () => {
    const lock = FILES.find(({ path }) => path === "bun.lock");
    const hosts = [...(lock?.text.matchAll(/[a-z+]+:\/\/([^/"]+)/g) ?? [])].map((match) => match[1]);
    expect(lock?.text.length).toBeGreaterThan(0);
    expect(hosts.filter((host) => host !== "registry.npmjs.org")).toEqual([]);
  });

  test("every dependency is pinned to one version", () => {
    const text = FILES.find(({ path }) => path === "package.json")?.text ?? "";
    const versions = [...text.matchAll(/"(?:[dD]ev)?[dD]ependencies": \{([^}]*)\}/g)].flatMap((match) => [
      ...(match[1] ?? "").matchAll(/: "([^"]*)"/g),
    ]);
    expect(versions.length).toBeGreaterThan(5);
    for (const [, version] of versions) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });
});

describe("splitSource", () => {
  test("blanks comments, strings, templates and regular expressions, and keeps line breaks", () => {
    const cases: [string, string][] = [
      ["a; // b", "a;     "],
      ["a /* b\nc */ d", "a     \n     d"],
      ['f("x\\"y", \'z\')', "f(\"    \", ' ')"],
      ["`a ${b + `c ${d}`} e`", "`  ${b + `  ${d}`}  `"],
      ["x = /a\\/[/]b/g; y = 4 / 2 / z", "x = /       /g; y = 4 / 2 / z"],
      ['"http://x"; y', '"        "; y'],
      ["`${{ a: 1 }.a} // b`; c", "`${{ a: 1 }.a}     `; c"],
    ];
    for (const [source, code] of cases) expect(splitSource(source).code).toBe(code);
  });

  test("importsOf finds static, type, bare, re-exported and dynamic imports, and none in comments or strings", () => {
    const source = [
      'import a, { type B } from "./a.ts";',
      "import type {\n  C,\n} from './c.ts';",
      'import "./d.ts";',
      'export { E } from "./e.ts";',
      'const f = await import("./f.ts");',
      '// import "./g.ts";',
      "const h = 'import \"./h.ts\"';",
      'import html from "./i.html" with { type: "text" };',
    ].join("\n");
    expect(importsOf(source).map(({ specifier }) => specifier)).toEqual([
      "./a.ts",
      "./c.ts",
      "./d.ts",
      "./e.ts",
      "./f.ts",
      "./i.html",
    ]);
    expect(importsOf(source)[1]?.line).toBe(2);
  });
});
