import { describe, expect, test } from "bun:test";
import { hasCode } from "../../../src/base/errors.ts";
import { limitsOf } from "../../../src/config/limits.ts";
import { resolveConfig, type ConfigSources } from "../../../src/config/resolve.ts";

function sources(over: Partial<ConfigSources>): ConfigSources {
  return { flags: new Map(), environment: {}, file: undefined, ...over };
}

function refusal(over: Partial<ConfigSources>): string {
  try {
    resolveConfig(sources(over));
  } catch (error) {
    if (hasCode(error, "ConfigInvalid")) return error.message;
    throw error;
  }
  return "accepted";
}

describe("DESIGN §7 precedence", () => {
  const file = { name: "gfs.toml", tables: { master: { port: 1, chunk_size: "1MiB", replication_factor: 2 } } };
  const environment = { GFS_MASTER_PORT: "2", GFS_MASTER_CHUNK_SIZE: "2MB" };
  const flags = new Map([["master.port", { flag: "--port", text: "3" }] as const]);

  test("a flag wins over the environment, that over the file, that over the default", () => {
    const config = resolveConfig(sources({ file, environment, flags }));
    expect(config.setting("master.port")).toEqual({ value: 3, origin: "flag --port" });
    expect(config.setting("master.chunk_size")).toEqual({
      value: 2_000_000,
      origin: "environment GFS_MASTER_CHUNK_SIZE",
    });
    expect(config.setting("master.replication_factor")).toEqual({ value: 2, origin: "file gfs.toml" });
    expect(config.setting("master.min_replicas")).toEqual({ value: 2, origin: "default" });
  });

  test("GFS_MASTER sets host and port, and the port may be left out", () => {
    const both = resolveConfig(sources({ environment: { GFS_MASTER: "h:5" } }));
    expect([both.get("master.host"), both.get("master.port")]).toEqual(["h", 5]);
    const host = resolveConfig(sources({ environment: { GFS_MASTER: "[::1]" } }));
    expect([host.get("master.host"), host.get("master.port")]).toEqual(["[::1]", 4370]);
  });
});

describe("what can't be used is named, with the nearest known name", () => {
  test.each([
    [{ file: { name: "gfs.toml", tables: { mastr: {} } } }, "unknown table [mastr] (did you mean master?)"],
    [
      { file: { name: "gfs.toml", tables: { master: { prot: 1 } } } },
      "unknown key prot in [master] (did you mean port?)",
    ],
    [{ file: { name: "gfs.toml", tables: { master: 5 } } }, "[master] must be a table"],
    [{ environment: { GFS_MASTER_PROT: "1" } }, "unknown setting GFS_MASTER_PROT (did you mean GFS_MASTER_PORT?)"],
    [{ environment: { GFS_MASTER: "a:b:c" } }, "is not HOST:PORT"],
    [{ environment: { GFS_MASTER_PORT: "70000" } }, "is not a whole number from 1 to 65535"],
    [{ environment: { GFS_MASTER_CHUNK_SIZE: "64XB" } }, "is not a size"],
    [{ environment: { GFS_MASTER_CHUNK_SIZE: "1kB" } }, "is not a size from 65536"],
    [{ file: { name: "f", tables: { client: { x: "NaN" } } } }, "client.x in f"],
  ])("%j", (over, text) => {
    expect(refusal(over)).toContain(text);
  });
});

describe("limitsOf()", () => {
  test("seconds become milliseconds, fractions too", () => {
    const config = resolveConfig(
      sources({ environment: { GFS_MASTER_LEASE_SECONDS: "2.5", GFS_CHUNK_SERVER_HEARTBEAT_INTERVAL: "0.2" } }),
    );
    expect(limitsOf(config)).toMatchObject({ leaseMs: 2_500, heartbeatMs: 200 });
  });

  test("one replica by default lowers the unset minimum, a contradiction that was set is refused", () => {
    expect(limitsOf(resolveConfig(sources({ environment: { GFS_MASTER_REPLICATION_FACTOR: "1" } }))).minReplicas).toBe(
      1,
    );
    const bad = resolveConfig(
      sources({ environment: { GFS_MASTER_REPLICATION_FACTOR: "1", GFS_MASTER_MIN_REPLICAS: "2" } }),
    );
    expect(() => limitsOf(bad)).toThrow("minReplicas");
  });
});
