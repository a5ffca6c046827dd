import { fullGC } from "bun:jsc";

/**
 * Buffers of sockets lie outside the JavaScript heap, and the collector lets very many of them gather before it looks: hundreds of megabytes at a gigabyte a second.
 * So it is told to look after so many bytes; with a heap of a server's size that takes about 2 ms. Not by `Bun.gc`: that gives
 * the free memory back to the system too, and every buffer then costs its page faults again, a quarter of the CPU time of a read.
 */
const bytesBetween = 32 * 1_048_576;

let bytesSince = 0;

/** Much of what is sent lies in buffers that serve again. */
const sentShare = 1 / 4;

/** So many bytes came in buffers of their own. */
export function countReceived(bytes: number): void {
  count(bytes);
}

/**
 * Nobody looks at these bytes any more: a buffer of their own is free at once, and its memory, still in the processor's cache, serves the next one. Where they are a
 * part of a buffer nothing happens: others may see the rest of it.
 */
export function freeBuffer({ buffer, length }: Uint8Array): void {
  if (length !== buffer.byteLength || !(buffer instanceof ArrayBuffer)) return;
  buffer.transfer(0);
  bytesSince = Math.max(0, bytesSince - length);
}

/** So many bytes were given away to be sent. */
export function countSent(bytes: number): void {
  count(bytes * sentShare);
}

function count(bytes: number): void {
  bytesSince += bytes;
  if (bytesSince < bytesBetween) return;
  bytesSince = 0;
  fullGC();
}
