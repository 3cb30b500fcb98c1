"""Counts system calls: by a tracepoint if the kernel has it, else with ptrace."""

import ctypes
import os
from contextlib import contextmanager
from dataclasses import dataclass

import programs

LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2


@dataclass(frozen=True)
class Counter:
    """A way to count: the number of the tracepoint, or the file in which the program `count` writes."""

    how: str
    tracepoint: int = 0
    log: str = ""

    def job(self):
        """Lines for a job of the timer. Forgets the numbers of a failed job."""
        if self.log:
            open(self.log, "w").close()
        return {"tracepoint": self.tracepoint} if self.tracepoint else {}

    def prefix(self, runtime, step):
        """Words in front of a command."""
        return [] if self.tracepoint else [programs.built("count"), self.log, f"{runtime}/{step}"]

    def numbers(self, rows):
        """The numbers for each runtime and step. `rows` are those of the timer, whose last number is the calls."""
        if self.tracepoint:
            return {key: [row[-1] for row in numbers] for key, numbers in rows.items()}
        found = {}
        with open(self.log) as log:
            for line in log:
                label, number = line.split()
                runtime, step = label.rsplit("/", 1)
                found.setdefault((runtime, int(step)), []).append(int(number))
        return found


@contextmanager
def tracefs(work):
    """Mounts the tracer's files below the directory `work`. The value is the place, or nothing without a tracer."""
    place = f"{work}/tracing"
    os.makedirs(place, exist_ok=True)
    if LIBC.mount(b"tracefs", place.encode(), b"tracefs", 0, None):
        yield None
        return
    try:
        yield place
    finally:
        LIBC.umount2(place.encode(), MNT_DETACH)


def counter(work):
    """Chooses the way. `work` is a directory for a mount and for a file."""
    with tracefs(work) as place:
        event = f"{place}/events/raw_syscalls/sys_enter/id"
        if place and os.path.exists(event):
            with open(event) as file:
                return Counter("the tracepoint raw_syscalls:sys_enter", tracepoint=int(file.read()))
    return Counter("ptrace", log=f"{work}/calls")
