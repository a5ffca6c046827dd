/**
 * What becomes of replicas that rot (P5, DESIGN §4.5): the scrub finds them without a reader, in bounded time once all else is well, and takes no good one for a bad one. It looks
 * at the drives themselves: past the servers, whose word is what is being judged.
 */
import { crc32 } from "../../../src/base/checksum.ts";
import { decodeTrailer } from "../../../src/chunkserver/store/trailer.ts";
import type { FileExtent, FileStatus } from "../../../src/client/api.ts";
import { blockBytes } from "../../../src/limits.ts";
import type { Cluster } from "../cluster.ts";
import type { Violation } from "../history.ts";
import type { SimEvent } from "../world/sim-events.ts";
import type { Simulation } from "../world/simulation.ts";

const endBytes = 12;

export class RotWatch {
  readonly #simulation: Simulation;
  readonly #violations: Violation[];

  constructor(simulation: Simulation, violations: Violation[]) {
    this.#simulation = simulation;
    this.#violations = violations;
  }

  see({ name, machine, fields }: SimEvent): void {
    if (name !== "replica.bad" || !machine.startsWith("server")) return;
    if (this.#simulation.machine(machine).drive().harmed) return;
    this.#violations.push({
      promise: "P5",
      what: `${machine} takes its replica of chunk ${String(fields["handle"])} for ${String(fields["reason"])}, and nothing harmed its drive`,
    });
  }
}

export interface RottenReplica {
  readonly extent: FileExtent;
  readonly replica: FileExtent["replicas"][number];
  readonly violation: Violation;
}

/**
 * Replicas of a file that the master calls healthy, and whose bytes on the drive are not those that were written. The file of one that was removed may come back with the
 * power, while its successor lies in the volume's log and covers it: only who reads there sees which of the two counts.
 */
export function rottenReplicas(cluster: Cluster, { path, extents }: FileStatus): RottenReplica[] {
  const rotten: RottenReplica[] = [];
  for (const extent of extents) {
    const { handle, state, replicas } = extent;
    if (state !== "sealed") continue;
    for (const replica of replicas) {
      const { label, health } = replica;
      const machine = cluster.servers.find(({ name }) => name === label);
      if (health !== "healthy" || machine?.alive !== true) continue;
      const hex = handle.toString(16).padStart(16, "0");
      const file = `/volume/chunks/${hex.slice(14)}/${hex}`;
      const { files } = machine.drive();
      // Small ones lie in the volume's log.
      if (files.info(file) === undefined) continue;
      const { image } = files.file(file);
      const bytes = new Uint8Array(image.bytes);
      image.read(bytes, 0);
      const why = whyRotten(bytes);
      const what = `chunk ${handle} of ${path} on ${label} rotted, and nobody found it: ${why}`;
      if (why !== undefined) rotten.push({ extent, replica, violation: { promise: "P5", what } });
    }
  }
  return rotten;
}

/** Undefined also for a file whose end says nothing: one that is not at rest has no trailer. */
function whyRotten(bytes: Uint8Array): string | undefined {
  if (bytes.length < endBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const trailerBytes = view.getUint32(bytes.length - endBytes, true);
  if (view.getUint32(bytes.length - 4, true) !== 0x6573_6667 || trailerBytes > bytes.length) return undefined;
  const length = bytes.length - trailerBytes;
  try {
    const { trailer, blocks } = decodeTrailer(bytes.subarray(length));
    if (trailer.length !== length) return `its trailer speaks of ${trailer.length} bytes, and it has ${length}`;
    const wrong = blocks.findIndex(
      (crc, i) => crc32(bytes.subarray(i * blockBytes, Math.min(length, (i + 1) * blockBytes))) !== crc,
    );
    return wrong < 0 ? undefined : `block ${wrong}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
