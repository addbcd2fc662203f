import type { Names, Option, Program } from "../command-table.ts";
import { asked, functionName, type Place, placesOf, quote } from "./places.ts";

/** Needs nothing but bash 4: no bash-completion. */
export function bashScript(program: Program): string {
  const name = functionName(program);
  return `# bash completion for ${program.name}

# What may follow at a place: $1 the command so far, $2 the option before.
# A value is a list of words, or @ and what it is.
${name}_at() {
  commands=() options=() operands=() many='' value=''
  case $1 in
${placesOf(program).map(placeCase).join("\n")}
  esac
}

# The names that there are: $1 what of, $2 the program.
${name}_names() {
${program.names.from === "files" ? filesNames : recordsNames(program.names)}
}

${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} at='' value='' many='' before='' count=0 i word
  local -a commands options operands files=() words=()
  COMPREPLY=()
  [[ $cur != '=' ]] || cur=''
  ${name}_at '' ''
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == '=' && -n $value ]]; then
      continue # bash takes --option=value apart
    elif [[ -n $value && $word != -* ]]; then
      [[ $value != @yaml ]] || files+=(-f "\${word/#\\~/$HOME}")
      value=''
    elif [[ $word == -- ]]; then
      return # what follows is a command of the container's
    elif [[ $word == -* ]]; then
      ${name}_at "$at" "$word"
    elif ((\${#commands[@]} > 0)); then
      at+=\${at:+ }$word
      ${name}_at "$at" ''
    else
      count=$((count + 1))
    fi
  done
  if [[ $cur == -* ]]; then
    value=''
    words=("\${options[@]}")
  elif [[ -z $value ]]; then
    words=("\${commands[@]}")
    [[ -z $many ]] || ((count < \${#operands[@]})) || count=$((\${#operands[@]} - 1))
    value=\${operands[count]}
  fi
  case $value in
  @yaml | @file)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    return
    ;;
  @folder)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    return
    ;;
  @limit)
    [[ ! $cur =~ ^(.*[,:])?[!\\&]? ]] || before=\${BASH_REMATCH[0]}
    mapfile -t words < <(${name}_names "$value" "$1")
    ;;
  @?*) mapfile -t words < <(${name}_names "$value" "$1") ;;
  @) ;;
  ?*) read -ra words <<<"$value" ;;
  esac
  for word in "\${words[@]}"; do
    [[ $before$word != "$cur"* ]] || COMPREPLY+=("$before$word")
  done
}

complete -F ${name} ${program.name}
`;
}

const filesNames = `  local program=\${2/#\\~/$HOME}
  case $1 in
${Object.entries(asked)
  .map(
    ([what, kinds]) =>
      `  @${what}) "$program" complete ${kinds.join(" ")} "\${files[@]}" 2>/dev/null </dev/null ;;`,
  )
  .join("\n")}
  esac`;

const recordsNames = ({ folder, variable }: Extract<Names, { from: "records" }>): string =>
  `  local file
  for file in "\${${variable}:-${folder}}"/containers/*.json; do
    file=\${file##*/}
    [[ $file == '*.json' ]] || echo "\${file%.json}"
  done`;

function placeCase({ path, next, command, options }: Place): string {
  const lines = [
    ...(next.length > 0 ? [`commands=(${next.map(({ name }) => name).join(" ")})`] : []),
    `options=(${options.flatMap(({ flags }) => flags).join(" ")})`,
  ];
  const operands = command?.operands ?? [];
  if (operands.length > 0)
    lines.push(`operands=(${operands.map((one) => quote(wordsOf(one), "posix")).join(" ")})`);
  if (operands.at(-1)?.isMany) lines.push("many=1");
  const valued = options.filter(({ value }) => value !== undefined);
  if (valued.length > 0)
    lines.push(
      "case $2 in",
      ...valued.map((option) => `${option.flags.join(" | ")}) value=${quote(wordsOf(option), "posix")} ;;`),
      "esac",
    );
  return [`  ${quote(path.join(" "), "posix")})`, ...lines.map((line) => `    ${line}`), "    ;;"].join("\n");
}

const wordsOf = ({ choices, completes }: Pick<Option, "choices" | "completes">): string =>
  choices?.join(" ") ?? `@${completes ?? ""}`;
