/** What a chunk is sealed at, from its members' answers to the fence (DESIGN §4.3 seal 3–5): pure questions about a seal machine. */
import type { Held, SealLimits, SealMachine, SealParty } from "./seal-types.ts";

export function members(machine: SealMachine): SealParty[] {
  return machine.parties.filter((party) => party.role === "member");
}

/** Parties that may count as holders now. */
export function answered(machine: SealMachine): SealParty[] {
  return machine.parties.filter((party) => party.holds !== undefined && party.excluded === undefined && !party.gone);
}

/** How many members must answer before the length is decided: `sealResponders`, or all of a shorter chain. */
export function respondersNeeded(machine: SealMachine, limits: Pick<SealLimits, "sealResponders">): number {
  return Math.min(limits.sealResponders, members(machine).length);
}

/** How many of the members named by the record must hold all of it durably: two, or one for a chain of one. Nothing needs no holder but the one that said so. */
export function holdersNeeded(machine: SealMachine, target: Held): number {
  return target.length === 0 ? 1 : Math.min(2, members(machine).length);
}

export function holdsAll(party: SealParty, target: Held): boolean {
  return party.holds?.length === target.length && party.holds.crc === target.crc;
}

export function fullHolders(machine: SealMachine, target: Held): SealParty[] {
  return answered(machine).filter((party) => holdsAll(party, target));
}

export interface TargetChoice {
  readonly target: Held;
  /** Same length, other CRC: one of its records rotted, so it is no holder. */
  readonly corrupt: readonly SealParty[];
  /** No group of equal CRCs is larger than every other: more answers may decide. */
  readonly disputed: boolean;
}

/**
 * The longest durable prepared prefix among the members' answers; undefined without an answer.
 *
 * Invariant: not less than any length ever acknowledged, if one honest member answered: acknowledged bytes were synced by every member.
 * Members that disagree about the CRC at that length: the larger group is right; between groups of one size the one nearest the head of the
 * chain, through which all bytes came. A replica that was sealed already (accepted by an operator) decides alone: readers have seen it.
 */
export function chooseTarget(machine: SealMachine): TargetChoice | undefined {
  const parties = answered(machine).filter((party) => party.role === "member");
  const sealed = parties.filter((party) => party.sealed !== undefined);
  const length = Math.max(-1, ...(sealed.length > 0 ? sealed : parties).map((party) => party.holds?.length ?? -1));
  if (length < 0) return undefined;
  const groups = new Map<number, SealParty[]>();
  for (const party of sealed.length > 0 ? sealed : parties) {
    if (party.holds?.length !== length) continue;
    const group = groups.get(party.holds.crc) ?? [];
    group.push(party);
    groups.set(party.holds.crc, group);
  }
  // A Map keeps the order of the chain, and this sort is stable.
  const [best, second] = [...groups].sort(([, a], [, b]) => b.length - a.length);
  if (best === undefined) return undefined;
  const [crc, winners] = best;
  const target = { length, crc };
  const corrupt = parties.filter((party) => party.holds?.length === length && party.holds.crc !== crc);
  return { target, corrupt, disputed: second !== undefined && second[1].length === winners.length };
}
