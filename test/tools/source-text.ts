/**
 * TypeScript source with the parts blanked out that a text rule must not see. Every blanked character becomes a space and
 * line breaks stay, so an index into one text is the same place in the others.
 */
export interface SourceText {
  /** Without comments; the contents of string literals are kept. For reading import paths. */
  readonly withStrings: string;
  /** Without comments and without the contents of string, template and regular-expression literals. */
  readonly code: string;
  /** The comments alone. */
  readonly comments: string;
}

type Kind = "code" | "string" | "comment";

const REGEX_MAY_FOLLOW =
  /(?:^|[=(,:;!&|?{}[\]+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|throw|yield|await|void))\s*$/;

/** Splits TypeScript into code, strings and comments. Knows nested templates; guesses regular expressions by what precedes. */
export function splitSource(text: string): SourceText {
  const kinds: Kind[] = Array.from({ length: text.length }, () => "code");
  /** Depth of braces at which each open `${` began. */
  const templates: number[] = [];
  let braces = 0;
  let at = 0;
  const mark = (from: number, to: number, kind: Kind): void => {
    kinds.fill(kind, from, to);
  };
  const takeTemplate = (from: number): number => {
    let end = from;
    while (end < text.length && text[end] !== "`" && !text.startsWith("${", end)) end += text[end] === "\\" ? 2 : 1;
    mark(from, end, "string");
    if (!text.startsWith("${", end)) return end + 1;
    templates.push(braces);
    return end + 2;
  };
  while (at < text.length) {
    const char = text[at];
    if (text.startsWith("//", at) || (at === 0 && text.startsWith("#!"))) {
      const end = indexOrEnd(text, "\n", at);
      mark(at, end, "comment");
      at = end;
    } else if (text.startsWith("/*", at)) {
      const end = Math.min(text.length, indexOrEnd(text, "*/", at + 2) + 2);
      mark(at, end, "comment");
      at = end;
    } else if (char === '"' || char === "'") {
      const end = endOfQuoted(text, at + 1, char);
      mark(at + 1, end, "string");
      at = end + 1;
    } else if (char === "`") {
      at = takeTemplate(at + 1);
    } else if (char === "}" && templates.at(-1) === braces) {
      templates.pop();
      at = takeTemplate(at + 1);
    } else if (char === "/" && REGEX_MAY_FOLLOW.test(text.slice(Math.max(0, at - 40), at))) {
      const end = endOfRegex(text, at + 1);
      mark(at + 1, end, "string");
      at = end + 1;
    } else {
      if (char === "{") braces += 1;
      if (char === "}") braces -= 1;
      at += 1;
    }
  }
  return {
    withStrings: keep(text, kinds, ["code", "string"]),
    code: keep(text, kinds, ["code"]),
    comments: keep(text, kinds, ["comment"]),
  };
}

/** A module named by an import, export-from or dynamic import, types included. */
export interface ImportOf {
  readonly specifier: string;
  /** From 1. */
  readonly line: number;
}

/** Every module that the source names. */
export function importsOf(text: string): ImportOf[] {
  const { withStrings, code } = splitSource(text);
  const found: ImportOf[] = [];
  const pattern = /\b(?:(?:import|export)\b[^;"'`()=]*?\bfrom|import\s*\(|import)\s*(["'])([^"'\n]*)\1/g;
  for (const match of withStrings.matchAll(pattern)) {
    // The keyword itself must be code, not text within a string.
    if (code[match.index] === " ") continue;
    found.push({ specifier: match[2] ?? "", line: lineAt(text, match.index) });
  }
  return found;
}

/** The line, from 1, that an index lies on. */
export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

function keep(text: string, kinds: readonly Kind[], wanted: readonly Kind[]): string {
  let out = "";
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    out += char === "\n" || wanted.includes(kinds[at] ?? "code") ? char : " ";
  }
  return out;
}

function indexOrEnd(text: string, what: string, from: number): number {
  const index = text.indexOf(what, from);
  return index === -1 ? text.length : index;
}

function endOfQuoted(text: string, from: number, quote: string): number {
  let end = from;
  while (end < text.length && text[end] !== quote && text[end] !== "\n") end += text[end] === "\\" ? 2 : 1;
  return Math.min(end, text.length);
}

function endOfRegex(text: string, from: number): number {
  let end = from;
  let inClass = false;
  while (end < text.length && text[end] !== "\n" && (inClass || text[end] !== "/")) {
    if (text[end] === "[") inClass = true;
    if (text[end] === "]") inClass = false;
    end += text[end] === "\\" ? 2 : 1;
  }
  return Math.min(end, text.length);
}
