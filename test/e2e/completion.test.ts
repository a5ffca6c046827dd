/** The completion scripts, read and tried by the shells that they are for. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanEnvironment, gfs } from "../tools/processes.ts";

function isHere(shell: string): boolean {
  if (Bun.which(shell) !== null) return true;
  process.stderr.write(`completions for ${shell} are not tried: it is not installed here\n`);
  return false;
}

const here = { bash: isHere("bash"), zsh: isHere("zsh"), fish: isHere("fish") };

/** What a shell without anybody's settings prints for `code`, with the completion script in the file $script. */
async function inShell(shell: keyof typeof here, program: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "gfs-e2e-"));
  try {
    const script = await gfs(["completion", shell]);
    expect(script.code).toBe(0);
    writeFileSync(join(directory, "script"), script.text);
    writeFileSync(join(directory, "program"), program);
    const flags = { bash: ["--norc"], zsh: ["-f"], fish: ["--no-config"] }[shell];
    const child = Bun.spawn([shell, ...flags, join(directory, "program")], {
      env: { ...cleanEnvironment(), HOME: directory, TERM: "xterm", script: join(directory, "script") },
      cwd: directory,
      stdout: "pipe",
      stderr: "pipe",
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), 100_000);
    const [out, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    const code = await child.exited;
    clearTimeout(timer);
    expect([errors, code]).toEqual(["", 0]);
    return out;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const verbs = ["append", "fsck", "get", "master", "put", "status", "trash"];

describe("completion", () => {
  // reason: it is tried by the shell, which may be missing
  test.skipIf(!here.bash)("bash completes verbs, flags of the verb, and files", async () => {
    const complete = (words: string): string =>
      `COMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _gfs; echo "\${COMPREPLY[@]}"\n`;
    const code = `bash -n "$script"; source "$script"; : > local-file\n`;
    const out = await inShell("bash", code + complete("gfs ''") + complete("gfs put --over") + complete("gfs put loc"));
    const [all = "", flag, file] = out.trimEnd().split("\n");
    const offered = all.split(" ");
    expect(verbs.filter((verb) => !offered.includes(verb))).toEqual([]);
    expect(all).not.toContain("checkpoint-master");
    expect([flag, file]).toEqual(["--overwrite", "local-file"]);
  });

  // reason: it is tried by the shell, which may be missing
  test.skipIf(!here.fish)("fish completes verbs, flags of the verb, and files as values", async () => {
    const complete = (line: string): string => `complete -C '${line}'; echo =\n`;
    const code = `fish -n $script; source $script; echo > local-file\n`;
    const out = await inShell(
      "fish",
      code +
        complete("gfs ") +
        complete("gfs put --over") +
        complete("gfs put --config loc") +
        complete("gfs put --timeout loc"),
    );
    const [all = "", flag = "", file = "", none = ""] = out.split("=\n");
    const offered = all.split("\n").map((line) => line.split("\t")[0]);
    expect(verbs.filter((verb) => !offered.includes(verb))).toEqual([]);
    expect(all).not.toContain("checkpoint-master");
    expect(flag).toStartWith("--overwrite\ttake the place");
    expect([file, none]).toEqual(["local-file\n", ""]);
  });

  // reason: it is tried by the shell, which may be missing
  test.skipIf(!here.zsh)("zsh completes verbs, flags of the verb, and files as values", async () => {
    // Only a zsh with a terminal completes: one is run in another, keys are typed, and what the line became is printed.
    const code = String.raw`
zsh -n "$script"
zmodload zsh/zpty
zpty inner "zsh -f -i"
await() { local all= part; while [[ $all != *$1* ]]; do zpty -r -t inner part && all+=$part || sleep 0.05; done }
zpty -w inner 'PS1="" PS2="" PROMPT_EOL_MARK=""; unsetopt zle_bracketed_paste 2>/dev/null; : > local-file'
zpty -w inner 'autoload -U compinit; compinit -u -D; source "$script"; show() { print -r -- "<$BUFFER>"; BUFFER= }; zle -N show; bindkey "^I" complete-word; bindkey "^G" show; print -r -- rea''dy'
await ready
for line in 'gfs fsc' 'gfs put --over' 'gfs put --config loc' 'gfs put --timeout loc'; do
  zpty -n -w inner "$line"$'\t\a'
  all=
  while [[ $all != *'>'* ]]; do zpty -r -t inner part && all+=$part || sleep 0.05; done
  print -r -- "${"${${all##*<}%%>*}"}"
done
zpty -d inner
`;
    const out = await inShell("zsh", code);
    expect(out.split("\n").map((line) => line.trimEnd())).toEqual([
      "gfs fsck",
      "gfs put --overwrite",
      "gfs put --config local-file",
      "gfs put --timeout loc",
      "",
    ]);
  });
});
