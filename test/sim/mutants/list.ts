/** Every rule that is taken out, by subject. */
import { appendMutants } from "./list/append.ts";
import { choiceMutants } from "./list/choice.ts";
import { balanceMutants } from "./list/balance.ts";
import { brakesMutants } from "./list/brakes.ts";
import { fullMutants } from "./list/full.ts";
import { drainMutants } from "./list/drain.ts";
import { garbageMutants } from "./list/garbage.ts";
import { healthMutants } from "./list/health.ts";
import { logMutants } from "./list/log.ts";
import { metadataMutants } from "./list/metadata.ts";
import { putMutants } from "./list/put.ts";
import { readMutants } from "./list/read.ts";
import { repairMutants } from "./list/repair.ts";
import { scrubMutants } from "./list/scrub.ts";
import { sealMutants } from "./list/seal.ts";
import { sessionsMutants } from "./list/sessions.ts";
import { slowMutants } from "./list/slow.ts";
import type { Mutant } from "./mutant.ts";

export const mutants: readonly Mutant[] = [
  ...appendMutants,
  ...sealMutants,
  ...putMutants,
  ...readMutants,
  ...logMutants,
  ...sessionsMutants,
  ...garbageMutants,
  ...brakesMutants,
  ...choiceMutants,
  ...repairMutants,
  ...scrubMutants,
  ...healthMutants,
  ...drainMutants,
  ...balanceMutants,
  ...slowMutants,
  ...metadataMutants,
  ...fullMutants,
];
