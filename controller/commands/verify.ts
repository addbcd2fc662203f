import { homedir } from "node:os";
import { join } from "node:path";
import { command } from "./command.ts";

export const verify = command({
  command: "verify <file..>",
  describe: "Check files of a release: checksum, signature, bill of materials, provenance",
  builder: (yargs) =>
    yargs
      .positional("file", {
        type: "string",
        array: true,
        demandOption: true,
        describe: "what was downloaded",
      })
      .option("sums", {
        type: "string",
        requiresArg: true,
        completes: "file",
        describe: "SHA256SUMS of the release [default: beside the file]",
      })
      .option("signers", {
        type: "string",
        requiresArg: true,
        completes: "file",
        describe: "who may sign it, as in ssh-keygen(1) [default: ~/.config/nexcage/allowed_signers]",
      })
      .option("checksum-only", {
        type: "boolean",
        default: false,
        describe: "compare the checksum, which proves nothing of who made it",
      })
      .option("output", {
        alias: "o",
        choices: ["text", "json"] as const,
        default: "text" as const,
        requiresArg: true,
        describe: "what stdout gets",
      }),
  async handler(argv) {
    const { exitCodes } = await import("../../shared/errors.ts");
    const { verifiedJson, verifiedText, worst } = await import("../report/verify.ts");
    const { verifyFiles } = await import("../verify/verify.ts");
    const { interrupted } = await import("./interrupt.ts");
    const { printJson } = await import("./print.ts");
    const config = process.env.XDG_CONFIG_HOME || join(homedir(), ".config");
    const verified = await verifyFiles(argv.file, {
      sums: argv.sums,
      signers: {
        path: argv.signers ?? join(config, "nexcage", "allowed_signers"),
        mayBeMissing: argv.signers === undefined,
      },
      isChecksumOnly: argv["checksum-only"],
      now: new Date(),
      signal: interrupted(),
    });
    if (argv.output === "json") printJson(verifiedJson(verified));
    else process.stdout.write(verifiedText(verified));
    return { passed: 0, skipped: 1, failed: exitCodes.SIGNATURE_INVALID }[worst(verified)];
  },
});
