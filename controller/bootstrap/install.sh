#!/bin/sh
# What `nexcage fleet bootstrap` runs on a host, as root: with nothing but the programs of a bare Debian.
#
#   install.sh ROOT LINK
#
# ROOT/versions/BUILD are whole agents; ROOT/current and ROOT/previous lead to two of them, and LINK, which the
# inventory calls agent.path, to ROOT/current/nexcage-agent. It says that it is ready, then reads requests from
# stdin, one a line, and answers each with "answer WORD BYTES", a newline and so many bytes of text. WORD is "ok", or what
# is wrong. Nothing of what runs changes before `switch`, which is one rename.
set -u
umask 022
LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
root=$1 link=$2
versions=$root/versions new=$root/.new
lock=/run/nexcage-bootstrap.lock
signers=/etc/nexcage/allowed_signers
rule_mark='# Written by nexcage fleet bootstrap --with-sudo.'

answer() { # WORD TEXT
  printf 'answer %s %s\n%s' "$1" "${#2}" "$2"
}

fail() { # WORD TEXT: what is still on stdin may be half of an archive, so it ends
  answer "$1" "$2"
  exit 1
}

# A symbolic link, replaced in one step.
point() { # LINK TARGET
  ln -sfn "$2" "$1.new" && mv -T "$1.new" "$1"
}

named() { # LINK: the build that it leads to
  target=$(readlink "$root/$1") && echo "${target##*/}"
}

whole() { # FOLDER
  (cd "$1" && sha256sum --check --strict --status SHA256SUMS) </dev/null 2>/dev/null
}

link_state() {
  if [ "$link" = "$root/current/nexcage-agent" ] || [ "$(readlink "$link")" = "$root/current/nexcage-agent" ]; then
    echo ours
  elif [ ! -e "$link" ] && [ ! -h "$link" ]; then
    echo none
  elif package=$(dpkg-query --search "$link" 2>/dev/null </dev/null); then
    echo "package ${package%%:*}"
  else
    echo other
  fi
}

look() {
  near=$root
  while [ ! -e "$near" ]; do near=$(dirname "$near"); done
  echo "uid $(id -u)"
  echo "user ${SUDO_USER:-$(id -un)}"
  echo "architecture $(uname -m)"
  echo "libc $(getconf GNU_LIBC_VERSION 2>/dev/null || echo unknown)"
  command -v dpkg-deb >/dev/null || echo "missing dpkg-deb"
  echo "free $(($(df -Pk "$near" </dev/null | awk 'END { print $4 }') * 1024))"
  echo "link $(link_state)"
  for which in current previous; do
    build=$(named "$which") && echo "$which $build"
  done
  for build in "$versions"/*; do
    node=$(sed -n 's| *lib/nexcage/node$||p' "$build/SHA256SUMS" 2>/dev/null) && echo "build ${build##*/} $node"
  done
}

doing() { # WORD
  echo "$1 $$ $(date -u +%FT%TZ)" >"$lock"
}

# One whose controller has gone without a word waits for it for hours. It is ended where it has got nothing for 10 s;
# while it works by itself it is not.
take_lock() {
  flock -n 9 && return
  held=$(cat "$lock") size=$(du -sk "$new" 2>/dev/null)
  flock -w 10 9 && return
  case $held in
    waiting* | receiving*)
      pid=${held#* }
      if [ "$(cat "$lock")" = "$held" ] && [ "$(du -sk "$new" 2>/dev/null)" = "$size" ]; then
        kill "${pid%% *}" && flock -w 10 9 && return
      fi
      ;;
  esac
  fail locked "$held"
}

receive() { # BUILD SUMS AGENT_BYTES NODE_BYTES SIGNATURE_BYTES NODE_FROM
  build=$1 sums=$2 agent_bytes=$3 node_bytes=$4 signature_bytes=$5 node_from=$6
  rm -rf "$new"
  mkdir -p "$new" "$versions" 2>/dev/null || fail unwritable "$versions"
  doing receiving
  said=$({ head -c "$agent_bytes" | dpkg-deb --extract - "$new"; } 2>&1 9>&-) || fail unpack "$said"
  if [ "$node_bytes" != 0 ]; then
    said=$({ head -c "$node_bytes" | dpkg-deb --extract - "$new"; } 2>&1 9>&-) || fail unpack "$said"
  else
    said=$(ln "$versions/$node_from/lib/nexcage/node" "$new/lib/nexcage/node" 2>&1) || fail unpack "$said"
  fi
  if [ "$signature_bytes" != 0 ]; then
    head -c "$signature_bytes" >"$new/SHA256SUMS.sig" || fail unpack "the signature could not be written"
  fi
  doing working
  [ "$(sha256sum <"$new/SHA256SUMS" 2>/dev/null)" = "$sums  -" ] || fail damaged "SHA256SUMS is not as it was sent"
  whole "$new" || fail damaged "a file is not as SHA256SUMS says"
  if [ -e "$signers" ]; then
    [ "$signature_bytes" != 0 ] || fail unsigned "$signers asks for a signature, and the build has none"
    said=$(ssh-keygen -Y verify -f "$signers" -I nexcage -n nexcage-agent -s "$new/SHA256SUMS.sig" \
      <"$new/SHA256SUMS" 2>&1) || fail unsigned "$said"
  fi
  sync -f "$new" </dev/null
  rm -rf "${versions:?}/$build"
  mv -T "$new" "$versions/$build" || fail unwritable "$versions/$build"
  answer ok ""
}

run() { # BUILD ARGUMENT…
  build=$1 && shift
  if said=$(timeout 120 "$versions/$build/nexcage-agent" "$@" </dev/null 2>&1 9>&-); then
    answer ok "$said"
  else
    answer failed "$said"
  fi
}

switch() { # BUILD
  build=$1 old=$(named current)
  [ -d "$versions/$build" ] || fail gone "$versions/$build"
  if [ -n "$old" ] && [ "$old" != "$build" ]; then
    point "$root/previous" "versions/$old" || fail unwritable "$root/previous"
  fi
  point "$root/current" "versions/$build" || fail unwritable "$root/current"
  if [ "$(link_state)" != ours ]; then
    mkdir -p "$(dirname "$link")"
    point "$link" "$root/current/nexcage-agent" || fail unwritable "$link"
  fi
  sync -f "$root" </dev/null
  prune
  answer ok ""
}

# Removes what is neither current nor previous, but for what still runs.
prune() {
  for folder in "$versions"/*; do
    case ${folder##*/} in
      "$(named current)" | "$(named previous)") ;;
      *) grep -qsF "$folder/" /proc/[0-9]*/cmdline </dev/null || rm -rf "$folder" ;;
    esac
  done
}

sudoers() { # USER
  command -v visudo >/dev/null || fail no-sudo "there is no sudo"
  rule=/etc/sudoers.d/nexcage-$(echo "$1" | tr . _)
  printf '%s\n%s ALL=(root) NOPASSWD: %s\n' "$rule_mark" "$1" "$link" >"$rule~" || fail unwritable "$rule"
  said=$(visudo -cqf "$rule~" </dev/null 2>&1) || { rm -f "$rule~"; fail no-sudo "$said"; }
  chmod 440 "$rule~"
  mv "$rule~" "$rule" || fail unwritable "$rule"
  answer ok "$rule"
}

remove() {
  if [ "$(link_state)" = ours ]; then rm -f "$link" || fail unwritable "$link"; fi
  for rule in /etc/sudoers.d/nexcage-*; do
    if grep -qsF "$rule_mark" "$rule"; then rm -f "$rule"; fi
  done
  rm -rf "$root" || fail unwritable "$root"
  answer ok ""
}

echo 'install.sh: ready'
[ "$(id -u)" = 0 ] || fail not-root "$(id -un)"
exec 9>>"$lock" || fail unwritable "$lock"
take_lock
trap 'rm -rf "$new"' EXIT
while doing waiting && read -r request a b c d e f; do
  doing working
  case $request in
    look) answer ok "$(look)" ;;
    verify) if whole "$versions/$a"; then answer ok ""; else answer damaged "$versions/$a"; fi ;;
    receive) receive "$a" "$b" "$c" "$d" "$e" "$f" ;;
    version) run "$a" --version ;;
    doctor) run "$a" doctor -o json ;;
    switch) switch "$a" ;;
    sudoers) sudoers "$a" ;;
    remove) remove ;;
  esac
done
