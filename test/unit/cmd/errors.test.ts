import { describe, expect, test } from "bun:test";
import { errorText } from "../../../cmd/cli/errors.ts";
import { GfsError } from "../../../src/base/errors.ts";

describe("the line that tells an error", () => {
  test("names what was asked for once", () => {
    const error = new GfsError("NoSpace", "Cannot put /a: 3 of 3 servers are full", { details: { hint: "wait" } });
    expect(errorText(error, "put /a")).toBe("gfs: put /a: 3 of 3 servers are full (NoSpace)\n  wait");
    expect(errorText(error, "append /b")).toStartWith("gfs: append /b: cannot put /a: 3 of");
    expect(errorText(error, "")).toStartWith("gfs: cannot put /a: 3 of");
  });

  test("is one line, of bearable length", () => {
    const error = new GfsError("PathInvalid", "Cannot use it:\nit is bad");
    expect(errorText(error, `put /${"x".repeat(5_000)}`).length).toBeLessThan(300);
    expect(errorText(error, "put /a")).not.toContain("\n");
  });

  test("has the verb's hint only where the error is about gfs", () => {
    const missing = (details = {}): GfsError => new GfsError("NotFound", "Cannot read x: none", { details });
    expect(errorText(missing(), "append /a")).toContain("--no-create");
    expect(errorText(missing({ local: true }), "append /a")).not.toContain("--no-create");
  });
});
