import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { table as agentTable } from "../../agent/commands/table.ts";
import { table as controllerTable } from "../../controller/commands/table.ts";
import { optionsOf, readProgram } from "../../shared/command-table.ts";
import { dist } from "../dist.ts";
import { isInstalled } from "./shells.ts";

const folder = join(dist, "share/man/man1");
const controller = readProgram(controllerTable);
const agent = readProgram(agentTable);

test("each group and command of nexcage has a manual page, and the agent one with all of its commands", async (t) => {
  const pages = [
    "nexcage",
    "nexcage-agent",
    ...controller.groups.map(({ name }) => `nexcage-${name}`),
    ...controller.commands.map(({ path }) => ["nexcage", ...path].join("-")),
  ];
  t.deepEqual((await readdir(folder)).sort(), pages.map((name) => `${name}.1`).sort());
  const headings = [
    ...(await readFile(join(folder, "nexcage-agent.1"), "utf8")).matchAll(/^\.SS "([\w-]+)/gm),
  ];
  t.deepEqual(
    headings.map(([, name]) => name),
    agent.commands.map(({ path }) => path.join(" ")),
  );
});

for (const [reader, words] of [
  ["man", ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]],
  ["mandoc", ["-Tlint"]],
] as const) {
  const title = `${reader} reads every page without a warning`;
  if (isInstalled(reader))
    test(title, async (t) => {
      const pages = (await readdir(folder)).map((name) => join(folder, name));
      const { stdout, stderr } = await execa(reader, [...words, ...pages], { env: { LC_ALL: "C.UTF-8" } });
      t.is(stderr, "");
      if (reader === "mandoc") t.is(stdout, "");
    });
  else test.skip(`${title} (${reader} is not installed)`, () => {});
}

for (const program of [controller, agent])
  test(`what ${program.name} --help lists of each command is what manual, completion and reference have`, async (t) => {
    for (const command of program.commands) {
      const { path, operands } = command;
      const { stdout } = await execa(join(dist, program.name), [...path, "--help"]);
      const helped = [...stdout.matchAll(/^ +(?:-\w, )*(--[\w-]+)/gm)].map(([, flag = ""]) => flag);
      const known = optionsOf(command, program).flatMap(({ flags }) => flags.slice(0, 1));
      // The help shows --version with each of the agent's, and no --signal where a word of kill says the same.
      const apart = [
        ...program.bareOptions.flatMap(({ flags }) => flags),
        ...operands.map(({ name }) => `--${name}`),
      ];
      t.deepEqual(
        helped.filter((flag) => !apart.includes(flag)).sort(),
        known.filter((flag) => !apart.includes(flag)).sort(),
        path.join(" "),
      );
    }
  });
