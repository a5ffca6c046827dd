import { backupTargets } from "./backup-file.ts";
import { controlTargets } from "./control-app.ts";
import { eventTargets } from "./event-files.ts";
import { frameTargets } from "./frames.ts";
import type { FuzzTarget } from "./fuzz-target.ts";
import { masterDiskTargets } from "./master-disk.ts";
import { textTargets } from "./texts.ts";
import { volumeDiskTargets } from "./volume-disk.ts";

export const fuzzTargets: readonly FuzzTarget[] = [
  ...frameTargets,
  ...controlTargets,
  ...masterDiskTargets,
  ...eventTargets,
  ...backupTargets,
  ...volumeDiskTargets,
  ...textTargets,
];
