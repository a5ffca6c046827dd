/** Client → master: what became of appends whose file gets no tail any more (DESIGN §4.3). */
import { z } from "zod";
import { protocol } from "../../limits.ts";
import { InodeId, SessionId } from "../ids.ts";
import { AppendAnswer, message } from "./common.ts";

/**
 * The last records of the session that the inode's sealed tails took, oldest first. Whatever else was sent to them had no effect, and never will: no tail is open or being sealed.
 * @throws Busy (there is a tail: its primary knows), NotFound, SessionExpired
 */
export const appendAnswers = message(
  "append-answers",
  z.object({ inode: InodeId, session: SessionId }),
  z.object({ answers: z.array(AppendAnswer).max(protocol.appendWindow) }),
);
