/** Rules taken out: servers that are emptied (DESIGN §4.5). */
import type { Mutant } from "../mutant.ts";

export const drainMutants: readonly Mutant[] = [
  {
    name: "draining-replicas-count",
    rule: "replicas on a server that is being drained do not count towards the goal",
    edits: [
      {
        file: "src/master/core/volumes.ts",
        find: 'return volume?.mark === "none";',
        replace: "return volume !== undefined;",
      },
    ],
    scenarios: ["drainedServers"],
  },
  {
    name: "safe-by-other-draining-servers",
    rule: "of two servers that are drained at once neither is safe by the replicas of the other",
    edits: [
      {
        file: "src/master/core/drain.ts",
        find: "    else if (isHolder(health) && round.sure.has(volume)) sure++;",
        replace: "    if (isHolder(health)) sure++;",
      },
    ],
    scenarios: ["drainedServers"],
  },
  {
    name: "safe-while-written",
    rule: "no server is safe to stop while a chunk is written, open or sealed there",
    edits: [
      {
        file: "src/master/core/drain.ts",
        find: "safe: left.chunks === 0 && left.unsealed === 0 && isStillTrue(view, round),",
        replace: "safe: left.chunks === 0 && isStillTrue(view, round),",
      },
    ],
    scenarios: ["drainedServers"],
  },
  {
    name: "safe-by-an-old-round",
    rule: "safe to stop is judged by a round over all chunks that was begun after the last change",
    edits: [
      {
        file: "src/master/core/drain.ts",
        find: "  if (volumes.markChanges !== round.markChanges) return false;",
        replace: "",
      },
      {
        file: "src/master/core/drain.ts",
        find: "drains.last?.markChanges === view.volumes.markChanges ? drains.last : undefined;",
        replace: "drains.last;",
      },
      {
        file: "src/master/core/drain.ts",
        find: "  const found = round?.left.get(of.volume);",
        replace:
          "  const found = round?.left.get(of.volume) ?? { chunks: 0, bytes: 0, unsealed: 0, hardest: undefined };",
      },
    ],
    scenarios: ["drainedServers"],
  },
  {
    name: "tails-stay-on-draining",
    rule: "open chunks with a member on a server that is being drained are sealed",
    edits: [
      {
        file: "src/master/drains.ts",
        find: "sealAll(ctx, sealForVolume(ctx.state.chunks, volume.index, `${nameOf(volume)} is being drained`));",
        replace: "",
      },
    ],
    scenarios: ["drainedServers"],
  },
  {
    name: "garbage-waits-for-forgotten",
    rule: "nothing waits to be deleted on a server that is forgotten",
    edits: [
      {
        file: "src/master/core/garbage.ts",
        find: '  if (view.volumes.byIndex[of.volume]?.mark === "forgotten") dropGarbage(garbage, of.volume);',
        replace: "",
      },
    ],
    scenarios: ["drainedServers"],
  },
];
