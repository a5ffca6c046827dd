import { expect, test } from "bun:test";
import fc from "fast-check";
import { decodeActive, encodeActive } from "../../../../src/chunkserver/store/checkpoint.ts";
import { VolumeState } from "../../../../src/chunkserver/store/volume-state.ts";
import { chunkHandle, chunkVersion, sequence, sessionId } from "../../../../src/wire/ids.ts";
import type { VolumeRecord } from "../../../../src/wire/volume-records.ts";
import { origin } from "./sim-volume.ts";

const headBytes = 40;
const kinds = "open accept durable promise tail finish close file corrupt remove restart".split(" ");

/** A volume of a few chunks: each step does what the state of its chunk allows, if that is anything. */
class Steps {
  state = new VolumeState();
  /** Bytes of records that are on their way to the log, by chunk. */
  #queued = new Map<number, number[]>();
  #logged = 0;

  do(kind: string, handle: number, bytes: number): void {
    const { state } = this;
    const active = state.active.get(handle);
    const row = state.table.get(handle);
    const of = { handle: chunkHandle(handle) };
    const version = chunkVersion((row?.promised ?? 0) + 1);
    const next = { ...of, version, origin };
    const queue = this.#queued.get(handle) ?? [];
    this.#queued.set(handle, queue);
    const length = active?.sums.length ?? 0;
    if (kind === "restart") this.#restart();
    else if (kind === "open" && row === undefined)
      this.#apply({ ...next, kind: "opened", role: "primary", chain: [], chunkBytes: 60_000, appendTable: [] });
    else if (kind === "accept" && active?.state === "open") {
      state.accepted(active, bytes);
      queue.push(bytes);
    } else if (kind === "durable") this.#durable(handle);
    else if (kind === "promise" && row?.state !== "removed" && row?.state !== "corrupt") {
      while (this.#durable(handle));
      this.#apply({ ...of, kind: "promised", version });
    } else if (kind === "tail" && active?.state === "fenced")
      this.#apply({
        ...next,
        kind: "tailed",
        from: length,
        length: length + bytes,
        crc: 1,
        blocks: [1],
        appendTable: [],
      });
    else if (kind === "finish" && active?.state === "fenced")
      this.#apply({ ...next, kind: "finished", length: Math.min(length, bytes), crc: 1, lastBlock: 1 });
    else if (kind === "close" && (active === undefined || active.state === "fenced")) {
      while (this.#durable(handle));
      this.#apply({ ...next, kind: "closed", length: bytes, crc: 1, blocks: [1] }, bytes);
    } else if (kind === "file" && active !== undefined) {
      state.filed(active, length);
      active.log.dropBefore(length);
      if (active.state === "sealed") state.atRest(handle);
    } else if (kind === "corrupt" && row !== undefined) {
      if (bytes % 2 === 0) state.markCorrupt(of.handle);
      this.#apply({ ...of, kind: "corrupted", reason: "corrupt" });
    } else if (kind === "remove" && row !== undefined) {
      while (this.#durable(handle));
      this.#apply({ ...of, kind: "removed", wallSeconds: 1 });
    }
  }

  /** The oldest queued record of the chunk; false where there is none. */
  #durable(handle: number): boolean {
    const bytes = this.#queued.get(handle)?.shift();
    if (bytes === undefined) return false;
    const offset = this.state.active.get(handle)?.sums.length ?? 0;
    const name = { handle: chunkHandle(handle), session: sessionId(++this.#logged), sequence: sequence(1) };
    this.#apply({ ...name, kind: "appended", offset, crc: 1 }, bytes);
    return true;
  }

  #apply(record: VolumeRecord, bytes = 0): void {
    const place = { segment: 1, offset: 1_000 * ++this.#logged, bytes: headBytes + bytes };
    this.state.apply(record, { place, at: headBytes, parts: [1] });
  }

  /** What a checkpoint keeps is there again; what was queued is lost. */
  #restart(): void {
    const before = this.state;
    this.state = new VolumeState();
    this.#queued.clear();
    for (const row of before.table.rows()) this.state.table.set(row);
    for (const active of before.active.values()) this.state.enter(decodeActive(encodeActive(active), "test"));
  }
}

test("the bytes that are not in data files yet are those of all active replicas together, whatever happens to them", () => {
  const step = fc.tuple(fc.constantFrom(...kinds), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 200 }));
  let most = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 60, maxLength: 120 }), (steps) => {
      const volume = new Steps();
      for (const one of steps) {
        volume.do(...one);
        const walked = [...volume.state.active.values()].map(
          ({ accepted, sums, fileBytes }) => Math.max(accepted, sums.length) - fileBytes,
        );
        expect(volume.state.unfiledBytes).toBe(walked.reduce((sum, bytes) => sum + bytes, 0));
        most = Math.max(most, volume.state.unfiledBytes);
      }
    }),
    { numRuns: 100 },
  );
  expect(most).toBeGreaterThan(200);
});
