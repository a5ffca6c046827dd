/** A rule taken out: exact texts of source files replaced when their modules are loaded, so that shipped code carries none. */
export interface Mutant {
  /** Kebab-case, unique. */
  readonly name: string;
  /** The rule that is gone, as DESIGN says it. */
  readonly rule: string;
  /** Several where more than one line keeps the rule. */
  readonly edits: readonly Edit[];
  /** Where killers are looked for, the likeliest first: names of scenarios. */
  readonly scenarios: readonly string[];
}

export interface Edit {
  /** From the root of the repository. */
  readonly file: string;
  /** Must occur exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

/** The source after the edits of this file. @throws Error where a text is not there exactly once: the list is out of date. */
export function mutate(mutant: Mutant, file: string, source: string): string {
  return mutant.edits
    .filter((edit) => edit.file === file)
    .reduce((text, { find, replace }) => {
      const count = text.split(find).length - 1;
      if (count !== 1)
        throw new Error(`Mutant ${mutant.name}: ${JSON.stringify(find)} occurs ${count} times in ${file}, not once`);
      return text.replace(find, () => replace);
    }, source);
}
