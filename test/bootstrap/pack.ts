// pack.ts TREE TARGET: `packAgent`, in a process of its own: it is long and synchronous, and relays run in the tests'.
import { packAgent } from "../../packaging/agent-build.ts";
import { version } from "../../shared/version.ts";

const [tree = "", target = ""] = process.argv.slice(2);
packAgent(tree, target, { version, level: 9 });
