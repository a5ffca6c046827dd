import { describe, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jsonLine, makeHostEvents, textLine } from "../../../src/host/events.ts";

const time = "2026-01-02T03:04:05.678Z";
const hostile = 'a "b"\n\u001b[31m\u009b\u2028\u202e\ud800';

describe("events", () => {
  test("textLine() quotes what needs it", () => {
    expect(
      textLine(time, "warn", "replica.stale", {
        handle: 7,
        ok: true,
        absent: undefined,
        path: "/a/b-c_d.e",
        address: "[::1]:80",
        empty: "",
        reason: "no answer",
        volumes: ["a", "b c", 3],
      }),
    ).toBe(
      `${time} warn replica.stale handle=7 ok=true path=/a/b-c_d.e address="[::1]:80" empty="" reason="no answer" volumes=[a,"b c",3]`,
    );
  });

  test.each([
    ["text", textLine],
    ["json", jsonLine],
  ])("a %s line is one line without control characters, whatever the fields", (_, line) => {
    const text = line(time, "error", "x.y", { name: hostile, list: [hostile] });
    // oxlint-disable-next-line no-control-regex -- reason: control characters are what must not be there
    expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
    expect(text.isWellFormed()).toBe(true);
  });

  test("jsonLine() parses back, and keeps fields that are named like its own", () => {
    expect(JSON.parse(jsonLine(time, "info", "x.y", { level: "mine", name: hostile, n: Number.NaN }))).toEqual({
      time,
      level: "info",
      event: "x.y",
      "field.level": "mine",
      name: hostile,
      n: "NaN",
    });
  });

  test("levels below the lowest are not written; lines come out in order, whole, by flush()", async () => {
    const path = join(tmpdir(), `gfs-events-${crypto.randomUUID()}`);
    const descriptor = openSync(path, "w");
    const events = makeHostEvents({ level: "info", format: "text", descriptor });
    expect([events.enabled("debug"), events.enabled("info"), events.enabled("error")]).toEqual([false, true, true]);
    events.emit("debug", "not.written");
    for (let i = 0; i < 5000; i++) events.emit("info", "x.y", { i });
    await events.flush(5000);
    events.emit("error", "last.one");
    await events.flush(5000);
    closeSync(descriptor);
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(lines.length).toBe(5001);
    expect(lines.slice(0, -1).every((line, i) => line.endsWith(` info x.y i=${i}`))).toBe(true);
    expect(lines.at(-1)).toEndWith("error last.one");
    unlinkSync(path);
  });

  test("a reader that is gone does no harm", async () => {
    const descriptor = openSync(tmpdir(), "r");
    const events = makeHostEvents({ level: "info", format: "text", descriptor });
    events.emit("info", "x.y");
    await events.flush(1000);
    events.emit("info", "x.y");
    await events.flush(1000);
    closeSync(descriptor);
    expect(events.enabled("info")).toBe(true);
  });
});
