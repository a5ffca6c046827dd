/** What the control messages of all roles share (docs/PROTOCOL.md). */
import { z } from "zod";
import { protocol } from "../../limits.ts";
import { ChunkHandle, ChunkVersion, Sequence, SessionId, VolumeId } from "../ids.ts";

export const Uint53 = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
export const Uint32 = z.int().min(0).max(0xffff_ffff);
export const Crc = z.int().min(0).max(0xffff_ffff);
/** "host:port"; IPv6 hosts in brackets. */
export const HostPort = z
  .string()
  .min(3)
  .max(262)
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):\d{1,5}$/);
export const PathText = z.string().min(1).max(protocol.pathBytesMax);
export const NameText = z.string().min(1).max(protocol.nameBytesMax);
export const Label = z.string().max(protocol.labelBytesMax);
export const Nothing = z.object({});

/** A point on the plane that distances are measured on. */
export const Location = z.object({ x: z.number(), y: z.number() });
export type Location = z.infer<typeof Location>;

/** Where a requester is; both may be unknown. */
export const Whereabouts = z.object({ location: Location.optional(), rack: Label.optional() });
export type Whereabouts = z.infer<typeof Whereabouts>;

/** Makes a mutation exactly-once: a retry carries the same pair. Answers below `floor` were received and may be forgotten. */
export const MutationId = z.object({ session: SessionId, sequence: Sequence, floor: Sequence });
export type MutationId = z.infer<typeof MutationId>;

/** A volume as others reach it. */
export const VolumeAddress = z.object({
  volume: VolumeId,
  label: Label,
  data: HostPort,
  control: HostPort,
  rack: Label.optional(),
});
export type VolumeAddress = z.infer<typeof VolumeAddress>;

/** A replica for a reader, with its distance from the reader's location where both are known. */
export const ReplicaAddress = VolumeAddress.extend({ distance: z.number().optional() });
export type ReplicaAddress = z.infer<typeof ReplicaAddress>;

/** Servers for a chunk; the first is the head of the chain. */
export const Chain = z.array(VolumeAddress).min(1).max(protocol.replicasMax);
export type Chain = z.infer<typeof Chain>;

/** A new chunk to stream into (DESIGN §4.2). */
export const Placement = z.object({ handle: ChunkHandle, version: ChunkVersion, chain: Chain });
export type Placement = z.infer<typeof Placement>;

/** One answered append: its content's identity and where it lies in the file. */
export const AppendAnswer = z.object({ sequence: Sequence, fileOffset: Uint53, bytes: Uint32, crc: Crc });
export type AppendAnswer = z.infer<typeof AppendAnswer>;

/** What one session appended to an inode: the last `appendWindow` answers, oldest first, sequences without gaps. */
export const AppendTableEntry = z.object({
  session: SessionId,
  answers: z.array(AppendAnswer).min(1).max(protocol.appendWindow),
});
export type AppendTableEntry = z.infer<typeof AppendTableEntry>;

/** DESIGN §4.3: handed to each next tail of the inode. `appendTableMax` and `appendSessionsMax` of limits.ts keep it far below this. */
export const AppendTable = z.array(AppendTableEntry).max(65_536);
export type AppendTable = z.infer<typeof AppendTable>;

export const ItemError = z.object({ code: z.string().max(64), message: z.string().max(4_096) });
export type ItemError = z.infer<typeof ItemError>;

/** One message: the schema of its request and of its answer, under `POST /v1/<name>`. */
export interface MessageType<Request extends z.ZodType = z.ZodType, Reply extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly request: Request;
  readonly reply: Reply;
}

export type RequestOf<Message extends MessageType> = z.infer<Message["request"]>;
export type ReplyOf<Message extends MessageType> = z.infer<Message["reply"]>;

export function message<Request extends z.ZodType, Reply extends z.ZodType>(
  name: string,
  request: Request,
  reply: Reply,
): MessageType<Request, Reply> {
  return { name, request, reply };
}
