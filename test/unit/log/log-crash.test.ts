import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { utf8 } from "../../../src/base/bytes.ts";
import { newMachine, numbered, opened, reopened } from "./log-in-sim.ts";
import { GfsError, hasCode } from "../../../src/base/errors.ts";

/** Appends at once and in turn, trims never; what was told durable is in `durable`. */
async function write(
  world: Parameters<typeof opened>[0],
  texts: readonly string[],
  progress: { durable: number },
  directories: readonly string[],
): Promise<void> {
  const { log } = await opened(world, { directories, onDurable: (position) => (progress.durable = position) });
  for (const [index, text] of texts.entries()) {
    const position = log.append([utf8(text)]);
    if (index % 3 === 2) await log.durable(position);
  }
  await log.durable(log.lastPosition);
}

describe("a log after a crash", () => {
  test("holds all that was durable and nothing out of order, whatever a power loss keeps", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.double({ min: 0, max: 40, noNaN: true }),
        fc.boolean(),
        fc.constantFrom(["/a"], ["/a", "/b"]),
        (seed, crashAfterMs, powerLoss, directories) => {
          const { simulation, machine } = newMachine(seed);
          const texts = Array.from({ length: 60 }, (_, i) => `${i}`.padEnd(10 + ((i * 37) % 300), "z"));
          const progress = { durable: 0 };
          machine.run((world) => write(world, texts, progress, directories));
          simulation.runFor(crashAfterMs);
          machine.crash({ powerLoss });
          const found = reopened(simulation, machine, { directories });
          expect(found.length).toBeGreaterThanOrEqual(progress.durable);
          expect(found).toEqual(numbered(texts).slice(0, found.length));
          // A second crash right after takes nothing of what was found, and appending goes on from there.
          machine.crash({ powerLoss: true });
          machine.restart();
          simulation.do(machine, async (world) => {
            const { log, entries } = await opened(world, { directories });
            expect(entries).toEqual(found);
            await log.durable(log.append([utf8("after")]));
          });
          machine.crash({ powerLoss: true });
          expect(reopened(simulation, machine, { directories })).toEqual([...found, `${found.length + 1}:after`]);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("that followed a failed sync has no hole under what is logged afterwards", () => {
    const { simulation, machine } = newMachine(11);
    const options = { segmentBytes: 131_072 };
    const failed = simulation.do(machine, async (world) => {
      const { log } = await opened(world, options);
      await log.durable(log.append([utf8("one")]));
      machine.drive().fail({ operation: "sync", pathPrefix: "/a", times: 1 });
      return log.durable(log.append([utf8("two".repeat(9_000))])).then(
        () => false,
        () => true,
      );
    });
    expect(failed).toBe(true);
    machine.restart();
    const found = simulation.do(machine, async (world) => {
      const { log, entries } = await opened(world, options);
      await log.durable(log.append([utf8("later")]));
      return [...entries];
    });
    machine.crash({ powerLoss: true, keep: 0 });
    expect(reopened(simulation, machine, options)).toEqual([...found, `${found.length + 1}:later`]);
  });

  test("is refused, and not written over, where it changes while it is opened: a page that was never synced is dropped from the cache", () => {
    const { simulation, machine } = newMachine(12);
    simulation.do(machine, (world) => write(world, ["one", "two", "three"], { durable: 0 }, ["/a"]));
    machine.restart();
    const code = simulation.do(machine, async (world) => {
      const name = (await world.disk.list("/a")).find((each) => each.endsWith(".segment")) ?? "";
      const flip = async () => machine.drive().corrupt(`/a/${name}`, 540, 1);
      const refused = await opened(world, { beforeChange: flip }).catch((error: unknown) => error);
      await flip();
      return hasCode(refused, "Corrupt");
    });
    expect(code).toBe(true);
    expect(reopened(simulation, machine)).toEqual(["1:one", "2:two", "3:three"]);
  });

  test("with a flipped bit or cut short is a prefix of itself, or refused", () => {
    const texts = Array.from({ length: 40 }, (_, i) => `${i}`.padEnd(100, "w"));
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 * 4_096 - 1 }),
        fc.integer({ min: 0, max: 7 }),
        fc.boolean(),
        (at, bit, cut) => {
          const { simulation, machine } = newMachine(5);
          const progress = { durable: 0 };
          simulation.do(machine, (world) => write(world, texts, progress, ["/a"]));
          const first = simulation.do(machine, async ({ disk }) =>
            (await disk.list("/a")).filter((name) => name.endsWith(".segment")),
          );
          const name = first[Math.floor(at / 4_096)] ?? "";
          if (cut) {
            machine.restart();
            simulation.do(machine, async ({ disk }) => {
              const file = await disk.open(`/a/${name}`, "write");
              await file.truncate(at % 4_096);
              await file.close();
            });
          } else machine.drive().corrupt(`/a/${name}`, at % 4_096, 1 << bit);
          try {
            const found = reopened(simulation, machine);
            expect(found).toEqual(numbered(texts).slice(0, found.length));
          } catch (error) {
            if (!(error instanceof GfsError)) throw error;
            expect(["Corrupt", "WrongCluster", "FormatUnsupported"]).toContain(error.code);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});
