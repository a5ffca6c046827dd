import { describeClock } from "../../conformance/clock.ts";
import { describeControl } from "../../conformance/control.ts";
import { describeDisk } from "../../conformance/disk.ts";
import { describeEvents } from "../../conformance/events.ts";
import { describeRandom } from "../../conformance/random.ts";
import { describeSpawn } from "../../conformance/spawn.ts";
import { describeStream } from "../../conformance/stream.ts";
import type { WorldUnderTest } from "../../conformance/world-under-test.ts";
import { type FaultSettings, noFaults } from "./fault-settings.ts";
import { utf8 } from "../../../src/base/bytes.ts";
import { Simulation } from "./simulation.ts";

/** What does no harm to those who keep to the contract. */
const harmless: FaultSettings = {
  ...noFaults,
  clock: { skewPpm: 500, wallErrorMs: 60_000 },
  disk: { ...noFaults.disk, slow: 0.05, slowMs: [1, 20], writeShowsEarly: 0.5, writeBack: 0.5 },
  stream: { ...noFaults.stream, jitterMs: [0, 2], shred: 0.3, stall: 0.02, stallMs: [1, 10] },
  control: { ...noFaults.control, reorder: 0.5 },
};

function maker(faults: FaultSettings): () => WorldUnderTest {
  let seed = 0;
  return () => {
    const simulation = new Simulation(++seed, { faults });
    simulation.program("echo", async (_, [, ...words]) => ({ exitCode: 0, stdout: utf8(words.join(" ")) }));
    simulation.program("fail", async (_, [, code, text = "", count = "1"]) => ({
      exitCode: Number(code),
      stderr: text.repeat(Number(count)),
    }));
    simulation.program("forever", () => new Promise(() => {}));
    const machine = simulation.machine("m1");
    let directories = 0;
    return {
      world: machine.world,
      async directory() {
        const path = `/tmp/${++directories}`;
        await machine.world.disk.makeDirectory(path);
        return path;
      },
      run: async (fn) => simulation.do(machine, fn),
      address: () => "127.0.0.1:0",
      dispose: async () => undefined,
    };
  };
}

for (const [name, make] of [
  ["simulation", maker(noFaults)],
  ["rough simulation", maker(harmless)],
] as const) {
  describeClock(name, make);
  describeRandom(name, make);
  describeDisk(name, make);
  describeStream(name, make);
  describeControl(name, make);
  describeSpawn(name, make);
  describeEvents(name, make);
}
