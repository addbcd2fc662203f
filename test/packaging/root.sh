#!/bin/sh
# Runs a program in a Debian of its own, in namespaces that are there already: root.sh BASE FOLDER SRV PROGRAM ARGUMENT…
# What it changes is kept in FOLDER; SRV is its /srv.
set -eu
base=$1 folder=$2 srv=$3 root=$2/root
shift 3
mount -t overlay -o "lowerdir=$base,upperdir=$folder/upper,workdir=$folder/work" overlay "$root"
rm -f "$root/etc/apt/sources.list" # there is no network
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$srv" "$root/srv"
exec chroot "$root" "$@"
