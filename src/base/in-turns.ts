/** The `max` whose turn it is, or all if they are no more; they go to the end of the set. Each has its turn, whatever else comes and goes. */
export function inTurns<T>(all: Set<T>, max: number): T[] {
  const turn = all.values().take(max).toArray();
  for (const item of turn) {
    all.delete(item);
    all.add(item);
  }
  return turn;
}
