/**
 * Where the scrub goes on after a restart: the file `scrub` of the volume's directory (docs/DISK-FORMAT.md), one section as in the checkpoint. What it lacks is read once more; so it
 * is written now and then, and one that is missing or damaged only makes a round begin anew.
 */
import { z } from "zod";
import { byteLengthOf } from "../../base/bytes.ts";
import { GfsError, hasCode } from "../../base/errors.ts";
import { type Disk, DiskError } from "../../io.ts";
import { decodeStoredCbor, encodeCbor } from "../../wire/cbor.ts";
import { Uint53 } from "../../wire/control/common.ts";
import { VolumeId } from "../../wire/ids.ts";
import type { ScrubRound } from "../core/scrub-round.ts";
import { nextSection, section } from "./checkpoint.ts";
import type { Ground } from "./ground.ts";

const name = "scrub";
const format = 1;
/** Both lists at their longest are a quarter of it. */
const placeBytesMax = 16_384;

const Passes = z.array(z.tuple([Uint53, z.number()])).max(256);
const Place = z.object({
  kind: z.literal("gfs scrub"),
  format: z.literal(format),
  volume: VolumeId,
  rounds: Uint53,
  cursor: Uint53,
  beganMs: z.number(),
  chunks: Uint53,
  bytes: Uint53,
  corrupt: Uint53,
  passes: Passes,
  passesBefore: Passes,
  oldestMs: z.number().optional(),
});

const packed = (passes: ScrubRound["passes"]): [number, number][] => passes.map(({ handle, atMs }) => [handle, atMs]);
const unpacked = (passes: z.infer<typeof Passes>): ScrubRound["passes"] =>
  passes.map(([handle, atMs]) => ({ handle, atMs }));

export function encodeScrubPlace(volume: VolumeId, round: ScrubRound): Uint8Array[] {
  const { passes, passesBefore, oldestMs, ...numbers } = round;
  return section(
    encodeCbor({
      kind: "gfs scrub",
      format,
      volume,
      ...numbers,
      passes: packed(passes),
      passesBefore: packed(passesBefore),
      ...(oldestMs === undefined ? {} : { oldestMs }),
    }),
  );
}

/** @throws GfsError Corrupt */
export async function decodeScrubPlace(bytes: Uint8Array, volume: VolumeId): Promise<ScrubRound> {
  let at = 0;
  const source = {
    take: async (count: number) => {
      if (at + count > bytes.length) throw new GfsError("Corrupt", `Cannot read ${name}: it is cut off`);
      at += count;
      return bytes.subarray(at - count, at);
    },
  };
  const parsed = Place.safeParse(decodeStoredCbor(await nextSection(source, name), name));
  if (!parsed.success) throw new GfsError("Corrupt", `Cannot read ${name}: it is not a scrub's place`);
  if (parsed.data.volume !== volume)
    throw new GfsError("Corrupt", `Cannot read ${name}: it is of volume ${parsed.data.volume}`);
  const { rounds, cursor, beganMs, chunks, bytes: read, corrupt, passes, passesBefore, oldestMs } = parsed.data;
  const numbers = { rounds, cursor, beganMs, chunks, bytes: read, corrupt };
  return { ...numbers, passes: unpacked(passes), passesBefore: unpacked(passesBefore), oldestMs };
}

/** Contract: Store.scrub. */
export async function loadScrub({ world, directory, identity, retirement }: Ground): Promise<ScrubRound | undefined> {
  try {
    return await readPlace(world.disk, directory, identity.volume);
  } catch (error) {
    if (error instanceof DiskError && error.kind === "missing") return undefined;
    if (!hasCode(error, "Corrupt")) throw retirement.translate("read where the scrub is", error);
    world.events.emit("warn", "scrub.place-lost", { volume: identity.volume, reason: error.message });
    return undefined;
  }
}

async function readPlace(disk: Disk, directory: string, volume: VolumeId): Promise<ScrubRound> {
  const file = await disk.open(`${directory}/${name}`, "read");
  try {
    const into = new Uint8Array(placeBytesMax);
    const read = await file.read(into, 0);
    return await decodeScrubPlace(into.subarray(0, read), volume);
  } finally {
    await file.close();
  }
}

/** Contract: Store.keepScrub. The file is whole, or as it was before. */
export async function keepScrub({ world, directory, identity, retirement }: Ground, round: ScrubRound): Promise<void> {
  const path = `${directory}/${name}`;
  const pieces = encodeScrubPlace(identity.volume, round);
  try {
    await retirement.attempt("write where the scrub is", async () => {
      const file = await world.disk.open(`${path}.new`, "write");
      try {
        await file.write(pieces, 0);
        await file.truncate(byteLengthOf(pieces));
        await file.sync();
      } finally {
        await file.close();
      }
      await world.disk.rename(`${path}.new`, path);
      await world.disk.syncDirectory(directory);
    });
  } catch (error) {
    if (!hasCode(error, "NoSpace")) throw error;
  }
}
