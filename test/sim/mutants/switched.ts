/**
 * Many mutants in one load of the source: a function that has some holds its body once for each of them, and once as it is, and what runs is chosen at every call. So one process,
 * whose code is compiled once, runs one mutant after the other; a process for each would spend two thirds of its time on compiling.
 */
import { type Mutant, mutate } from "./mutant.ts";

declare global {
  /** Names the mutant that runs now; none: the product as it is. */
  var gfsMutant: string | undefined;
}

/** Where code can choose: nothing else of a module is evaluated anew for each mutant. */
interface Body {
  /** Behind its opening brace. */
  readonly from: number;
  /** Its closing brace. */
  readonly to: number;
}

/** Whether all edits lie in bodies of functions. */
export function canSwitch(mutant: Mutant, sourceOf: (file: string) => string): boolean {
  return mutant.edits.every(({ file, find }) => bodyAround(sourceOf(file), find) !== undefined);
}

/** The source of a file with these mutants, each of which can switch. @throws Error where a text is not there exactly once */
export function switched(mutants: readonly Mutant[], file: string, source: string): string {
  const bodies = new Map<number, { readonly body: Body; readonly mutants: Mutant[] }>();
  for (const mutant of mutants)
    for (const edit of mutant.edits.filter((one) => one.file === file)) {
      mutate(mutant, file, source);
      const body = bodyAround(source, edit.find);
      if (body === undefined) throw new Error(`Mutant ${mutant.name}: ${edit.find} of ${file} lies in no function`);
      const there = bodies.get(body.from) ?? { body, mutants: [] };
      if (!there.mutants.includes(mutant)) there.mutants.push(mutant);
      bodies.set(body.from, there);
    }
  let text = source;
  for (const { body, mutants: here } of [...bodies.values()].sort((a, b) => b.body.from - a.body.from)) {
    const usual = source.slice(body.from, body.to);
    const cases = here.map(({ name, edits }) => {
      const inside = edits.filter((edit) => edit.file === file && usual.includes(edit.find));
      const changed = inside.reduce((code, { find, replace }) => code.replace(find, () => replace), usual);
      return `if (globalThis.gfsMutant === ${JSON.stringify(name)}) {${changed}} else `;
    });
    text = `${text.slice(0, body.from)}${cases.join("")}{${usual}}${text.slice(body.to)}`;
  }
  return text;
}

/** The outermost body of a function around a text, so that those of two mutants are the same or apart. */
function bodyAround(source: string, find: string): Body | undefined {
  const at = source.indexOf(find);
  const open: number[] = [];
  for (const brace of bracesOf(source)) {
    if (source[brace] === "{") {
      open.push(brace);
      continue;
    }
    const from = (open.pop() ?? 0) + 1;
    const around = from <= at && brace >= at + find.length && opensBody(source, from - 1);
    if (around && !open.some((outer) => opensBody(source, outer))) return { from, to: brace };
  }
  return undefined;
}

/** By the line that it ends, as the formatter writes them: `…) {`, `…): Type {` or `… => {`. */
function opensBody(source: string, brace: number): boolean {
  const line = source.slice(source.lastIndexOf("\n", brace) + 1, brace).trimEnd();
  return /(=>|\)|\): [^=]+)$/.test(line) && !/\b(switch|class|interface) /.test(line);
}

/** All braces of code: not those of texts, comments and patterns. */
function* bracesOf(source: string): Generator<number> {
  // In a template each open `${` holds how many braces were open in it.
  const templates: number[] = [];
  let depth = 0;
  const token =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|(?<=[(,=:[!&|?{};]\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+\/|[`{}]/g;
  const rest = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*(`|\$\{)/g;
  for (let match = token.exec(source); match !== null; match = token.exec(source)) {
    let [text] = match;
    if (text === "{") {
      depth++;
      yield match.index;
      continue;
    }
    if (text === "}" && templates.at(-1) !== depth) {
      depth--;
      yield match.index;
      continue;
    }
    if (text !== "`" && text !== "}") continue;
    if (text === "}") templates.pop();
    rest.lastIndex = token.lastIndex;
    text = rest.exec(source)?.[1] ?? "`";
    token.lastIndex = rest.lastIndex;
    if (text !== "`") templates.push(depth);
  }
}
