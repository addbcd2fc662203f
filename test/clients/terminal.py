"""terminal.py JSON PROGRAM ARG...: runs a program on a terminal, and does what JSON says once a text has come."""
import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios

ROWS, COLUMNS = 40, 100


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def outputs(terminal, pid):
    """What comes, until the program has ended: others may have the terminal open for longer."""
    process = os.pidfd_open(pid)
    while True:
        ready = select.select([terminal, process], [], [])[0]
        if terminal not in ready:
            return
        try:
            yield os.read(terminal, 65536)
        except OSError:  # EIO: nobody has it open any more
            return


def main():
    todo = json.loads(sys.argv[1])
    go, gone = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.read(go, 1)  # until the terminal has its size
        os.close(gone)
        os.execvp(sys.argv[2], sys.argv[2:])
    resize(terminal, ROWS, COLUMNS)
    os.write(gone, b"\n")
    unread = b""
    for output in outputs(terminal, pid):
        os.write(1, output)
        unread += output
        while todo and todo[0]["after"].encode() in unread:
            step = todo.pop(0)
            unread = unread.split(step["after"].encode(), 1)[1]
            if "resize" in step:
                resize(terminal, *step["resize"])
            else:
                os.write(terminal, step["type"].encode())
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)


main()
