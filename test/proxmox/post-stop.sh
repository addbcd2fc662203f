#!/bin/sh
# LXC's post-stop hook: takes the volumes off, lets what was pending come true, and makes a reboot from inside
# one of the whole unit: LXC ends, because this fails, and the unit starts it again.
mount=/var/lib/lxc/$LXC_NAME/rootfs
umount --recursive "$mount" 2>/dev/null
for device in /sys/class/net/fwbr"$LXC_NAME"i* /sys/class/net/fwpr"$LXC_NAME"p*; do
  [ -e "$device" ] && ip link delete "${device##*/}"
done
if grep -qi '^\[pve:pending\]' "/etc/pve/lxc/$LXC_NAME.conf" 2>/dev/null; then pct-hook pending "$LXC_NAME"; fi
if [ "$LXC_TARGET" = reboot ]; then
  touch "/var/lib/lxc/$LXC_NAME/reboot"
  exit 1
fi
exit 0
