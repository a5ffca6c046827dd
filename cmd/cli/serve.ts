/** What the servers' verbs share: run until a signal, then stop cleanly. */
import type { FlagSpec } from "./verb.ts";
import { onSignal } from "../../src/host/signals.ts";
import { openFileLimit } from "../../src/host/environment.ts";
import type { Call } from "./call.ts";
import { print, printJson } from "./output.ts";

const openFilesWanted = 4_096;

export const serverFlags = {
  insecure: {
    type: "boolean",
    about: "bind beyond this machine without a cluster secret: anyone who can reach it may do anything",
  },
} as const satisfies Record<string, FlagSpec>;

/** Prints the one line that says a server is ready. */
export async function announce(
  call: Call,
  role: string,
  facts: { readonly control: string; readonly data?: string; readonly volume?: string },
): Promise<void> {
  const { control, data, volume } = facts;
  if (call.json) return printJson({ ready: role, ...facts });
  const more = [data === undefined ? "" : `, data on ${data}`, volume === undefined ? "" : `, volume ${volume}`];
  await print(`gfs ${role} ready on ${control}${more.join("")}`);
}

/**
 * Waits for SIGTERM, SIGINT or `ended` (a server that stopped by itself; its rejection says why), then stops; a second signal ends the
 * process at once.
 */
export async function serveUntilSignal(
  call: Call,
  stop: () => Promise<void>,
  ended: Promise<unknown>,
): Promise<number> {
  const limit = openFileLimit();
  if (limit !== undefined && limit < openFilesWanted) {
    call.world.events.emit("warn", "host.open-files", {
      limit,
      wanted: openFilesWanted,
      hint: `ulimit -n ${openFilesWanted}`,
    });
  }
  let signals = 0;
  const signalled = new Promise<void>((resolve) => {
    onSignal((name) => {
      call.world.events.emit("info", "host.signal", { name });
      if (++signals > 1) process.exit(130);
      resolve();
    });
  });
  try {
    await Promise.race([signalled, ended]);
  } finally {
    await stop();
  }
  return 0;
}
