/** What a salvage takes for true where the volume log is damaged, and data files are newer than its whole part (DESIGN §4.7). */
import { expect, test } from "bun:test";
import { crc32 } from "../../../../src/base/checksum.ts";
import { readVolume, type SalvagedVolume } from "../../../../src/chunkserver/salvage/read-volume.ts";
import { segmentFileName } from "../../../../src/log/segment.ts";
import { surveyDirectory } from "../../../../src/log/survey.ts";
import { chunkHandle, chunkVersion } from "../../../../src/wire/ids.ts";
import { content, directory, openOptions, origin, putChunk, recordOf, simVolume, writeOptions } from "./sim-volume.ts";

const h = chunkHandle;
const v = chunkVersion;
const log = `${directory}/log`;
const [sealed, copied, removed, older, corrupt, open] = [1, 2, 3, 4, 5, 6];

/** A volume with a replica in each state that a chunk file can be newer than. With `damaged`, its log ends before what made the files newer, and the checkpoint is gone. */
function salvaged(damaged: boolean, verify = true): SalvagedVolume {
  const volume = simVolume();
  const { simulation, machine } = volume;
  const record = content(900);
  const middle = volume.with(async (store, world) => {
    for (const handle of [sealed, open]) {
      await store.openReplica(openOptions(handle));
      await store.durable(store.append(recordOf(handle, 1, { offset: 0, data: record })));
    }
    for (const handle of [copied, removed, older, corrupt])
      await putChunk(store, writeOptions(handle), content(30_000));
    await store.moveAside(h(copied));
    await store.moveAside(h(removed));
    await store.flush();
    machine.drive().corrupt(`${directory}/chunks/05/0000000000000005`, 100);
    expect(await store.verifyReplica(h(corrupt))).toBe("corrupt");
    const { segments } = await surveyDirectory(world.disk, log, { name: "volume-log", id: store.volume, after: 0 });
    const last = segments.at(-1)!;
    // Sealed, and copied here again.
    for (const handle of [sealed, open]) await store.promise(h(handle), v(2));
    await store.finish({ handle: h(sealed), version: v(2), length: 900, crc: crc32(record), origin });
    for (const [handle, version] of [
      [copied, 1],
      [older, 3],
      [corrupt, 1],
    ] as const)
      await putChunk(store, writeOptions(handle, { version: v(version), purpose: "clone" }), content(40_000));
    await store.flush();
    return { file: `${log}/${segmentFileName(last.header.first)}`, offset: last.end };
  });
  if (damaged) machine.drive().corrupt(middle.file, middle.offset + 20);
  return simulation.do(machine, async (world) => {
    if (damaged) await world.disk.remove(`${directory}/checkpoint`);
    return readVolume(world, directory, { verify });
  });
}

function wordsOf({ replicas }: SalvagedVolume): string[] {
  return replicas
    .map((it) => `${it.handle} v${it.version} ${it.sealed ? "sealed" : "open"} ${it.length}`)
    .sort((a, b) => a.localeCompare(b));
}

test("a chunk file that is newer than what a damaged volume log says of it counts", () => {
  const whole = salvaged(false);
  const expected = ["1 v2 sealed 900", "2 v1 sealed 40000", "4 v3 sealed 40000", "5 v1 sealed 40000", "6 v1 open 900"];
  expect(whole.problems).toEqual([]);
  expect(wordsOf(whole)).toEqual(expected);
  const damaged = salvaged(true);
  expect(damaged.problems).toEqual([expect.stringContaining("the volume log is damaged in")]);
  expect(wordsOf(damaged)).toEqual(expected);
  // Of the version that was found corrupt: only its bytes tell that it is a copy.
  const unread = salvaged(true, false);
  expect(unread.problems.join("\n")).toContain("the volume knows it as corrupt, at version 1");
  expect(wordsOf(unread)).toEqual(expected.filter((words) => !words.startsWith("5 ")));
});
