/** What a client program is told to do and answers, one JSON value a line each way. */
import { z } from "zod";

const Common = { path: z.string(), giveUpMs: z.number().optional(), tool: z.boolean().optional() };

export const Command = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("put"), ...Common, call: z.number(), bytes: z.number(), overwrite: z.boolean() }),
  z.object({
    kind: z.literal("append"),
    ...Common,
    call: z.number(),
    bytes: z.number(),
    create: z.boolean(),
    key: z.string().optional(),
  }),
  /** Many records by one appender; an answer for each. */
  z.object({
    kind: z.literal("run"),
    ...Common,
    create: z.boolean(),
    restMs: z.number(),
    records: z.array(z.object({ call: z.number(), bytes: z.number() })),
  }),
  z.object({ kind: z.literal("read"), ...Common }),
  z.object({ kind: z.literal("range"), ...Common, offset: z.number(), length: z.number() }),
  z.object({ kind: z.literal("stat"), ...Common }),
  z.object({ kind: z.literal("list"), ...Common }),
  z.object({ kind: z.literal("remove"), ...Common, skipTrash: z.boolean() }),
  z.object({ kind: z.literal("move"), ...Common, to: z.string(), overwrite: z.boolean() }),
]);
export type Command = z.infer<typeof Command>;

const Content = z.union([
  z.object({ kind: z.literal("whole"), records: z.array(z.tuple([z.number(), z.number(), z.number()])) }),
  z.object({
    kind: z.literal("broken"),
    records: z.array(z.tuple([z.number(), z.number(), z.number()])),
    why: z.string(),
  }),
]);

export const Answer = z.object({
  request: z.number(),
  /** Of a run: which record this is about. */
  call: z.number().optional(),
  /** More answers to this request follow. */
  more: z.boolean().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
  offset: z.number().optional(),
  bytes: z.number().optional(),
  crc: z.number().optional(),
  names: z.array(z.string()).optional(),
  content: Content.optional(),
});
export type Answer = z.infer<typeof Answer>;

export const Request = z.object({ request: z.number(), command: Command });
