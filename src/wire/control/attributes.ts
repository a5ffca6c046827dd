/** Client → master: how many replicas files want, and the attributes of directories (DESIGN §4.5). */
import { z } from "zod";
import { protocol } from "../../limits.ts";
import { message, MutationId, Nothing, PathText, Uint32, Uint53 } from "./common.ts";

export const Replicas = z.int().min(1).max(protocol.replicasMax);
const Cursor = z.string().max(64);

/** Of a directory itself. `replicas`: of files made below it that ask for no number. `trashMs`: how long what is removed below it lies in the trash; 0: not at all. */
export const Attributes = z.object({
  replicas: Replicas.optional(),
  trashMs: z.number().min(0).max(protocol.trashMsMax).optional(),
});
export type Attributes = z.infer<typeof Attributes>;

/** What holds below a directory: its own attribute or that of the nearest directory above (`from`); without `from` the master's configuration. */
export const Inherited = z.object({ value: z.number(), from: PathText.optional() });
export const InheritedAttributes = z.object({ replicas: Inherited, trashMs: Inherited });
export type InheritedAttributes = z.infer<typeof InheritedAttributes>;

/** Sets one attribute of a directory; without its value the directory inherits again. @throws NotFound, NotDirectory, NoSpace (too many directories have attributes) */
export const setAttribute = message(
  "set-attribute",
  z.object({
    id: MutationId,
    path: PathText,
    attribute: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("replicas"), replicas: Replicas.optional() }),
      z.object({ kind: z.literal("trash"), trashMs: Attributes.shape.trashMs }),
    ]),
  }),
  Nothing,
);

/**
 * A file, or a page of all files below a directory (`recursive`), want so many replicas from now on, and so do their chunks; the master's repair makes or frees them. An open tail is
 * sealed soon, for what was appended so far to get them too. Repeating it goes on where an earlier one was cut off. `cursor` of one answer goes into the next request, absent at
 * the end. Counts are of this page: `files` looked at, and `changed` among them, with so many chunks. Below `minReplicas` copies nothing is acknowledged.
 * @throws NotFound, IsDirectory (without `recursive`)
 */
export const setGoal = message(
  "set-goal",
  z.object({ id: MutationId, path: PathText, replicas: Replicas, recursive: z.boolean(), cursor: Cursor.optional() }),
  z.object({ files: Uint53, changed: Uint53, chunks: Uint53, minReplicas: Replicas, cursor: Cursor.optional() }),
);

/**
 * How far the files at or below a path are from so many replicas; a page, as of `set-goal`. `reached`: chunks with so many replicas on servers that were heard of.
 * `otherwise`: chunks that want another number. `missingBytes`: to be copied. `servers`: that may hold replicas: those that have yet to register with a master that has just started, too. `waitsFor`: why nothing is repaired, if so.
 */
export const goalProgress = message(
  "goal-progress",
  z.object({ path: PathText, replicas: Replicas, cursor: Cursor.optional() }),
  z.object({
    files: Uint53,
    chunks: Uint53,
    reached: Uint53,
    otherwise: Uint53,
    missingBytes: Uint53,
    servers: Uint32,
    waitsFor: z.string().max(512).optional(),
    cursor: Cursor.optional(),
  }),
);
