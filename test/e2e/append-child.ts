/** A process of `append-storm.test.ts`: appends numbered records to one file through the library, many of them in flight. */
import { utf8 } from "../../src/base/bytes.ts";
import { GfsClient } from "../../src/gfs.ts";
import { defaultLimits } from "../../src/limits.ts";

const [master = "", path = "", writer = "", count = "0", pauseMs = "0"] = process.argv.slice(2);

/** Ends with a line feed, and has none before; 20 bytes to about 2 KB. */
export function recordOf(number: string, i: number): string {
  return `${number} ${i} ${"x".repeat((i * 37 + Number(number) * 101) % 2_000)}\n`;
}

if (import.meta.main) {
  await using client = await GfsClient.connect({
    master,
    label: `writer-${writer}`,
    limits: { ...defaultLimits, clientTimeoutMs: 60_000 },
  });
  await using appender = await client.appender(path);
  const answers: Promise<unknown>[] = [];
  for (let i = 0; i < Number(count); i++) {
    // The last record waits until the parent has seen enough: it ends our input then.
    if (i === Number(count) - 1) await Bun.stdin.text();
    await appender.ready();
    const answer = appender.append(utf8(recordOf(writer, i)));
    answer.catch(() => {}); // told by the sum below
    answers.push(answer);
    if (pauseMs !== "0") await Bun.sleep(Number(pauseMs));
  }
  await Promise.all(answers);
  process.stdout.write(`${answers.length}\n`);
}
