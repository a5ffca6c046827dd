import type { Restored } from "../../src/master/metadata/restore.ts";
import { counted, showTime } from "./output.ts";

/** What a copy of the master's metadata has: the time is that of its last entry, which may be long before it was copied. */
export function contentsText(
  copy: Pick<Restored, "clusterId" | "position" | "wallMs" | "files" | "directories">,
): string {
  const { clusterId, position, wallMs, files, directories } = copy;
  const when = wallMs === undefined ? "" : `, which was logged at ${showTime(wallMs)}`;
  return `cluster ${clusterId}, up to entry ${position} of the log${when}; ${counted(files, "file")} in ${counted(directories, "directory", "directories")}`;
}
