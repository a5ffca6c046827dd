/** A small program for `process.test.ts`: the first argument says what it does. */
import {
  OutputClosedError,
  openFileLimit,
  pipeToStdout,
  readStdin,
  writeStdout,
} from "../../../src/host/environment.ts";
import { exit, onSignal } from "../../../src/host/signals.ts";
import { makeHostWorld } from "../../../src/host/world.ts";

const [verb = "", argument = ""] = process.argv.slice(2);
const world = makeHostWorld({
  logLevel: "info",
  logFormat: "text",
  selfCommand: [process.execPath, import.meta.path],
});

const verbs: Readonly<Record<string, () => Promise<void> | void>> = {
  timer: () => {
    world.clock.after(60_000, () => {});
  },
  call: async () => {
    const channel = world.control.channel(argument);
    const { status } = await channel.post({ path: "/slow", body: new Uint8Array(0), timeoutMs: 5000 });
    await writeStdout(new TextEncoder().encode(String(status)));
  },
  copy: async () => {
    for await (const piece of readStdin()) await writeStdout(piece);
  },
  pipe: async () => {
    // Buffers of their own, and parts of shared ones: whichever may be freed, the bytes written are those that were given.
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < Number(argument); i++) {
        const { buffer } = new Uint8Array(1 << 19).fill(i);
        yield new Uint8Array(buffer, 0, 100_000);
        yield new Uint8Array(buffer, 100_000);
        yield new Uint8Array(1 << 19).fill(i);
      }
    };
    await pipeToStdout(pieces());
  },
  flood: async () => {
    const piece = new Uint8Array(1 << 20);
    for (let left = Number(argument); left > 0; left--) {
      try {
        await writeStdout(piece);
      } catch (error) {
        exit(error instanceof OutputClosedError ? 42 : 1);
      }
    }
  },
  "wait-for-signal": () => {
    const hold = setInterval(() => {}, 1000);
    onSignal((signal) => {
      console.log(signal);
      clearInterval(hold);
    });
    console.log("ready");
  },
  listen: async () => {
    const listener = await world.stream.listen("127.0.0.1:0", () => {});
    console.log(listener.address);
  },
  "open-files": () => console.log(openFileLimit()),
  events: async () => {
    for (let i = 0; i < 3; i++) world.events.emit("info", "x.y", { i });
    exit(0);
  },
  parent: async () => {
    await world.spawn.self(["grandchild", argument]);
  },
  grandchild: async () => {
    await Bun.write(argument, String(process.pid));
    setInterval(() => {}, 1000);
  },
};

await verbs[verb]?.();
