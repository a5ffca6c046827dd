import { describe, expect, test } from "bun:test";
import { extentText } from "../../../cmd/cli/extents-text.ts";
import { chunkHandle, chunkVersion } from "../../../src/wire/ids.ts";

describe("what locate and stat say of a chunk", () => {
  const extent = {
    fileOffset: 0,
    handle: chunkHandle(7),
    version: chunkVersion(1),
    state: "sealed" as const,
    replicas: [],
  };

  test.each([
    [{ length: 1, offset: 0, wanted: 1 }, "0: chunk 7 version 1, 1 byte, sealed, 0 of 1 replica"],
    [{ length: 2, offset: 9, wanted: 3 }, "0: chunk 7 version 1, 2 bytes from its byte 9, sealed, 0 of 3 replicas"],
  ])("%p", (facts, text) => {
    expect(extentText({ ...extent, ...facts })).toBe(text);
  });
});
