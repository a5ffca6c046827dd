/** A short history of a cluster that has every kind of log record in it, each possible where it stands. */
import { utf8 } from "../../src/base/bytes.ts";
import {
  chunkHandle,
  chunkVersion,
  clusterId,
  draftId,
  generation,
  inodeId,
  sequence,
  sessionId,
  volumeId,
} from "../../src/wire/ids.ts";
import type { LogBatch, LogRecord } from "../../src/wire/log-records.ts";

export const storyCluster = clusterId("00112233445566778899aabbccddeeff");

const [directory, file, appended, removed] = [inodeId(4), inodeId(5), inodeId(6), inodeId(7)];
const put = chunkHandle(1);
const tail = chunkHandle(2);
const nextTail = chunkHandle(3);
const spliced = chunkHandle(4);
const [v1, v2] = [chunkVersion(1), chunkVersion(2)];
const session = sessionId(1);
const made = { replicas: 3, generation: generation(1), modifiedMs: 1_700_000_000_000 };
const answer = { sequence: sequence(1), fileOffset: 0, bytes: 11, crc: 0xdead_beef };

const history: readonly (readonly LogRecord[])[] = [
  [
    { kind: "cluster-created", clusterId: storyCluster },
    { kind: "feature-level", level: 1 },
    { kind: "data-directories", directories: ["0011223344556677 /a", "8899aabbccddeeff /b"] },
    { kind: "epoch-begun", epoch: { number: 1, startId: "0011223344556677" }, wallMs: 1_700_000_000_000 },
  ],
  [1, 2, 3].map((n) => ({ kind: "volume-added", index: n - 1, volume: volumeId(`${n}`.repeat(32)), label: `v${n}` })),
  [{ kind: "session-opened", session, key: "a key", label: "a client" }],
  [{ kind: "session-opened", session: sessionId(2), label: "" }],
  [
    {
      kind: "draft-created",
      draft: draftId(1),
      session,
      target: { kind: "put", path: "/d/f", overwrite: false },
      replicas: 3,
      chunkBytes: 64_000_000,
    },
    { kind: "handles-reserved", upTo: 1_000 },
    { kind: "draft-chunk-added", draft: draftId(1), handle: put, version: v1, members: [0, 1, 2] },
  ],
  [
    { kind: "inode-created", inode: directory, parent: inodeId(1), name: "d", type: "directory", ...made, replicas: 0 },
    { kind: "inode-created", inode: file, parent: directory, name: "f", type: "file", ...made },
    {
      kind: "file-published",
      draft: draftId(1),
      inode: file,
      chunks: [{ handle: put, version: v1, length: 70_000, crc: 7, members: [0, 1] }],
      modifiedMs: 1_700_000_000_001,
    },
    { kind: "draft-ended", draft: draftId(1), reason: "committed" },
  ],
  [{ kind: "inode-created", inode: appended, parent: directory, name: "log ü", type: "file", ...made }],
  [{ kind: "tail-opened", inode: appended, handle: tail, version: v1, members: [0, 1, 2] }],
  [{ kind: "seal-begun", handle: tail, version: v2 }],
  [
    {
      kind: "chunk-sealed",
      handle: tail,
      version: v2,
      length: 11,
      crc: 9,
      members: [0, 2],
      appendTable: [{ session, answers: [answer] }],
      modifiedMs: 1_700_000_000_002,
    },
  ],
  [
    {
      kind: "draft-created",
      draft: draftId(2),
      session,
      target: { kind: "append", inode: appended },
      replicas: 3,
      chunkBytes: 64_000_000,
    },
    { kind: "draft-chunk-added", draft: draftId(2), handle: spliced, version: v1, members: [2, 1, 0] },
  ],
  [
    {
      kind: "file-spliced",
      draft: draftId(2),
      inode: appended,
      chunks: [{ handle: spliced, version: v1, length: 64_000_000, crc: 8, members: [2, 1, 0] }],
      modifiedMs: 1_700_000_000_003,
    },
    { kind: "draft-ended", draft: draftId(2), reason: "committed" },
  ],
  [{ kind: "tail-opened", inode: appended, handle: nextTail, version: v1, members: [1, 2, 0] }],
  [{ kind: "inode-created", inode: removed, parent: directory, name: "gone", type: "file", ...made }],
  [{ kind: "inode-detached", inode: removed }],
  [{ kind: "inodes-reaped", inodes: [removed] }],
  [{ kind: "inode-trashed", inode: file, path: "/d/f", removedMs: 5_000, expiresMs: 9_000 }],
  [{ kind: "inode-restored", inode: file, parent: inodeId(1), name: "f" }],
  [
    {
      kind: "inode-moved",
      inode: file,
      parent: directory,
      name: "moved",
      modifiedMs: 1_700_000_000_004,
      generation: generation(3),
    },
  ],
  [{ kind: "inode-trashed", inode: file, path: "/d/moved", removedMs: 6_000, expiresMs: 10_000 }],
  [
    { kind: "lost-handles-accepted", upTo: 3 },
    { kind: "confirmed", what: ["that it is so"] },
  ],
  [
    {
      kind: "draft-created",
      draft: draftId(3),
      session,
      target: { kind: "put", path: "/d/next", overwrite: true, ifGeneration: generation(2) },
      replicas: 2,
      chunkBytes: 65_536,
    },
  ],
  [{ kind: "draft-chunk-added", draft: draftId(3), handle: chunkHandle(5), version: v1, members: [0, 1] }],
  [{ kind: "session-closed", session: sessionId(2) }],
  [
    { kind: "draft-chunk-added", draft: draftId(3), handle: chunkHandle(6), version: v1, members: [0, 1] },
    {
      kind: "draft-written",
      draft: draftId(3),
      first: chunkHandle(6),
      chunks: [{ handle: chunkHandle(6), version: v1, length: 65_536, crc: 9, members: [1] }],
    },
  ],
  [
    { kind: "setting-changed", name: "repair-streams-per-server", value: 4 },
    { kind: "setting-changed", name: "repair-streams-per-server" },
    { kind: "setting-changed", name: "repair-streams-per-server", value: 2 },
  ],
  [
    { kind: "volume-marked", index: 1, mark: "draining" },
    { kind: "volume-marked", index: 1, mark: "none" },
    { kind: "volume-marked", index: 2, mark: "draining" },
  ],
  [{ kind: "volume-marked", index: 1, mark: "forgotten" }],
  [{ kind: "master-restored", position: 12, source: "/backup" }],
  [{ kind: "attributes-set", inode: inodeId(1), trashMs: 86_400_000 }],
  [
    { kind: "attributes-set", inode: directory, replicas: 2, trashMs: 0 },
    { kind: "goal-set", inode: appended, replicas: 2, from: 0, to: 2 },
  ],
  [{ kind: "inodes-reserved", inodes: [inodeId(11), inodeId(2 ** 32 + 9)] }],
];

/** Each with a mutation's answer where one can be. */
export const storyBatches: readonly LogBatch[] = history.map((records, i) => ({
  clusterMs: 1_000 + 10 * i,
  ...(i < 4
    ? {}
    : {
        mutation: {
          session,
          sequence: sequence(i),
          floor: sequence(Math.max(1, i - 2)),
          message: "stat",
          reply: Uint8Array.from(utf8(`answer ${i}`)),
          print: i,
        },
      }),
  records: [...records],
}));
