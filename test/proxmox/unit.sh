#!/bin/sh
# unit.sh VMID: in place of pve-container@VMID.service.
id=$1
echo $$ >"/run/pve/ct-$id.unit"
while :; do
  lxc-start -F -n "$id" </dev/null >>"/run/pve/ct-$id.stderr" 2>&1
  umount --recursive "/var/lib/lxc/$id/rootfs" 2>/dev/null
  [ -e "/var/lib/lxc/$id/reboot" ] && [ ! -e "/run/pve/ct-$id.stop" ] || break
  rm "/var/lib/lxc/$id/reboot"
  pct-hook prestart "$id" 2>>"/run/pve/ct-$id.stderr" || break
done
rm -f "/run/pve/ct-$id.unit"
