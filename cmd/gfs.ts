/** The one executable: every role and every client verb, each loaded only when it is called. */
import type { VerbGroup } from "./cli/call.ts";
import { main } from "./cli/main.ts";

const groups: readonly VerbGroup[] = [
  {
    title: "Servers",
    verbs: [
      {
        name: "up",
        summary: "run a whole small cluster in this process",
        server: true,
        load: async () => (await import("./up.ts")).up,
      },
      {
        name: "master",
        summary: "run the master",
        server: true,
        load: async () => (await import("./master.ts")).master,
      },
      {
        name: "chunk",
        summary: "run a chunkserver",
        server: true,
        load: async () => (await import("./chunk.ts")).chunk,
      },
    ],
  },
  {
    title: "Files",
    verbs: [
      { name: "put", summary: "store a local file", load: async () => (await import("./put.ts")).put },
      { name: "get", summary: "fetch a file", load: async () => (await import("./get.ts")).get },
      { name: "cat", summary: "write files to standard output", load: async () => (await import("./cat.ts")).cat },
      {
        name: "append",
        summary: "append a file's content, all or nothing",
        load: async () => (await import("./append.ts")).append,
      },
      { name: "ls", summary: "list a directory", load: async () => (await import("./ls.ts")).ls },
      {
        name: "stat",
        summary: "show a file's generation, chunks and replicas",
        load: async () => (await import("./stat.ts")).stat,
      },
      {
        name: "locate",
        summary: "show where a file's chunks and replicas lie",
        load: async () => (await import("./locate.ts")).locate,
      },
      { name: "mkdir", summary: "make a directory", load: async () => (await import("./mkdir.ts")).mkdir },
      { name: "mv", summary: "move or rename", load: async () => (await import("./mv.ts")).mv },
      { name: "rm", summary: "remove, into the trash", load: async () => (await import("./rm.ts")).rm },
      {
        name: "trash",
        summary: "list, restore or purge what was removed",
        load: async () => (await import("./trash.ts")).trash,
      },
      {
        name: "setrep",
        summary: "choose how many replicas files have",
        load: async () => (await import("./setrep.ts")).setrep,
      },
      { name: "du", summary: "show how much a directory holds", load: async () => (await import("./du.ts")).du },
    ],
  },
  {
    title: "Cluster",
    verbs: [
      {
        name: "status",
        summary: "show servers, chunks, and what is wrong",
        load: async () => (await import("./status.ts")).status,
      },
      {
        name: "servers",
        summary: "show every chunkserver: alive or not, how full, how busy",
        load: async () => (await import("./servers.ts")).servers,
      },
      {
        name: "events",
        summary: "show what happened, when and why",
        load: async () => (await import("./events.ts")).events,
      },
      { name: "df", summary: "show space, by server", load: async () => (await import("./df.ts")).df },
      {
        name: "fsck",
        summary: "check files against chunks and replicas",
        load: async () => (await import("./fsck.ts")).fsck,
      },
      {
        name: "scrub",
        summary: "have what is stored read and checked now; how far the scrub is",
        load: async () => (await import("./scrub.ts")).scrub,
      },
      {
        name: "backup",
        summary: "write all that the master knows to one file",
        load: async () => (await import("./backup.ts")).backup,
      },
      {
        name: "drain",
        summary: "empty a server, so that it can be taken away",
        load: async () => (await import("./drain.ts")).drain,
      },
      {
        name: "undrain",
        summary: "keep a server that is being drained",
        load: async () => (await import("./undrain.ts")).undrain,
      },
      {
        name: "balance",
        summary: "fill disks evenly: start, stop, status",
        load: async () => (await import("./balance.ts")).balance,
      },
      {
        name: "decommission",
        summary: "forget a server for good",
        load: async () => (await import("./decommission.ts")).decommission,
      },
      {
        name: "salvage",
        summary: "make a master's directory from chunks alone",
        load: async () => (await import("./salvage.ts")).salvage,
      },
      {
        name: "repair",
        summary: "show how far repair is, bound what it copies, resume it",
        load: async () => (await import("./repair.ts")).repair,
      },
      {
        name: "safemode",
        summary: "show or end the wait after a master's start",
        load: async () => (await import("./safemode.ts")).safemode,
      },
      { name: "secret", summary: "make a cluster secret", load: async () => (await import("./secret.ts")).secret },
    ],
  },
  {
    title: "This program",
    verbs: [
      {
        name: "config",
        summary: "show each setting and where it came from",
        load: async () => (await import("./config.ts")).config,
      },
      {
        name: "completion",
        summary: "print a completion script for bash, zsh or fish",
        load: async () => (await import("./completion.ts")).completion,
      },
      { name: "version", summary: "print the version", load: async () => (await import("./version.ts")).version },
    ],
  },
  {
    title: "Internal",
    verbs: [
      {
        name: "checkpoint-master",
        summary: "write a checkpoint of a master's state",
        hidden: true,
        load: async () => (await import("./checkpoint-master.ts")).checkpointMaster,
      },
    ],
  },
];

main(groups).catch((error: unknown) => {
  process.stderr.write(`gfs: a bug: ${String(error)}\n`);
  process.exit(70);
});
