// main.ts PROGRAM ARG…: all of the stand-in's programs; `pct`, … on a test host are names for it.
import { enableCompileCache } from "node:module";
import { release } from "node:os";
import { text } from "node:stream/consumers";
import { privateDir } from "./paths.ts";

// Stripping the types of all modules takes four times as long as the rest of a call.
enableCompileCache(`${privateDir}/cache`);

import { Failure, messageOf } from "./failure.ts";
import { obeyKnobs } from "./knobs.ts";

async function pveVersion(): Promise<string> {
  const { version, repoid } = (await import("./pvesh.ts")).version();
  return `${version}/${repoid}`;
}

async function main([program = "", ...argv]: string[]): Promise<number> {
  if (program === "worker") {
    const { worker } = await import("./pct.ts");
    await worker(JSON.parse(await text(process.stdin)));
    return Number(process.exitCode ?? 0);
  }
  if (program === "pct-hook") return await (await import("./hook.ts")).hook(argv);
  await obeyKnobs(program, argv[0]);
  switch (program) {
    case "pct":
      return await (await import("./pct.ts")).pct(argv);
    case "pvesh":
      return await (await import("./pvesh.ts")).pvesh(argv);
    case "pvesm":
      return await (await import("./pvesm.ts")).pvesm(argv);
    case "pveam":
      return await (await import("./pveam.ts")).pveam(argv);
    case "ha-manager":
      return await (await import("./ha-manager.ts")).haManager(argv);
    case "pveversion":
      process.stdout.write(`pve-manager/${await pveVersion()} (running kernel: ${release()})\n`);
      return 0;
    default:
      throw new Failure(`${program}: command not found`, { exitCode: 127 });
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${messageOf(error).replace(/\n*$/, "")}\n`);
  process.exitCode = error instanceof Failure ? error.exitCode : 255;
}
