#!/bin/sh
# boot.sh DIR NAME ADDRESS/LENGTH GATEWAY PORT BRIDGE: what a test host does when it is switched on. Runs as the
# first process of new namespaces, in the host's cgroups; descriptor 3 is the machine's network namespace.
set -eu
dir=$1 name=$2 address=$3 gateway=$4 port=$5 bridge=$6

mount -t proc proc /proc
echo "$name" >/proc/sys/kernel/hostname
umount --lazy /sys
mount --all --fstab "$dir/fstab"

# Under cgroup v2, one that gives controllers to its children holds no processes itself.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir /sys/fs/cgroup/.host
  echo 0 >/sys/fs/cgroup/.host/cgroup.procs
  for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
  done
fi

mkdir /run/sshd
mkdir -m 1777 /run/lock

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

exec catatonit -- /usr/sbin/sshd -D -e
