/** The server that an operator means: by its label, its volume id or a beginning of it, or its address. */
import { GfsError } from "../../base/errors.ts";
import { allVolumes, nameOf, type Volume, type VolumeTable } from "./volumes.ts";

/** Shorter beginnings of a volume id are none: a typing error must not name a server. */
const prefixCharsMin = 4;
const namedMax = 16;

/**
 * A whole label, address or id wins over a beginning of an id; several servers of one label (a disk that was replaced) are told apart by their volume ids.
 *
 * @throws GfsError("NotFound") where none has the name, GfsError("Usage") where several have; both list candidates
 */
export function findServer(table: VolumeTable, name: string, what: string): Volume {
  const all = allVolumes(table);
  const whole = all.filter(
    ({ label, volume, registration }) =>
      (label !== "" && label === name) ||
      volume === name ||
      registration?.control === name ||
      registration?.data === name,
  );
  const found =
    whole.length > 0 || name.length < prefixCharsMin ? whole : all.filter(({ volume }) => volume.startsWith(name));
  const [first, ...others] = found;
  if (first !== undefined && others.length === 0) return first;
  const candidates = (found.length > 0 ? found : all).map(describeServer).toSorted();
  const listed = candidates.slice(0, namedMax).join(", ") + (candidates.length > namedMax ? ", …" : "");
  const details = { servers: candidates.slice(0, namedMax) };
  if (found.length > 0) {
    const text = `Cannot ${what} ${name}: ${found.length} servers have this name: ${listed}; name one by its volume id`;
    throw new GfsError("Usage", text, { details });
  }
  const known = candidates.length === 0 ? "none has registered yet" : `known: ${listed}`;
  throw new GfsError("NotFound", `Cannot ${what} ${name}: no server has this label, volume id or address; ${known}`, {
    details,
  });
}

/** One line that tells it from all others. */
export function describeServer(volume: Volume): string {
  const address = volume.registration?.control ?? "no address yet";
  return `${nameOf(volume)} (volume ${volume.volume.slice(0, 12)}, ${address}, ${volume.liveness})`;
}
