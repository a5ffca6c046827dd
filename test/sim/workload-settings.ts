/** How much of what clients do, and where. */

/** A plain object, printed with a failure. Weights are relative. */
export interface WorkloadSettings {
  readonly clients: number;
  /** Operations of one client at a time. */
  readonly lanes: number;
  readonly durationMs: number;
  /** Over all clients; they spread them over the duration. */
  readonly operations: number;
  readonly hotFiles: number;
  readonly groups: number;
  readonly filesPerGroup: number;
  /** Most operations under one group's directory: the search for an order is exponential. */
  readonly operationsPerGroup: number;
  /** Most appends to hot files: each read takes the whole file. */
  readonly hotAppends: number;
  readonly hotWeight: number;
  /** Of the reads of hot files, and all else there: of a part only. */
  readonly ranges: number;
  /** Of the operations in groups: on directories; and as likely others are on files below them. */
  readonly tree: number;
  /** Of the operations in groups: that choose replicas, and what the trash keeps. */
  readonly choice: number;
  /** Below each group's. */
  readonly directories: number;
  readonly largeAppends: number;
  /** Of the records that go through the chain: up to the largest that does. */
  readonly bigRecords: number;
  readonly pipelined: number;
  readonly keyed: number;
  readonly abandoned: number;
  /** Of the operations in groups: runs of appends to a file that is looked up once. */
  readonly appenders: number;
  /** Of the operations on hot files: a client that tells the master, without reason, that the tail failed. */
  readonly distrust: number;
}

export const hotDirectory = "/hot";
export const groupDirectory = (index: number): string => `/group${index}`;
