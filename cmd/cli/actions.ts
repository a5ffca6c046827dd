/** Verbs whose first argument says what to do: `gfs trash ls`. */
import { GfsError } from "../../src/base/errors.ts";
import { didYouMean } from "../../src/config/nearest.ts";

/** What belongs to the action of this name. @throws GfsError("Usage"), which names those that there are */
export function actionOf<T>(name: string, actions: ReadonlyMap<string, T>): T {
  const action = actions.get(name);
  if (action !== undefined) return action;
  const known = [...actions.keys()];
  throw new GfsError("Usage", `unknown action ${name}${didYouMean(name, known)}; known: ${known.join(", ")}`);
}
