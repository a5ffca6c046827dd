import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { AssertionError } from "../../../src/base/assert.ts";
import { positional } from "../../../src/wire/positional.ts";

const form = positional(
  z.object({
    count: z.int().min(1).max(9),
    time: z.number(),
    share: z.number().min(0).max(1),
    name: z.string().min(1).max(3),
    id: z.string().regex(/^[0-9a-f]{4}$/),
    list: z.array(z.int().min(0).max(9)).min(1).max(2),
  }),
);
const good = { count: 1, time: 0.5, share: 0.25, name: "ab", id: "00ff", list: [1, 2] };

describe("values without names", () => {
  test("are read as they were written", () => {
    expect(form.decode(form.encode(7, good), 1)).toEqual(good);
  });

  test.each([
    ["an integer below its least", { count: 0 }],
    ["an integer above its most", { count: 10 }],
    ["a number that is none", { time: Number.NaN }],
    ["a number below its least", { share: -0.5 }],
    ["a number above its most", { share: 1.5 }],
    ["an endless number", { time: Number.POSITIVE_INFINITY }],
    ["a text that is too short", { name: "" }],
    ["a text that is too long", { name: "abcd" }],
    ["a text of another form", { id: "00FF" }],
    ["a list that is too long", { list: [1, 2, 3] }],
    ["a list that is too short", { list: [] }],
  ])("%s is not written: it could not be read", (_, wrong) => {
    expect(() => form.encode(7, { ...good, ...wrong })).toThrow(AssertionError);
    expect(form.decode(form.encode(7, good), 1)).toEqual(good);
  });

  test.each<[string, z.ZodType]>([
    ["an enum", z.enum(["a", "b"]).refine((value) => value === "a")],
    ["an object", z.object({ a: z.int() }).refine(({ a }) => a > 0)],
    ["a text", z.string().refine((value) => value !== "a")],
    ["a number", z.number().multipleOf(2)],
    ["a number above a bound", z.number().gt(0)],
    ["a whole number above one", z.int().positive()],
    ["a whole number of 32 bits", z.int32()],
    ["a list", z.array(z.int()).length(2)],
  ])("can't be of a schema with a check that reading would pass over: of %s", (_, schema) => {
    expect(() => positional(z.object({ field: schema }))).toThrow(AssertionError);
  });
});
