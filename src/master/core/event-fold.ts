/**
 * Floods of events of one kind are told in a few words: the first `burst` of a window each, those that follow as one, with their count, when the window is over. So whatever
 * happens, and however often, a kind takes a bounded part of the space that events have.
 */

export interface FoldLimits {
  /** Told each for itself, in a window. */
  readonly burst: number;
  readonly windowMs: number;
}

interface Window<Event> {
  readonly endMs: number;
  told: number;
  /** Not told yet. */
  folded: number;
  last: Event;
}

export type EventFold<Event> = Map<string, Window<Event>>;

/** `count` is 1 but for what was folded. */
export interface Told<Event> {
  readonly kind: string;
  readonly event: Event;
  readonly count: number;
}

export function createEventFold<Event>(): EventFold<Event> {
  return new Map();
}

/** One more event: what is to be told now, in order. */
export function foldEvent<Event>(
  fold: EventFold<Event>,
  { kind, event }: { readonly kind: string; readonly event: Event },
  { nowMs, limits }: { readonly nowMs: number; readonly limits: FoldLimits },
): Told<Event>[] {
  const window = fold.get(kind);
  if (window !== undefined && nowMs < window.endMs) {
    if (window.told < limits.burst) {
      window.told++;
      return [{ kind, event, count: 1 }];
    }
    window.folded++;
    window.last = event;
    return [];
  }
  const before = window === undefined ? [] : foldedOf(kind, window);
  fold.set(kind, { endMs: nowMs + limits.windowMs, told: 1, folded: 0, last: event });
  return [...before, { kind, event, count: 1 }];
}

/** What was folded in windows that are over, or in all of them; they begin anew with the next event. */
export function endWindows<Event>(fold: EventFold<Event>, nowMs: number): Told<Event>[] {
  return [...fold].flatMap(([kind, window]) => {
    if (nowMs < window.endMs) return [];
    fold.delete(kind);
    return foldedOf(kind, window);
  });
}

/** When the next window ends in which something was folded; undefined where there is none. */
export function nextFoldEnd(fold: EventFold<unknown>): number | undefined {
  const ends = [...fold.values()].flatMap(({ folded, endMs }) => (folded > 0 ? [endMs] : []));
  return ends.length === 0 ? undefined : Math.min(...ends);
}

function foldedOf<Event>(kind: string, { folded, last }: Window<Event>): Told<Event>[] {
  return folded === 0 ? [] : [{ kind, event: last, count: folded }];
}
