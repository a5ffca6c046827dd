import { expect, test } from "bun:test";
import { serversTable } from "../../../cmd/cli/servers-table.ts";
import { started } from "../master/cluster-with-puts.ts";
import { status } from "../../../src/wire/control/namespace.ts";

test("a server that is not live is shown with how long it has been silent, not with the time of day", () => {
  const [first] = started(1, 2).call(status, {}).servers;
  if (first === undefined) throw new Error("no server");
  const hour = { ...first, liveness: "suspect" as const, lastHeartbeatMs: Date.now() - 3_600_000 };
  expect(serversTable([hour])).toMatch(/suspect, silent for 1 h/);
});
