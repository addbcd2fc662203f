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
versions=$root/versions new=$root/.new links=$root/.links
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

# All but the archives that it came in.
whole() { # FOLDER
  (cd "$1" && grep -v '\.deb$' SHA256SUMS | sha256sum --check --strict --status) 2>/dev/null
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
      pid=${held#* } pid=${pid%% *}
      if [ "$(cat "$lock")" = "$held" ] && [ "$(du -sk "$new" 2>/dev/null)" = "$size" ] &&
        grep -qsaF nexcage-bootstrap "/proc/$pid/cmdline"; then
        kill "$pid" && flock -w 10 9 && return
      fi
      ;;
  esac
  fail locked "$held"
}

# Nothing is unpacked before it is known to be what SHA256SUMS says, and that to be what was signed.
receive() { # BUILD SUMS SUMS_BYTES SIGNATURE_BYTES AGENT_BYTES NODE_BYTES NODE_FROM
  build=$1 sums=$2 sums_bytes=$3 signature_bytes=$4 agent_bytes=$5 node_bytes=$6 node_from=$7
  rm -rf "$new"
  mkdir -p "$versions" 2>/dev/null && mkdir -m 700 "$new" || fail unwritable "$versions"
  doing receiving
  head -c "$sums_bytes" >"$new/SHA256SUMS" || fail unpack "$new"
  head -c "$signature_bytes" >"$new/SHA256SUMS.sig" || fail unpack "$new"
  [ "$(sha256sum <"$new/SHA256SUMS")" = "$sums  -" ] || fail damaged "SHA256SUMS is not as it was sent"
  case $sums in "${build##*-}"*) ;; *) fail damaged "$build is not the name of what was sent" ;; esac
  if [ -e "$signers" ]; then
    [ "$signature_bytes" != 0 ] || fail unsigned "$signers asks for a signature, and the build has none"
    said=$(ssh-keygen -Y verify -f "$signers" -I nexcage -n nexcage-agent -s "$new/SHA256SUMS.sig" \
      <"$new/SHA256SUMS" 2>&1) || fail unsigned "$said"
  fi
  [ "$signature_bytes" != 0 ] || rm "$new/SHA256SUMS.sig"
  unpack agent.deb "$agent_bytes"
  if [ "$node_bytes" != 0 ]; then
    unpack node.deb "$node_bytes"
  else
    said=$(ln "$versions/$node_from/lib/nexcage/node" "$new/lib/nexcage/node" 2>&1) || fail unpack "$said"
  fi
  doing working
  [ -z "$(find "$new" ! -type d ! -type f)" ] || fail damaged "there is more in it than files"
  echo "$build" >"$new/lib/nexcage/BUILD" || fail unpack "$new"
  chown -R root:root "$new" && chmod -R u=rwX,go=rX "$new" || fail unwritable "$new"
  sync -f "$new" </dev/null
  rm -rf "${versions:?}/$build"
  mv -T "$new" "$versions/$build" || fail unwritable "$versions/$build"
  answer ok ""
}

unpack() { # ARCHIVE BYTES
  said=$({ head -c "$2" >"$new/$1"; } 2>&1 9>&-) || fail unpack "$said"
  (cd "$new" && grep "  $1\$" SHA256SUMS | sha256sum --check --strict --status) 2>/dev/null ||
    fail damaged "$1 is not as SHA256SUMS says"
  said=$(dpkg-deb --extract "$new/$1" "$new" 2>&1 </dev/null 9>&-) || fail unpack "$said"
  rm "$new/$1"
}

version() { # BUILD
  if said=$(timeout 120 "$versions/$1/nexcage-agent" version </dev/null 2>&1 9>&-); then
    answer ok "$said"
  else
    answer failed "$said"
  fi
}

# Its JSON tells what is wrong; what it logs beside that is not for a program.
doctor() { # BUILD
  answer ok "$(timeout 120 "$versions/$1/nexcage-agent" doctor -o json </dev/null 2>/dev/null 9>&-)"
}

switch() { # BUILD
  build=$1 old=$(named current)
  [ -d "$versions/$build" ] || fail gone "$versions/$build"
  case $(link_state) in ours | none) ;; *) fail taken "$link" ;; esac
  if [ -n "$old" ] && [ "$old" != "$build" ]; then
    point "$root/previous" "versions/$old" || fail unwritable "$root/previous"
  fi
  point "$root/current" "versions/$build" || fail unwritable "$root/current"
  if [ "$(link_state)" = none ]; then
    grep -qsxF "$link" "$links" || echo "$link" >>"$links" || fail unwritable "$links"
    mkdir -p "$(dirname "$link")"
    point "$link" "$root/current/nexcage-agent" || fail unwritable "$link"
  fi
  sync -f "$root" </dev/null
  prune
  answer ok ""
}

# Removes what is neither current nor previous, but for what still runs.
prune() {
  real=$(readlink -f "$versions")
  for folder in "$real"/*; do
    case ${folder##*/} in
      "$(named current)" | "$(named previous)") ;;
      *) grep -qsaF "$folder/" /proc/[0-9]*/cmdline </dev/null || rm -rf "$folder" ;;
    esac
  done
}

sudoers() { # USER
  command -v visudo >/dev/null || fail no-sudo "there is no sudo"
  # sudo passes over files with a dot in their names.
  rule=/etc/sudoers.d/nexcage-$(printf %s "$1" | sed 's/_/__/g; s/\./_d/g')
  printf '%s\n%s ALL=(root) NOPASSWD: %s\n' "$rule_mark" "$1" "$link" >"$rule~" || fail unwritable "$rule"
  said=$(visudo -cqf "$rule~" </dev/null 2>&1) || { rm -f "$rule~"; fail no-sudo "$said"; }
  chmod 440 "$rule~"
  mv "$rule~" "$rule" || fail unwritable "$rule"
  answer ok "$rule"
}

# The links of earlier paths too.
remove() {
  { cat "$links" 2>/dev/null; echo "$link"; } | while read -r one; do
    if [ "$(readlink "$one")" = "$root/current/nexcage-agent" ]; then rm -f "$one"; fi
  done
  for rule in /etc/sudoers.d/nexcage-*; do
    if grep -qsF "$rule_mark" "$rule"; then rm -f "$rule"; fi
  done
  rm -rf "$root" || fail unwritable "$root"
  answer ok ""
}

echo 'install.sh: ready'
[ "$(id -u)" = 0 ] || fail not-root "$(id -un)"
# Root's alone: who can open it can lock it.
(umask 077 && : >>"$lock") && chmod 600 "$lock" && exec 9>>"$lock" || fail unwritable "$lock"
take_lock
trap 'rm -rf "$new"; : >"$lock"' EXIT
while doing waiting && read -r request a b c d e f g; do
  doing working
  case $request in
    look) answer ok "$(look)" ;;
    verify) if whole "$versions/$a"; then answer ok ""; else answer damaged "$versions/$a"; fi ;;
    receive) receive "$a" "$b" "$c" "$d" "$e" "$f" "$g" ;;
    version) version "$a" ;;
    doctor) doctor "$a" ;;
    switch) switch "$a" ;;
    sudoers) sudoers "$a" ;;
    remove) remove ;;
  esac
done
