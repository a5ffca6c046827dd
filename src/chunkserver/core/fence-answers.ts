/** What of the answers to many fences goes into one message (DESIGN §4.3). */
import type { FenceAnswer } from "../../wire/control/commands.ts";

/** Sessions and append answers in one message, but for its first answer, which goes whatever it holds: far below `controlResponseBytesMax`. */
export const carriedMax = 32_768;

/** All but those whose append tables do not fit any more, in order: the master asks for what is missing again. The first is always there, so it gets on. */
export function fittingAnswers(answers: readonly FenceAnswer[]): FenceAnswer[] {
  let room = carriedMax;
  return answers.filter((answer, index) => {
    if (answer.kind !== "fenced") return true;
    let takes = 0;
    for (const { answers: list } of answer.appendTable) takes += 1 + list.length;
    if (index > 0 && takes > room) return false;
    room -= takes;
    return true;
  });
}
