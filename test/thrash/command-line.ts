/** The compiled `gfs`, run once to its end, which dies with whoever runs it. */
import { GfsError, isErrorCode } from "../../src/base/errors.ts";
import { cleanEnvironment, gfsPath } from "../tools/processes.ts";
import { withParent } from "./role-process.ts";

/** However long it waits for a cluster in trouble: it is never silent for longer than its own time-out, a few times over. */
const runMsMax = 120_000;

/**
 * What it printed.
 *
 * @throws GfsError as it was refused; with the code `Bug` where it said nothing that names a code
 */
export async function runGfs(args: readonly string[]): Promise<Uint8Array> {
  const child = Bun.spawn([...withParent, gfsPath, ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: cleanEnvironment(),
    timeout: runMsMax,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).bytes(), new Response(child.stderr).text()]);
  const code = await child.exited;
  if (code === 0) return stdout;
  const [, name = ""] = /\((\w+)\)$/m.exec(stderr) ?? [];
  throw new GfsError(isErrorCode(name) ? name : "Bug", `by the command line, exit ${code}: ${stderr.trim()}`);
}
