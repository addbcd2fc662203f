"""mount-inside.py PID image|bind SOURCE TARGET ro|rw: a mount of the host, moved into a container's mount namespace."""
import ctypes
import os
import subprocess
import sys
import tempfile

OPEN_TREE, MOVE_MOUNT = 428, 429  # the same numbers on every architecture
AT_FDCWD, AT_RECURSIVE, OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH = -100, 0x8000, 1, 4
CLONE_NEWNS = 0x20000

libc = ctypes.CDLL(None, use_errno=True)


def must(result, what):
    if result < 0:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


pid, kind, source, target, mode = sys.argv[1:]
place = tempfile.mkdtemp(dir="/run")
if not os.path.isdir(source) and kind == "bind":
    place = os.path.join(place, "device")
    open(place, "w").close()
options = ["loop", mode] if kind == "image" else ["bind", mode]
subprocess.run(["mount", "-o", ",".join(options), source, place], check=True)
tree = must(libc.syscall(OPEN_TREE, AT_FDCWD, place.encode(), OPEN_TREE_CLONE | AT_RECURSIVE), "open_tree")
subprocess.run(["umount", "--lazy", place], check=True)
namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
root = os.open(f"/proc/{pid}/root", os.O_RDONLY)
must(libc.setns(namespace, CLONE_NEWNS), "setns")
os.fchdir(root)
os.chroot(".")
# What its own user namespace has mounted, such as /dev, takes files of its own users only.
owner = os.stat("/").st_uid
libc.setfsgid(owner)
libc.setfsuid(owner)
if os.path.exists(target):
    pass
elif kind == "bind" and os.path.basename(place) == "device":
    os.makedirs(os.path.dirname(target), exist_ok=True)
    open(target, "w").close()
else:
    os.makedirs(target)
libc.setfsuid(0)
libc.setfsgid(0)
must(libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH), "move_mount")
