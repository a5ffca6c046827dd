/** Every message of the control plane. */
import type { MessageType } from "../../src/wire/control/common.ts";
import * as appendAnswers from "../../src/wire/control/append-answers.ts";
import * as attributes from "../../src/wire/control/attributes.ts";
import * as balance from "../../src/wire/control/balance.ts";
import * as chunkservers from "../../src/wire/control/chunkservers.ts";
import * as commands from "../../src/wire/control/commands.ts";
import * as events from "../../src/wire/control/events.ts";
import * as drains from "../../src/wire/control/drains.ts";
import * as files from "../../src/wire/control/files.ts";
import * as metadata from "../../src/wire/control/metadata.ts";
import * as handshake from "../../src/wire/control/handshake.ts";
import * as namespace from "../../src/wire/control/namespace.ts";
import * as repair from "../../src/wire/control/repair.ts";
import * as scrub from "../../src/wire/control/scrub-orders.ts";
import * as settings from "../../src/wire/control/settings.ts";

function isMessage(value: unknown): value is MessageType {
  return typeof value === "object" && value !== null && "name" in value && "request" in value && "reply" in value;
}

export const allMessages: readonly MessageType[] = [
  handshake,
  files,
  namespace,
  appendAnswers,
  attributes,
  repair,
  scrub,
  settings,
  events,
  drains,
  balance,
  chunkservers,
  commands,
  metadata,
].flatMap((module) => Object.values(module).filter((value) => isMessage(value)));
