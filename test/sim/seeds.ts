/** Seeds that once failed, with what they found. They stay. */
export interface KeptSeed {
  readonly seed: number;
  readonly scenario: string;
  readonly found: string;
}

export const keptSeeds: readonly KeptSeed[] = [
  { scenario: "standard", seed: 26, found: "a restarted primary told readers that an open chunk was empty" },
  { scenario: "standard", seed: 20, found: "a large append overtook the records called before it" },
  { scenario: "standard", seed: 36, found: "an append reaches its file where that is moved meanwhile" },
  { scenario: "lone", seed: 2, found: "a removal that had been refused was executed when it was repeated late" },
  {
    scenario: "storm",
    seed: 162,
    found: "a first attempt arrived after its retry had been refused, and removed a new file",
  },
  {
    scenario: "standard",
    seed: 30,
    found: "after a failed sync and a restart the master's log had a hole, and a loss of power then left it unreadable",
  },
  {
    scenario: "standard",
    seed: 2016,
    found: "a healthy, a stale and a corrupt replica on three servers stayed so for ever",
  },
  {
    scenario: "standard",
    seed: 30_011,
    found: "a directory was said not to be made, since the log's sync failed, and was there after the master's restart",
  },
  {
    scenario: "standard",
    seed: 1_001_924,
    found: "two good replicas were blamed for the rot of a third, which was then lost: their chunk was never sealed",
  },
  {
    scenario: "standard",
    seed: 5_000_167,
    found: "a healthy and two stale replicas on the only three servers stayed so for ever",
  },
  {
    scenario: "standard",
    seed: 7_003_874,
    found: "a window of records as large as a chunk was cut off by the seal of each chunk that it filled, for ever",
  },
];
