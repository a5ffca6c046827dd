import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { verbHelp } from "../../../cmd/cli/help.ts";
import { parseAndRun, type VerbSpec } from "../../../cmd/cli/verb.ts";

const folder = resolve(import.meta.dirname, "../../../cmd");

/** The specs that the files of `cmd` export, by verb. */
async function specs(): Promise<Map<string, VerbSpec>> {
  const found = new Map<string, VerbSpec>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".ts") && name !== "gfs.ts")) {
    const exported: unknown = await import(join(folder, file));
    if (typeof exported !== "object" || exported === null) continue;
    for (const value of Object.values(exported)) if (isVerb(value)) found.set(value.spec.name, value.spec);
  }
  return found;
}

function isVerb(value: unknown): value is { spec: VerbSpec } {
  return typeof value === "object" && value !== null && "spec" in value && "run" in value;
}

/** The calls of gfs in a shell line, split into words as a shell would where nothing but plain words and quotes occurs. */
function callsIn(line: string): string[][] {
  return line.split(/[|;&()]+/).flatMap((part) => {
    const words = [...part.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? "");
    const at = words.indexOf("gfs");
    return at < 0 ? [] : [words.slice(at + 1).filter((word) => word !== "…")];
  });
}

test("verbs that list what may have no end say in --help that --json is an object a line", async () => {
  const known = await specs();
  for (const name of ["ls", "du", "events", "trash", "fsck"]) {
    const page = verbHelp(known.get(name) ?? expect.unreachable(name)).replaceAll(/\s+/g, " ");
    expect(page, name).toMatch(/one (JSON )?object a line/);
  }
  expect(verbHelp(known.get("drain") ?? expect.unreachable("drain"))).toContain("an array, [] where none");
});

describe("the examples of --help", () => {
  test("every verb has one, and each is a call that its own verb takes", async () => {
    const known = await specs();
    expect(known.size).toBeGreaterThan(20);
    for (const spec of known.values()) {
      if (spec.raw === true) continue;
      expect(spec.examples.length, spec.name).toBeGreaterThan(0);
      const calls = spec.examples.flatMap(({ command }) => callsIn(command.split(" > ")[0] ?? ""));
      expect(calls.length, spec.name).toBeGreaterThan(0);
      for (const [verb = "", ...args] of calls) {
        const own = known.get(verb);
        expect(own, `${spec.name}: gfs ${verb}`).toBeDefined();
        if (own !== undefined)
          expect(await parseAndRun(own, args, async () => 0), `gfs ${verb} ${args.join(" ")}`).toBe(0);
      }
    }
  });

  test("stand apart from what is said of them, however long they are", async () => {
    for (const spec of (await specs()).values()) {
      const help = verbHelp(spec);
      for (const { command } of spec.examples)
        expect(help).toMatch(new RegExp(`^  ${RegExp.escape(command)}( |$)`, "m"));
    }
  });
});

describe("parseAndRun()", () => {
  const spec: VerbSpec = {
    name: "try",
    summary: "try",
    positionals: [
      { name: "A", about: "a" },
      { name: "B", about: "b", optional: true, many: true },
    ],
    flags: {
      long: { type: "boolean", short: "l", about: "" },
      human: { type: "boolean", short: "h", about: "" },
      place: { type: "string", hint: "X,Y", about: "" },
      dir: { type: "string", many: true, about: "" },
    },
    examples: [],
  };
  const parsed = async (...argv: string[]): Promise<unknown> => {
    let seen: unknown;
    await parseAndRun(spec, argv, async (args) => {
      seen = {
        at: args.positionals,
        long: args.on("long"),
        human: args.on("human"),
        off: args.off("long"),
        place: args.text("place"),
        dirs: args.texts("dir"),
      };
      return 0;
    });
    return seen;
  };

  test("takes short flags together, values that look like flags, lists, and what follows --", async () => {
    expect(await parsed("-lh", "--place", "-1,2", "--dir", "a,b", "--dir=c", "x", "--", "--y")).toEqual({
      at: ["x", "--y"],
      long: true,
      human: true,
      off: false,
      place: "-1,2",
      dirs: ["a", "b", "c"],
    });
    expect(await parsed("--no-long", "-")).toMatchObject({ at: ["-"], long: false, off: true });
  });

  test.each([
    [["x", "--lnog"], "unknown flag --lnog (did you mean --long?)"],
    [["x", "-lq"], "unknown flag -q"],
    [["x", "--place"], "--place wants a value: --place X,Y"],
    [["x", "--place", "--long"], "not the flag --long"],
    [["x", "--long=maybe"], "--long takes no value"],
    [[], "missing A"],
  ])("refuses %j", async (argv, text) => {
    const outcome = await parsed(...argv).catch((error: unknown) => error);
    expect(String(outcome)).toContain(text);
  });

  test("answers help where that is asked for, unless -h is the verb's own", async () => {
    expect(await parseAndRun(spec, ["--help"], async () => 0)).toBe("help");
    expect(await parseAndRun({ ...spec, flags: {} }, ["-h"], async () => 0)).toBe("help");
  });
});
