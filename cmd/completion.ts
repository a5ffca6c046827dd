import { GfsError } from "../src/base/errors.ts";
import { didYouMean } from "../src/config/nearest.ts";
import type { Verb } from "./cli/call.ts";
import { print } from "./cli/output.ts";
import type { VerbSpec } from "./cli/verb.ts";

interface Flag {
  readonly name: string;
  readonly about: string;
  /** What its value is, where it takes one. */
  readonly hint?: string | undefined;
}

function flagsOf(spec: VerbSpec): Flag[] {
  const shown = Object.entries(spec.flags).filter(([, flag]) => flag.hidden !== true);
  return [
    ...shown.map(([name, flag]) => ({ name, about: flag.about, hint: flag.type === "string" ? flag.hint : undefined })),
    { name: "help", about: "show the verb's page" },
  ];
}

/** Of values that are local files. */
const fileHints: readonly (string | undefined)[] = ["FILE", "DIR"];

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

function bash(specs: readonly VerbSpec[]): string {
  const cases = specs.map(
    (spec) =>
      `    ${spec.name}) words="${flagsOf(spec)
        .map(({ name }) => `--${name}`)
        .join(" ")}" ;;`,
  );
  return `# gfs completion for bash: source <(gfs completion bash)
_gfs() {
  local word=\${COMP_WORDS[COMP_CWORD]} words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${specs.map((spec) => spec.name).join(" ")}" -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _gfs gfs
`;
}

function zsh(specs: readonly VerbSpec[]): string {
  const verbs = specs.map((spec) => `    ${quoted(`${spec.name}:${spec.summary.replaceAll(":", String.raw`\:`)}`)}`);
  const cases = specs.map((spec) => {
    const flags = flagsOf(spec).map(({ name, about, hint }) => {
      const value =
        hint === undefined ? "" : `:${hint.replaceAll(":", " ")}:${fileHints.includes(hint) ? "_files" : " "}`;
      return quoted(`--${name}[${about.replaceAll(/[[\]:]/g, " ")}]${value}`);
    });
    return `    ${spec.name}) _arguments ${flags.join(" ")} '*:file:_files' ;;`;
  });
  return `#compdef gfs
# gfs completion for zsh: source <(gfs completion zsh)
_gfs() {
  local -a verbs=(
${verbs.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe 'verb' verbs
    return
  fi
  local verb=$words[2]
  shift words; (( CURRENT-- ))
  case $verb in
${cases.join("\n")}
  esac
}
compdef _gfs gfs
`;
}

function fish(specs: readonly VerbSpec[]): string {
  const lines = ["# gfs completion for fish: gfs completion fish | source"];
  for (const spec of specs) {
    lines.push(`complete -c gfs -f -n __fish_use_subcommand -a ${spec.name} -d ${quoted(spec.summary)}`);
    for (const { name, about, hint } of flagsOf(spec)) {
      const value = hint === undefined ? "" : fileHints.includes(hint) ? " -r" : " -x";
      lines.push(
        `complete -c gfs -n '__fish_seen_subcommand_from ${spec.name}' -l ${name}${value} -d ${quoted(about)}`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

const scripts: ReadonlyMap<string, (specs: readonly VerbSpec[]) => string> = new Map([
  ["bash", bash],
  ["zsh", zsh],
  ["fish", fish],
]);

export const completion: Verb = {
  spec: {
    name: "completion",
    summary: "print a completion script",
    positionals: [{ name: "SHELL", about: "bash, zsh or fish" }],
    flags: {},
    examples: [
      { command: "source <(gfs completion bash)", about: "bash and zsh, in this shell" },
      { command: "gfs completion fish | source", about: "fish" },
    ],
  },
  async run({ args, verbs }) {
    const [shell = ""] = args.positionals;
    const specs = (await Promise.all(verbs.filter((verb) => verb.hidden !== true).map((verb) => verb.load()))).map(
      (verb) => verb.spec,
    );
    const script = scripts.get(shell);
    if (script === undefined) {
      const known = [...scripts.keys()];
      throw new GfsError("Usage", `unknown shell ${shell}${didYouMean(shell, known)}; known: ${known.join(", ")}`);
    }
    await print(script(specs));
    return 0;
  },
};
