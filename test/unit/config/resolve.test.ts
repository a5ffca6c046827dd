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

  test("GFS_MASTER goes before the variables of the host and port that it names", () => {
    const parts = { GFS_MASTER_HOST: "other", GFS_MASTER_PORT: "7" };
    const whole = resolveConfig(sources({ environment: { GFS_MASTER: "h:5", ...parts } }));
    expect(whole.setting("master.host")).toEqual({ value: "h", origin: "environment GFS_MASTER" });
    expect(whole.setting("master.port")).toEqual({ value: 5, origin: "environment GFS_MASTER" });
    const host = resolveConfig(sources({ environment: { ...parts, GFS_MASTER: "h" } }));
    expect(host.setting("master.host")).toEqual({ value: "h", origin: "environment GFS_MASTER" });
    expect(host.setting("master.port")).toEqual({ value: 7, origin: "environment GFS_MASTER_PORT" });
  });

  test("times are seconds, or have a unit", () => {
    const timeout = (text: string) => new Map([["client.timeout_seconds", { flag: "--timeout", text }] as const]);
    for (const [text, seconds] of [
      ["30", 30],
      ["1.5", 1.5],
      ["45s", 45],
      ["5min", 300],
      ["250ms", 0.25],
    ] as const)
      expect(resolveConfig(sources({ flags: timeout(text) })).get("client.timeout_seconds")).toBe(seconds);
    const inFile = { name: "gfs.toml", tables: { client: { timeout_seconds: "2min" } } };
    expect(resolveConfig(sources({ file: inFile })).get("client.timeout_seconds")).toBe(120);
    for (const text of ["0", "soon", "-1", "3 weeks", "1e3000"])
      expect(refusal({ flags: timeout(text) })).toContain(
        "is not a time from 0.001 to 1000000000 seconds, like 30, 30s or 5min",
      );
  });

  test("an empty variable is an unset one, and what doesn't begin with GFS_ is somebody else's", () => {
    const config = resolveConfig(
      sources({ environment: { GFS_MASTER: "", GFS_MASTER_PORT: "", GFSX: "1", PATH: "/" } }),
    );
    expect(config.setting("master.port").origin).toBe("default");
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
    [{ environment: { GFS_CHUNKSERVER_RACK: "r" } }, "GFS_CHUNKSERVER_RACK (did you mean GFS_CHUNK_SERVER_RACK?)"],
    [{ environment: { GFS_MASTR: "h:1" } }, "unknown setting GFS_MASTR (did you mean GFS_MASTER?)"],
    [{ environment: { GFS_LOGLEVEL: "debug" } }, "unknown setting GFS_LOGLEVEL (did you mean GFS_LOG_LEVEL?)"],
    [{ environment: { GFS_WHATEVER_ELSE_THIS_IS: "1" } }, "unknown setting GFS_WHATEVER_ELSE_THIS_IS"],
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
