import { describe, expect, test } from "bun:test";
import { freeBuffer } from "../../../src/host/buffer-garbage.ts";

describe("freeBuffer()", () => {
  test("frees a buffer at once", () => {
    const bytes = new Uint8Array(1_000);
    freeBuffer(bytes);
    expect(bytes.buffer.byteLength).toBe(0);
  });

  test.each([
    ["begins behind its start", 1, 1_000],
    ["ends before its end", 0, 999],
  ])("leaves one alone of which others may see a part: where the piece %s", (_, from, to) => {
    const bytes = new Uint8Array(1_000).fill(7);
    freeBuffer(bytes.subarray(from, to));
    expect(bytes).toEqual(new Uint8Array(1_000).fill(7));
  });
});
