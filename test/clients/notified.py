"""notified.py PROGRAM ARG...: runs a program as systemd would, and prints what it is told over NOTIFY_SOCKET."""
import os
import socket
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        code = subprocess.call(sys.argv[1:], env={**os.environ, "NOTIFY_SOCKET": path})
        listener.settimeout(5)
        told = ""
        try:
            while "READY=1" not in told:
                told += listener.recv(4096).decode() + "\n"
        except TimeoutError:
            told += "nothing more within 5 s\n"
print("\n".join(sorted(line for line in told.split("\n") if line != "")))
sys.exit(code)
