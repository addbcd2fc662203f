import { NexcageError } from "../../shared/errors.ts";
import { command } from "./command.ts";
import { fleetOptions } from "./options.ts";

export const fleetBootstrap = command({
  command: "bootstrap",
  describe: "Put the agent on hosts, or a newer one; they need an SSH server and nothing else",
  builder: (yargs) =>
    fleetOptions(yargs)
      .option("check", { type: "boolean", default: false, describe: "say what it would do, and do nothing" })
      .option("rollback", {
        type: "boolean",
        default: false,
        describe: "go back to the agent that ran before",
      })
      .option("agent", {
        type: "string",
        requiresArg: true,
        completes: "folder",
        describe: "a folder with the build to send, in place of this nexcage's own",
      })
      .option("force", {
        type: "boolean",
        default: false,
        describe: "switch to it though its doctor finds a failure",
      })
      .option("with-sudo", {
        type: "string",
        describe: "let a user run the agent by sudo without a password [default: who logs in]",
      })
      .option("forced-command", {
        type: "string",
        requiresArg: true,
        completes: "file",
        describe: "a public key: print the line of authorized_keys that lets it talk to the agent alone",
      }),
  async handler(argv) {
    const { findBuilds } = await import("../bootstrap/agent-build.ts");
    const { bootstrapHost, rollBackHost } = await import("../bootstrap/bootstrap.ts");
    const { forcedCommandLines, readPublicKey } = await import("../bootstrap/forced-command.ts");
    const { onHosts } = await import("../bootstrap/on-hosts.ts");
    const { bootstrapJson, bootstrapText } = await import("../report/bootstrap.ts");
    const { requireUserName } = await import("../bootstrap/user-name.ts");
    const { printJson } = await import("./print.ts");
    const { exitCodeOfHosts, withHosts } = await import("./with-hosts.ts");
    const { check, force, rollback } = argv;
    for (const other of ["agent", "with-sudo", "forced-command"] as const)
      if (rollback && argv[other] !== undefined)
        throw new NexcageError(
          "USAGE",
          `--rollback goes back to what is there: --${other} means nothing with it`,
        );
    const withSudo = argv["with-sudo"] === "" ? true : requireUserName(argv["with-sudo"]);
    const publicKey =
      argv["forced-command"] === undefined ? undefined : await readPublicKey(argv["forced-command"]);
    return await withHosts(argv, async ({ hosts, connect, progress, color, signal }) => {
      const { emit } = progress;
      const builds = rollback ? [] : await findBuilds(argv.agent);
      const outcomes = await onHosts(
        hosts,
        { connect, forks: argv.forks, emit, signal },
        (host, transport) =>
          rollback
            ? rollBackHost(host, transport, { check, force, signal })
            : bootstrapHost(host, transport, { builds, check, force, withSudo, emit, signal }),
      );
      const keys = publicKey === undefined ? [] : forcedCommandLines(hosts, publicKey);
      progress.pause();
      if (argv.output === "json") printJson({ ...bootstrapJson(outcomes, { check }), authorizedKeys: keys });
      else {
        process.stdout.write(bootstrapText(outcomes, { color, check }));
        for (const { hosts, line } of keys)
          process.stdout.write(`\nFor ~/.ssh/authorized_keys on ${hosts.join(", ")}:\n${line}\n`);
      }
      return exitCodeOfHosts(outcomes, { signal });
    });
  },
});
