/** Everything that the master knows. What is durable changes only by apply.ts; soft fields say so. */
import { defaultLimits, type Limits } from "../../limits.ts";
import type { ChunkHandle, ClusterId, Epoch, InodeId } from "../../wire/ids.ts";
import { type AppendTables, newAppendTables } from "./append-tables.ts";
import { type ChunkTable, createChunkTable } from "./chunk-table.ts";
import { type Drafts, newDrafts } from "./drafts.ts";
import { type Inodes, newInodes } from "./inodes.ts";
import type { ChangedSettings } from "./runtime-settings.ts";
import { newSessions, type Sessions } from "./sessions.ts";
import type { TailBlock } from "./tails.ts";
import { newTrash, type Trash } from "./trash.ts";
import { createVolumeTable, type VolumeTable } from "./volumes.ts";

/** What a cluster is, as opposed to what it holds. */
export interface ClusterFacts {
  clusterId: ClusterId | undefined;
  featureLevel: number;
  epoch: Epoch | undefined;
  /** Wall-clock time at which the epoch began. */
  epochWallMs: number;
  /** Cluster time of the last batch. */
  clusterMs: number;
  /** Directories that the operation log is written to. */
  dataDirectories: readonly string[];
  /** The log was rebuilt from a copy that ends at this entry, and nobody has confirmed that. */
  restored: { readonly position: number; readonly source: string } | undefined;
}

export interface MasterState {
  /** Not in the log: from this process's configuration. `apply` never looks at it. */
  readonly limits: Limits;
  readonly cluster: ClusterFacts;
  readonly inodes: Inodes;
  readonly trash: Trash;
  /** The tail chunk of each inode that has one, open or sealing. */
  readonly tails: Map<InodeId, ChunkHandle>;
  /** Soft: subtrees where no tail may be opened now. */
  readonly tailBlocks: Set<TailBlock>;
  readonly sessions: Sessions;
  readonly appendTables: AppendTables;
  readonly drafts: Drafts;
  readonly chunks: ChunkTable;
  readonly volumes: VolumeTable;
  readonly settings: ChangedSettings;
}

/** Before the first record: an empty root directory, no cluster yet. */
export function newMasterState(limits: Limits = defaultLimits): MasterState {
  const inodes = newInodes();
  return {
    limits,
    cluster: {
      clusterId: undefined,
      featureLevel: 0,
      epoch: undefined,
      epochWallMs: 0,
      clusterMs: 0,
      dataDirectories: [],
      restored: undefined,
    },
    inodes,
    trash: newTrash(inodes),
    tails: new Map(),
    tailBlocks: new Set(),
    sessions: newSessions(),
    appendTables: newAppendTables(),
    drafts: newDrafts(),
    chunks: createChunkTable(),
    volumes: createVolumeTable(),
    settings: new Map(),
  };
}
