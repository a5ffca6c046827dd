/**
 * What proves that the master's log is an old copy, or was rebuilt from one (DESIGN §4.1). Mutations stop at the first proof, and an operator decides by all of them: one that
 * reaches further (a volume that keeps a later copy of the log) says which copy should be restored instead. So of each kind the strongest stands until it is confirmed.
 *
 * A confirmation accepts what stood when it was decided, and so was told to the operator: what came while it was made durable stands on, and mutations stay stopped.
 */

/** By which they are told: what says most about what to restore comes first. */
const kinds = ["copy", "start", "handle", "version", "rebuilt"] as const;

export interface Proof {
  /** copy: of the log, up to a later entry. start: a later one of the master, or another. handle, version: of a chunk. rebuilt: this log is itself a copy. */
  readonly kind: (typeof kinds)[number];
  /** Of proofs of a kind the one with the highest stands; equal ones are the same again. */
  readonly rank: number;
  /** For people. */
  readonly why: string;
}

/** The proof that stands, by kind. */
export type Behind = Map<Proof["kind"], Proof>;

/** False: as much was proved before. */
export function noteProof(behind: Behind, proof: Proof): boolean {
  const before = behind.get(proof.kind);
  if (before !== undefined && before.rank >= proof.rank) return false;
  behind.set(proof.kind, proof);
  return true;
}

/** Those that stand, the most telling one first. */
export function proofsOf(behind: Behind): Proof[] {
  return kinds.flatMap((kind) => behind.get(kind) ?? []);
}

/** An operator was told these. */
export function acceptProofs(behind: Behind, told: readonly Proof[]): void {
  for (const proof of told) if (behind.get(proof.kind) === proof) behind.delete(proof.kind);
}

/** For people; undefined: nothing proves anything. */
export function whyBehind(behind: Behind): string | undefined {
  return behind.size === 0
    ? undefined
    : proofsOf(behind)
        .map(({ why }) => why)
        .join("; ");
}
