/** All of them, or where they are more than `max`, the next ones each time: none is left out for good. */
export function inTurns<T>(all: ReadonlySet<T>, max: number): () => T[] {
  let from = 0;
  return () => {
    if (all.size <= max) return [...all];
    const items = [...all];
    if (from >= items.length) from = 0;
    const turn = items.slice(from, from + max);
    from += turn.length;
    return turn;
  };
}
