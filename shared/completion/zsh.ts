import type { Completes, Names, Operand, Option, Program } from "../command-table.ts";
import { asked, type Place, placesOf, quote } from "./places.ts";

export function zshScript(program: Program): string {
  const name = `_${program.name}`; // also the file's, where it is installed
  const places = placesOf(program);
  return `#compdef ${program.name}
# zsh completion for ${program.name}

${places.map((place) => placeFunction(place, { name, places })).join("\n\n")}

# The names that there are: the last word says what of, those before it are for compadd.
${name}_names() {
  local what=$@[-1]
  local -a names
${program.names.from === "files" ? filesNames : recordsNames(program.names)}
  compadd "\${@[1,-2]}" -a names
}

# Loaded by compinit it is run at once; sourced it is only made known.
if [[ $funcstack[1] == ${name} ]]; then
  ${name} "$@"
else
  compdef ${name} ${program.name}
fi
`;
}

function placeFunction(
  { path, next, command, options }: Place,
  { name, places }: { name: string; places: Place[] },
): string {
  const operands = (command?.operands ?? []).map((operand, index) => operandSpec(operand, { name, index }));
  const specs = [...options.flatMap((option) => optionSpecs(option, name)), ...operands];
  const own = [name, ...path].join("_");
  const below = places.filter(
    (place) => place.path.length === path.length + 1 && path.every((word, at) => place.path[at] === word),
  );
  if (next.length === 0)
    return `${own}() {
  _arguments -s -S ${specs.map((spec) => `\\\n    ${spec}`).join(" ")}
}`;
  return `${own}() {
  local curcontext=$curcontext state line${path.length === 0 ? " nexcage=$words[1]" : ""}
  local -A opt_args
  local -a commands=(
${next.map((one) => `    ${quote(`${one.name}:${escaped(one.describe)}`, "posix")}`).join("\n")}
  )
  _arguments -s -S -C ${[...specs, `'1:command:{_describe command commands}'`, "'*:::word:->words'"].map((spec) => `\\\n    ${spec}`).join(" ")} && return
  [[ $state == words ]] || return
  words=($line[1] "\${words[@]}")
  (( CURRENT += 1 ))
  case $line[1] in
${below.map((place) => `  ${place.path.at(-1)}) ${[name, ...place.path].join("_")} ;;`).join("\n")}
  esac
}`;
}

function optionSpecs(option: Option, name: string): string[] {
  const { flags, value, isValueOptional, isRepeatable, describe } = option;
  const others = isRepeatable ? "*" : `(${flags.join(" ")})`;
  return flags.map((flag) => {
    const joined = value === undefined ? "" : flag.startsWith("--") ? "=" : "+";
    const argument =
      value === undefined ? "" : `${isValueOptional ? "::" : ":"}${escaped(value)}:${action(option, name)}`;
    return quote(`${others}${flag}${joined}[${escaped(describe)}]${argument}`, "posix");
  });
}

function operandSpec(operand: Operand, { name, index }: { name: string; index: number }): string {
  const place = operand.isMany ? "*:" : operand.isRequired ? `${index + 1}:` : `${index + 1}::`;
  return quote(`${place}${escaped(operand.describe || operand.name)}:${action(operand, name)}`, "posix");
}

function action({ choices, completes }: Pick<Option, "choices" | "completes">, name: string): string {
  if (choices !== undefined) return `(${choices.join(" ")})`;
  if (completes === undefined) return " ";
  if (completes === "yaml" || completes === "file") return "_files";
  return completes === "folder" ? "_files -/" : `${name}_names ${completes satisfies Completes}`;
}

const escaped = (text: string): string => text.replaceAll(/[\\[\]:]/g, "\\$&");

const filesNames = `  local -a files
  local flag file
  for flag in --file -f; do
    for file in "\${(@s.:.)opt_args[$flag]}"; do
      [[ -z $file ]] || files+=(-f \${file/#\\~/$HOME})
    done
  done
  case $what in
${Object.entries(asked)
  .map(
    ([what, kinds]) =>
      `  ${what}) names=(\${(f)"$(\${nexcage/#\\~/$HOME} complete ${kinds.join(" ")} $files 2>/dev/null </dev/null)"}) ;;`,
  )
  .join("\n")}
  esac
  if [[ $what == limit ]]; then
    compset -P '*[,:]'
    compset -P '[&!]'
  fi`;

const recordsNames = ({ folder, variable }: Extract<Names, { from: "records" }>): string =>
  `  names=(\${${variable}:-${folder}}/containers/*.json(N:t:r))`;
