/**
 * What `spawn.self` runs in the conformance suite; a simulator registers the same three behaviours:
 * `echo WORDS…` prints the words on stdout; `fail CODE TEXT COUNT` prints TEXT that many times on stderr and ends with CODE;
 * `forever` never ends.
 */
const [verb, ...rest] = process.argv.slice(2);
if (verb === "echo") process.stdout.write(rest.join(" "));
else if (verb === "fail") {
  process.exitCode = Number(rest[0]);
  process.stderr.write((rest[1] ?? "").repeat(Number(rest[2] ?? 1)));
} else if (verb === "forever") setInterval(() => {}, 1000);
else process.exitCode = 2;
