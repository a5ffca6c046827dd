import type { EventLevel, World } from "../io.ts";
import { makeHostClock } from "./clock.ts";
import { makeHostControl } from "./control.ts";
import { makeHostCrypto } from "./crypto.ts";
import { makeHostDisk } from "./disk.ts";
import { type HostEvents, type LogFormat, makeHostEvents } from "./events.ts";
import { makeHostRandom } from "./random.ts";
import { makeHostSpawn, selfCommand } from "./spawn.ts";
import { makeHostStream } from "./stream.ts";

export interface HostWorldOptions {
  readonly logLevel: EventLevel;
  readonly logFormat: LogFormat;
  /** What `spawn.self` runs, where it is not this very program: for tests. */
  readonly selfCommand?: readonly string[];
}

export interface HostWorld extends World {
  readonly events: HostEvents;
}

/** The real world. */
export function makeHostWorld(options: HostWorldOptions): HostWorld {
  return {
    clock: makeHostClock(),
    random: makeHostRandom(),
    crypto: makeHostCrypto(),
    disk: makeHostDisk(),
    stream: makeHostStream(),
    control: makeHostControl(),
    spawn: makeHostSpawn(options.selfCommand ?? selfCommand()),
    events: makeHostEvents({ level: options.logLevel, format: options.logFormat }),
  };
}
