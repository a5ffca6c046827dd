import { describe, expect, test } from "bun:test";
import { inWorld, type MakeWorld, rejection, sleep } from "./world-under-test.ts";

/** The world must run `child.ts`, or the same behaviours, as its own executable. */
export function describeSpawn(name: string, make: MakeWorld): void {
  describe(`spawn of ${name}`, () => {
    test(
      "self() gives the output and the exit code",
      inWorld(make, async ({ world: { spawn } }) => {
        const { exitCode, stdout, stderr } = await spawn.self(["echo", "ä", "b c"]);
        expect({ exitCode, text: new TextDecoder().decode(stdout), stderr }).toEqual({
          exitCode: 0,
          text: "ä b c",
          stderr: "",
        });
      }),
    );

    test(
      "self() of a child that fails resolves, with at most the last 64 KiB of its messages",
      inWorld(make, async ({ world: { spawn } }) => {
        expect(await spawn.self(["fail", "8", "broken"])).toMatchObject({ exitCode: 8, stderr: "broken" });
        const { exitCode, stderr } = await spawn.self(["fail", "3", "0123456789", "20000"]);
        expect(exitCode).toBe(3);
        expect(stderr.length).toBe(65_536);
        expect(stderr.endsWith("0123456789")).toBe(true);
      }),
    );

    test(
      "the child dies with the signal; a signal that is aborted already starts none",
      inWorld(make, async ({ world: { spawn, clock } }) => {
        const controller = new AbortController();
        const child = spawn.self(["forever"], controller.signal);
        await sleep(clock, 50);
        controller.abort();
        expect((await child).exitCode).not.toBe(0);
        expect(await rejection(spawn.self(["echo"], AbortSignal.abort()))).toBeDefined();
      }),
    );
  });
}
