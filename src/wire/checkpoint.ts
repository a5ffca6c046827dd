/** What a master's checkpoint is made of (docs/DISK-FORMAT.md): pieces, the first of them with the head. */
import { z } from "zod";
import { Uint53 } from "./control/common.ts";
import { ClusterId, Epoch } from "./ids.ts";

/** A run of binary entries of one section; `version` is of the section's form. At most 1 MiB as CBOR. */
export const CheckpointPiece = z.object({
  section: z.string().max(64),
  version: z.int(),
  entries: z.int().min(0),
  data: z.instanceof(Uint8Array),
});
export type CheckpointPiece = z.infer<typeof CheckpointPiece>;

/** The only entry of the section `head`, as CBOR: what the cluster is, and the next numbers to give. */
export const CheckpointHead = z.object({
  clusterId: ClusterId.optional(),
  featureLevel: Uint53,
  epoch: Epoch.optional(),
  epochWallMs: z.number(),
  clusterMs: z.number(),
  dataDirectories: z.array(z.string()),
  /** What the directory was rebuilt from, as long as nobody has confirmed that. */
  restored: z.object({ position: Uint53, source: z.string() }).optional(),
  nextLink: Uint53,
  slotEnd: Uint53,
  chunks: Uint53,
  nextSession: Uint53,
  nextDraft: Uint53,
});
export type CheckpointHead = z.infer<typeof CheckpointHead>;
