#!/bin/sh
# boot.sh DIR NAME ADDRESS/LENGTH GATEWAY PORT BRIDGE: what a test host does when it is switched on. Runs as the
# first process of new namespaces, in the host's cgroups; descriptor 3 is the machine's network namespace.
set -eu
dir=$1 name=$2 address=$3 gateway=$4 port=$5 bridge=$6
root= # of the host's files: this machine's, but for what it mounts over them

mount -t proc proc /proc
echo "$name" >/proc/sys/kernel/hostname
if [ -e "$dir/lower" ]; then
  root=$dir/rootfs
  mount -t overlay -o "lowerdir=$(cat "$dir/lower"),upperdir=$dir/upper,workdir=$dir/work" host-root "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
else
  umount --lazy /sys
fi
mount --all --fstab "$dir/fstab" --target-prefix "$root/"

# Under cgroup v2, one that gives controllers to its children holds no processes itself.
if [ -e "$root/sys/fs/cgroup/cgroup.controllers" ]; then
  mkdir "$root/sys/fs/cgroup/.host"
  echo 0 >"$root/sys/fs/cgroup/.host/cgroup.procs"
  for controller in $(cat "$root/sys/fs/cgroup/cgroup.controllers"); do
    echo "+$controller" >"$root/sys/fs/cgroup/cgroup.subtree_control"
  done
fi

mkdir "$root/run/sshd"
mkdir -m 1777 "$root/run/lock"

# The kernel takes down the network of a host that was switched off a while after its last process.
nsenter --net=/proc/self/fd/3 ip link delete "$port" 2>/dev/null || true
ip -batch - <<EOF
link set lo up
link add eth0 type veth peer name $port netns /proc/self/fd/3
address add $address dev eth0
link set eth0 up
route add default via $gateway
EOF
nsenter --net=/proc/self/fd/3 ip link set "$port" master "$bridge" up
exec 3<&-
. "$dir/boot.local"

if [ -n "$root" ]; then
  cd "$root"
  # shellcheck disable=SC2016 # the inner shell's
  exec catatonit -- sh -c 'pivot_root . mnt && cd / && umount --lazy /mnt && exec /usr/sbin/sshd -D -e'
fi
exec catatonit -- /usr/sbin/sshd -D -e
