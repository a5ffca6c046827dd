/** Events for operators, from files with whatever bytes: each that is told was written so, in order and once; the next start keeps what happens then. */
import type { World } from "../../src/io.ts";
import { defaultLimits, type Limits } from "../../src/limits.ts";
import { EventFiles } from "../../src/master/event-files.ts";
import { KeptEvents } from "../../src/master/kept-events.ts";
import type { ClusterEvent } from "../../src/wire/control/events.ts";
import { inFixedWorld } from "../golden/fixed-world.ts";
import { damaged, type Image, takeImage, withImage } from "./disk-image.ts";
import { demand, type FuzzRun, type FuzzTarget } from "./fuzz-target.ts";

const limits: Limits = { ...defaultLimits, eventSegmentBytes: 1_500, eventSegments: 4 };
const count = 30;

const written: readonly ClusterEvent[] = Array.from({ length: count }, (_, i) => ({
  number: i + 1,
  atMs: 1_000 * i,
  level: i % 7 === 0 ? "warn" : "info",
  kind: i % 3 === 0 ? "volume.dead" : "repair.healed",
  text: `event ${i + 1} of /a/b${"c".repeat(i)}`,
  ...(i % 2 === 0 ? { server: `server${i}` } : {}),
}));

function storyImage(): Image {
  return inFixedWorld(async (world) => {
    const files = new EventFiles(world.disk, ["/d"], limits);
    for (const event of written) await files.write([event], 0);
    await files.close();
    return takeImage(world, "/d/events");
  });
}

/** What one start tells; then one more happens. */
async function start(world: World): Promise<readonly ClusterEvent[]> {
  const kept = new KeptEvents(world, ["/d"], limits);
  kept.attach(undefined);
  const { events } = await kept.ask({ kinds: [], limit: 1_000, waitMs: 0 });
  kept.events.emit("info", "safe-mode.left", { by: "itself" });
  await kept.stop();
  return events;
}

function prepare(): FuzzRun {
  const image = storyImage();
  return {
    once(prng) {
      const told = withImage(
        damaged(prng, image, /events$/),
        async (world) => [await start(world), await start(world)],
        [],
      );
      demand(Array.isArray(told), () => `it ended with ${JSON.stringify(told)}`);
      const [first = [], second = []] = Array.isArray(told) ? told : [];
      for (const [i, event] of first.entries()) {
        const { number } = event;
        demand(number > (first[i - 1]?.number ?? 0), () => `event ${number} is told out of order, or twice`);
        demand(Bun.deepEquals(event, written[number - 1]), () => `event ${number} is another one than was written`);
      }
      demand(second.at(-1)?.kind === "safe-mode.left", () => "what happened after the damage is not kept");
    },
  };
}

export const eventTargets: readonly FuzzTarget[] = [{ name: "event-files", shortRun: 200, prepare }];
