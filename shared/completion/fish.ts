import type { Names, Operand, Option, Program } from "../command-table.ts";
import { asked, functionName, placesOf, quote } from "./places.ts";

export function fishScript(program: Program): string {
  const name = `_${functionName(program)}`;
  const places = placesOf(program);
  const paths = places.filter(({ path }) => path.length > 0).map(({ path }) => quote(path.join(" "), "fish"));
  const flagsOf = (wanted: (option: Option) => boolean): string =>
    places
      .flatMap(({ path, options }) =>
        options.filter(wanted).flatMap(({ flags }) => flags.map((flag) => [...path, flag].join(" "))),
      )
      .map((flag) => quote(flag, "fish"))
      .join(" ");
  const complete = (...words: string[]): string => ["complete", "-c", program.name, ...words].join(" ");
  const value = ({ choices, completes }: Pick<Operand, "choices" | "completes">): string[] => {
    if (choices !== undefined) return ["-a", quote(choices.join(" "), "fish")];
    if (isFile({ completes })) return ["-rF"];
    if (completes === "folder") return ["-a", "'(__fish_complete_directories)'"];
    return completes === undefined ? [] : ["-a", quote(`(${name}_names ${completes})`, "fish")];
  };
  const lines = places.flatMap(({ path, next, command, options }) => {
    const at = quote(path.join(" "), "fish");
    const when = (count = ""): string[] => ["-n", quote(`${name}_in ${at}${count}`, "fish")];
    return [
      ...next.map((one) => complete(...when(), "-a", one.name, "-d", quote(one.describe, "fish"))),
      ...(command?.operands ?? []).flatMap((operand, index) => {
        const words = value(operand);
        return words.length === 0
          ? []
          : complete(...when(` ${index}${operand.isMany ? " more" : ""}`), ...words);
      }),
      ...options.map((option) => {
        const flags = option.flags.flatMap((flag) =>
          flag.startsWith("--") ? ["-l", flag.slice(2)] : ["-s", flag.slice(1)],
        );
        const needsValue = option.value !== undefined && !option.isValueOptional && !isFile(option);
        return complete(
          ...when(),
          ...flags,
          ...(needsValue ? ["-x"] : []),
          ...value(option),
          "-d",
          quote(option.describe, "fish"),
        );
      }),
    ];
  });
  return `# fish completion for ${program.name}

# Where the command line stands: the command, how many words of its own it has, and the YAML files that it names.
function ${name}_at
    set -l at
    set -l count 0
    set -l files
    set -l before
    for token in (commandline -opc)[2..]
        if test -n "$before"; and not string match -q -- '-*' $token
            if contains -- "$before" ${flagsOf(({ completes }) => completes === "yaml")}
                set -a files (string replace -r '^~' $HOME -- $token)
            end
            set before
        else if test "$token" = --
            set count 999
            break
        else if string match -q -- '-*' $token
            set before
            if contains -- "$at$token" ${flagsOf(({ value: one }) => one !== undefined)}
                set before "$at$token"
            end
        else if contains -- "$at$token" ${paths.join(" ")}
            set at "$at$token "
        else
            set count (math $count + 1)
        end
    end
    string trim -- "$at"
    echo $count
    string join \\n -- $files
end

function ${name}_in
    # Most places are told apart by their last word, which is quick.
    test -z "$argv[1]"; or contains -- (string split ' ' -- $argv[1])[-1] (commandline -opc); or return 1
    set -l place (${name}_at)
    test "$place[1]" = "$argv[1]"; or return 1
    set -q argv[2]; or return 0
    test $place[2] -lt 999; or return 1
    test $place[2] = $argv[2]; and return 0
    set -q argv[3]; and test $place[2] -gt $argv[2]
end

function ${name}_names
${program.names.from === "files" ? filesNames(name) : recordsNames(program.names)}
end

${[complete("-f"), ...lines].join("\n")}
`;
}

const isFile = ({ completes }: Pick<Option, "completes">): boolean =>
  completes === "yaml" || completes === "file";

const filesNames = (name: string): string => `    set -l place (${name}_at)
    set -l files
    for file in $place[3..]
        set -a files -f $file
    end
    set -l program (commandline -opc)[1]
    set -l before
    switch $argv[1]
${Object.entries(asked)
  .map(([what, kinds]) => `        case ${what}\n            set -a argv ${kinds.join(" ")}`)
  .join("\n")}
    end
    if test $argv[1] = limit
        set before (commandline -ct | string replace -r '^-[\\w-]*=' '' | string match -r '^(?:.*[,:])?[!&]?')
    end
    string replace -r '^' -- "$before" ($program complete $argv[2..] $files 2>/dev/null </dev/null)`;

const recordsNames = ({ folder, variable }: Extract<Names, { from: "records" }>): string =>
  `    set -l folder ${folder}
    if set -q ${variable}
        set folder $${variable}
    end
    for file in $folder/containers/*.json
        string replace -r '.*/(.*)\\.json$' '$1' -- $file
    end`;
