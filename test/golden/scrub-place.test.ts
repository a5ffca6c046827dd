import { expect, test } from "bun:test";
import { concatBytes } from "../../src/base/bytes.ts";
import type { ScrubRound } from "../../src/chunkserver/core/scrub-round.ts";
import { decodeScrubPlace, encodeScrubPlace } from "../../src/chunkserver/store/scrub-place.ts";
import { volumeId } from "../../src/wire/ids.ts";
import { readDoc } from "./doc-rows.ts";
import { expectGolden } from "./golden-file.ts";

const volume = volumeId("ffeeddccbbaa99887766554433221100");
const round: ScrubRound = {
  rounds: 3,
  cursor: 2 ** 33 + 5,
  beganMs: 1_700_000_000_000,
  chunks: 17,
  bytes: 2 ** 40 + 1,
  corrupt: 1,
  passes: [{ handle: 7, atMs: 1_700_000_000_500 }],
  passesBefore: [
    { handle: 2 ** 33 + 6, atMs: 1_699_000_000_000 },
    { handle: 2 ** 33 + 9, atMs: 1_699_000_100_000.5 },
  ],
  oldestMs: 1_698_999_000_000,
};
const first: ScrubRound = { ...round, oldestMs: undefined, passes: [], passesBefore: [] };

test("where a volume's scrub is: written alike, and read", async () => {
  const written = new Map([
    ["later round", concatBytes(encodeScrubPlace(volume, round))],
    ["first round", concatBytes(encodeScrubPlace(volume, first))],
  ]);
  const kept = expectGolden("scrub-place.hex", written);
  expect(await decodeScrubPlace(kept.get("later round") ?? new Uint8Array(0), volume)).toEqual(round);
  expect(await decodeScrubPlace(kept.get("first round") ?? new Uint8Array(0), volume)).toEqual(first);
  const doc = readDoc("DISK-FORMAT.md");
  for (const field of Object.keys(round)) expect(doc).toContain(`\`${field}\``);
});
