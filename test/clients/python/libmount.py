"""What crun's tests of mounts ask of the Python bindings of libmount, which Debian has no package of."""


class Mount:
    def __init__(self, line):
        mount, source = line.split(" - ", 1)
        self.target = mount.split(" ")[4]
        self.vfs_options = mount.split(" ")[5]
        self.fs_options = source.split(" ")[2]


class Table:
    def __init__(self, path):
        with open(path, encoding="utf-8") as lines:
            self.mounts = [Mount(line.rstrip("\n")) for line in lines if " - " in line]

    def find_target(self, path):
        # The one on top, as libmount searches by default backwards.
        return next((mount for mount in reversed(self.mounts) if mount.target == path), None)
