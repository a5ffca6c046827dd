import { describeClock } from "./clock.ts";
import { describeControl } from "./control.ts";
import { describeDisk } from "./disk.ts";
import { describeEvents } from "./events.ts";
import { hostWorldUnderTest } from "./host-world.ts";
import { describeRandom } from "./random.ts";
import { describeSpawn } from "./spawn.ts";
import { describeStream } from "./stream.ts";

describeClock("host", hostWorldUnderTest);
describeRandom("host", hostWorldUnderTest);
describeDisk("host", hostWorldUnderTest);
describeStream("host", hostWorldUnderTest);
describeControl("host", hostWorldUnderTest);
describeSpawn("host", hostWorldUnderTest);
describeEvents("host", hostWorldUnderTest);
