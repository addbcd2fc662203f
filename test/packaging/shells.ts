import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import { dist } from "../dist.ts";

export type ShellName = "bash" | "zsh" | "fish";

type Where = { cwd: string; environment: Record<string, string> };

/** What each shell offers for each line at a Tab, sorted; the scripts are those that a package installs. */
export async function complete(
  shell: ShellName,
  lines: readonly string[],
  where: Where,
): Promise<string[][]> {
  const { cwd, environment } = where;
  const home = await mkdtemp(join(tmpdir(), "nexcage-shell-"));
  try {
    return wordsOf(await offered(shell, lines, { cwd, environment, home }));
  } finally {
    await rm(home, { recursive: true, maxRetries: 3 });
  }
}

async function offered(
  shell: ShellName,
  lines: readonly string[],
  { cwd, environment, home }: Where & { home: string },
): Promise<string> {
  const driver = join(home, "driver");
  await writeFile(driver, drivers[shell]);
  const env = { ...environment, HOME: home, TERM: "dumb", PATH: `${dist}${delimiter}${process.env.PATH}` };
  const words = [...withoutConfiguration[shell], driver, ...lines];
  return (await execa(shell, words, { cwd, env, timeout: 60_000 })).stdout;
}

function wordsOf(output: string): string[][] {
  return output
    .split(/^== .*\n?/m)
    .slice(1)
    .map((part) =>
      part
        .split("\n")
        .filter((word) => word !== "")
        .sort(),
    );
}

export const isInstalled = (program: string): boolean =>
  (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));

const withoutConfiguration: Record<ShellName, string[]> = {
  bash: ["--norc", "--noprofile"],
  zsh: ["-f"],
  fish: ["--no-config"],
};

const share = join(dist, "share");

/** Each prints `== LINE`, and then the words that are offered. */
const drivers: Record<ShellName, string> = {
  // As readline does it: the words apart, "=" by itself, and the function called with the last two of them.
  bash: `
source '${share}/bash-completion/completions/nexcage'
source '${share}/bash-completion/completions/nexcage-agent'
compopt() { :; }
for line; do
  read -ra COMP_WORDS <<<"\${line//=/ = }"
  [[ $line != *' ' ]] || COMP_WORDS+=('')
  COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
  program=\${COMP_WORDS[0]}
  how=$(complete -p "$program")
  function=\${how#*-F }
  "\${function%% *}" "$program" "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"
  echo "== $line"
  printf '%s\\n' "\${COMPREPLY[@]}"
done
`,
  fish: `
set -p fish_complete_path '${share}/fish/vendor_completions.d'
for line in $argv
    echo "== $line"
    complete -C $line | string replace -r '\\t.*' ''
end
true # string replace has failed where it replaced nothing
`,
  // In a terminal of its own: only zsh's line editor completes. Its compadd tells what it is given.
  zsh: `
zmodload zsh/zpty
cat >$HOME/inside <<'END'
PROMPT= RPROMPT=
unsetopt zle_bracketed_paste prompt_cr prompt_sp
fpath=('${share}/zsh/site-functions' $fpath)
autoload -Uz compinit
compinit -u -d $HOME/dump
compadd() {
  local -a told
  if [[ " $* " == *' -'(O|A|D)' '* ]]; then
    builtin compadd "$@"
    return
  fi
  builtin compadd -A told "$@"
  (( $#told )) && print -rl -- "offer:$IPREFIX"$^told
}
tell() { print; _main_complete; print -r -- "the end:" }
zle -C tell complete-word tell
bindkey '^I' tell
print -r -- "it is" ready
END
zpty inside zsh -f -i
zpty -w inside "stty -echo; source $HOME/inside"
zpty -r -m inside output '*it is ready*'
for line; do
  zpty -n -w inside "$line"$'\\t'
  zpty -r -m inside output '*the end:*'
  print -r -- "== $line"
  print -r -- "$output" | tr -d '\\r' | sed -n 's/^offer://p' | sort -u
  zpty -n -w inside $'\\x15'
done
zpty -d inside
`,
};
