"""The surroundings of the measurements: memory for bundles and states, cgroups, mounts; and their removal.

A lab belongs to one process, whose number is in its name. So a later run finds what a killed one has left.
"""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import time

import programs
from configs import Configs
from scenarios import SYSTEMD

LIBC = ctypes.CDLL(None, use_errno=True)
MS_BIND = 0x1000
MNT_DETACH = 2
PR_SET_CHILD_SUBREAPER = 36
# Directories for bind mounts.
BIND_DIRS = 1000
PREFIX = "tare-bench-"
RUN = "/run"


class Lab:
    """Use it with `with`, in a private mount namespace."""

    def __init__(self, view):
        self.view = view
        self.name = f"{PREFIX}{os.getpid()}"
        self.dir = f"{RUN}/{self.name}"
        self.rootfs = f"{self.dir}/rootfs"
        self.error_log = f"{self.dir}/errors"
        self.configs = Configs(programs.REPO, view, controllers(), self.dir)
        self.extra_mounts = 0

    def __enter__(self):
        sweep()
        # The processes of containers become children of this process, which collects them.
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        os.mkdir(self.dir, 0o755)
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", self.name, self.dir], check=True)
            self.fill()
            for parent in [] if self.view == SYSTEMD else cgroup_mounts():
                make_cgroup(f"{parent}/{self.name}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def fill(self):
        """Makes the root of the containers, and the sources of their bind mounts."""
        os.makedirs(f"{self.rootfs}/bin")
        for program in ("true", "pause"):
            shutil.copy(programs.built(program), f"{self.rootfs}/bin/{program}")
        for path in ("dev", "proc", "sys", "etc", "srv/data"):
            os.makedirs(f"{self.rootfs}/{path}")
        for number in range(BIND_DIRS):
            os.makedirs(f"{self.rootfs}/m/{number}")
            os.makedirs(f"{self.dir}/dirs/{number}")
        os.makedirs(f"{self.dir}/files/data")
        for name in ("resolv.conf", "hostname", "hosts"):
            for place in (f"{self.rootfs}/etc", f"{self.dir}/files"):
                with open(f"{place}/{name}", "w") as file:
                    file.write("127.0.0.1 localhost\n")

    def __exit__(self, *_):
        # A second signal must not stop the removal.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.end_containers()
        remove_cgroups(self.name)
        LIBC.umount2(self.dir.encode(), MNT_DETACH)
        os.rmdir(self.dir)

    def end_containers(self):
        """Kills all containers of the lab and forgets them."""
        for directory in cgroups_of(self.name):
            kill_cgroup(directory)
        collect_children()
        for directory in cgroups_of(self.name):
            for path, _, _ in os.walk(directory, topdown=False):
                if path != directory or self.view == SYSTEMD:
                    remove_cgroup(path)
        shutil.rmtree(f"{self.dir}/state", ignore_errors=True)

    def state_of(self, runtime):
        """The state directory of a runtime: `--root`."""
        path = f"{self.dir}/state/{runtime}"
        os.makedirs(path, exist_ok=True)
        return path

    def bundle(self, scenario, runtime, container, level):
        """Makes the bundle of a container; its cgroup has the names of the runtime and of the container."""
        path = f"{self.dir}/bundles/{scenario.name}/{runtime}/{container}"
        os.makedirs(path, exist_ok=True)
        leaf = f"{runtime}-{container}"
        cgroup = f"system.slice:{self.name}:{leaf}" if self.view == SYSTEMD else f"/{self.name}/{leaf}"
        config = self.configs.make(scenario.config, scenario.program, self.rootfs, cgroup, level)
        with open(f"{path}/config.json", "w") as file:
            json.dump(config, file)
        return path

    def floor_words(self, binds):
        """The arguments of the floor that give it the same cgroups and bind mounts as the runtimes."""
        words = []
        for parent in cgroup_mounts():
            unified = os.path.exists(f"{parent}/cgroup.controllers")
            words += ["-c" if unified else "-v", f"{parent}/{self.name}"]
        if binds:
            words += ["-b", str(binds), f"{self.dir}/dirs"]
        return [*words, self.rootfs, "/bin/true"]

    def mount_more(self, wanted):
        """Makes bind mounts on the host until `wanted` more mounts exist than at first."""
        if not self.extra_mounts and wanted:
            crowd = f"{self.dir}/mounts"
            os.makedirs(crowd, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", self.name, crowd], check=True)
            self.extra_mounts = 1
        for number in range(self.extra_mounts, wanted):
            target = f"{self.dir}/mounts/{number}"
            os.mkdir(target)
            if LIBC.mount(f"{self.dir}/dirs/0".encode(), target.encode(), None, MS_BIND, None):
                raise OSError(ctypes.get_errno(), f"mount on {target}")
        self.extra_mounts = max(wanted, self.extra_mounts)

    def unmount_more(self):
        if self.extra_mounts:
            LIBC.umount2(f"{self.dir}/mounts".encode(), MNT_DETACH)
            self.extra_mounts = 0


def cgroup_mounts():
    """The mount points of the cgroup hierarchies below /sys/fs/cgroup."""
    found = []
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields = line.split()
            if fields[fields.index("-") + 1] in ("cgroup", "cgroup2") and fields[4].startswith("/sys/fs/cgroup"):
                found.append(fields[4])
    return found


def controllers():
    """The controllers of all hierarchies that are mounted."""
    names = set()
    for mount in cgroup_mounts():
        try:
            with open(f"{mount}/cgroup.controllers") as file:
                names.update(file.read().split())
        except FileNotFoundError:
            names.update(os.path.basename(mount).split(","))
    return names


def make_cgroup(path):
    os.mkdir(path)
    for file in ("cpuset.cpus", "cpuset.mems"):
        if os.path.exists(f"{path}/{file}") and not os.path.exists(f"{path}/cgroup.controllers"):
            with open(f"{os.path.dirname(path)}/{file}") as source, open(f"{path}/{file}", "w") as target:
                target.write(source.read())


def cgroups_of(name):
    """The cgroups with the name of a lab, and scopes whose names begin with it."""
    for mount in cgroup_mounts():
        for parent in (mount, f"{mount}/system.slice"):
            if os.path.isdir(parent):
                for entry in os.listdir(parent):
                    if entry == name or entry.startswith(f"{name}-"):
                        yield f"{parent}/{entry}"


def processes_of(directory):
    for path, _, files in os.walk(directory):
        if "cgroup.procs" in files:
            with open(f"{path}/cgroup.procs") as file:
                yield from (int(pid) for pid in file.read().split())


def kill_cgroup(directory):
    """Kills all processes in a cgroup and below it, and waits until none is left."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        pids = list(processes_of(directory))
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        collect_children()
        time.sleep(0.01)
    print(f"hack/bench: {directory} still has processes", flush=True)


def collect_children():
    """Collects ended children of this process. No other command may run."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def remove_cgroup(path):
    """The kernel refuses for a moment after the last process has ended."""
    for _ in range(100):
        try:
            os.rmdir(path)
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)
    print(f"hack/bench: {path} cannot be removed", flush=True)


def remove_cgroups(name):
    for directory in list(cgroups_of(name)):
        kill_cgroup(directory)
        for path, _, _ in os.walk(directory, topdown=False):
            remove_cgroup(path)


def sweep():
    """Removes what labs of killed processes have left."""
    stale = set(os.listdir(RUN))
    for mount in cgroup_mounts():
        for parent in (mount, f"{mount}/system.slice"):
            stale.update(os.listdir(parent) if os.path.isdir(parent) else [])
    numbers = {found.group(1) for found in (re.match(rf"{PREFIX}(\d+)", name) for name in stale) if found}
    for number in numbers:
        if os.path.exists(f"/proc/{number}"):
            continue
        remove_cgroups(PREFIX + number)
        if os.path.isdir(f"{RUN}/{PREFIX}{number}"):
            os.rmdir(f"{RUN}/{PREFIX}{number}")
