"""lose-quorum.py PATH: mounts a folder over itself so that even root cannot write there, and gets EACCES.

The mount maps root but not www-data, the group of all that is in /etc/pve: to the kernel a file or folder with
an unmapped owner is not to be written (EACCES, before any privilege is asked for), and is read as its modes say.
What is removed or renamed over gets EOVERFLOW, where pmxcfs says EACCES there too.
"""
import ctypes
import os
import signal
import struct
import sys

OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442  # the same numbers on every architecture
AT_FDCWD, AT_EMPTY_PATH, OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH = -100, 0x1000, 1, 4
MOUNT_ATTR_IDMAP, CLONE_NEWUSER = 0x100000, 0x10000000

libc = ctypes.CDLL(None, use_errno=True)


def must(result, what):
    if result < 0:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


path = sys.argv[1].encode()
ready, done = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    must(libc.unshare(CLONE_NEWUSER), "unshare")
    os.write(ready[1], b"x")
    os.read(done[0], 1)
    os._exit(0)
os.read(ready[0], 1)
for kind, line in (("uid", "0 0 65536"), ("gid", "0 0 1")):
    with open(f"/proc/{child}/{kind}_map", "w") as file:
        file.write(line)
namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
tree = must(libc.syscall(OPEN_TREE, AT_FDCWD, path, OPEN_TREE_CLONE), "open_tree")
attributes = struct.pack("QQQQ", MOUNT_ATTR_IDMAP, 0, 0, namespace)
must(libc.syscall(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, attributes, len(attributes)), "mount_setattr")
must(libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH), "move_mount")
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
