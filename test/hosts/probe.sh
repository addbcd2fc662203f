#!/bin/sh
# probe.sh: does in new namespaces, which end with it, what boot.sh could not do everywhere.
set -eu
mount -t proc proc /proc
echo probe >/proc/sys/kernel/hostname
umount -l /sys
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /sys/fs/cgroup
ip link add eth0 type veth peer name eth1
ip link add bridge0 type bridge
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work overlay /etc
