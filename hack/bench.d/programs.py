"""The programs: those that this benchmark builds, and the runtimes that it compares."""

import os
import shutil
import subprocess
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
WORK = f"{REPO}/target/bench"
# hack/vm puts the files here that it was given.
VM_FILES = "/job/files"
NAMES = ("timer", "count", "floor", "true", "pause")
FLOOR = "floor"


@dataclass(frozen=True)
class Runtime:
    """A program to measure. `version` is the first line of its version text."""

    name: str
    path: str
    version: str


def built(name):
    """The path of a program of this benchmark."""
    in_vm = f"{VM_FILES}/{name}"
    return in_vm if os.path.exists(in_vm) else f"{WORK}/bin/{name}"


def build():
    """Builds the programs of this benchmark, all static: a container and a virtual machine have no libc for them."""
    if os.path.exists(f"{VM_FILES}/timer"):
        for name in NAMES:
            os.chmod(f"{VM_FILES}/{name}", 0o755)
        return
    if not shutil.which("gcc") or not os.path.exists("/usr/include/linux/perf_event.h"):
        apt = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", "gcc", "libc6-dev"]
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        subprocess.run(apt, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    os.makedirs(f"{WORK}/bin", exist_ok=True)
    bare = ["-nostdlib"] if os.uname().machine == "x86_64" else []
    compile_c("timer", "timer.c")
    compile_c("count", "count.c")
    compile_c("floor", "floor.c")
    compile_c("true", "payload.c", "-DPAUSE=0", *bare)
    compile_c("pause", "payload.c", "-DPAUSE=1", *bare)


def compile_c(name, source, *options):
    subprocess.run(["gcc", "-O2", "-static", *options, "-o", f"{WORK}/bin/{name}", f"{HERE}/{source}"], check=True)


def version(path):
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.splitlines()[0].strip() if said.returncode == 0 and said.stdout else ""


def installed(name, path, said):
    """A copy of a runtime's program, for the kernel keeps a file that a linker has just written in smaller pieces than a
    copied one: the same tare then has 20 page faults and a tenth of its CPU time more. A program that does not run as a
    copy is used where it is."""
    copy = f"{WORK}/runtimes/{name}/{os.path.basename(path)}"
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    shutil.copyfile(path, copy + ".new")
    os.chmod(copy + ".new", 0o755)
    os.rename(copy + ".new", copy)
    return copy if version(copy) == said else path


def runtimes(peers, fetch):
    """The runtimes that can be measured, and a reason for each that cannot. `peers` are further ones: NAME=FILE."""
    tare = os.environ.get("TARE") or f"{REPO}/target/release/tare"
    found, left_out = [Runtime(FLOOR, built("floor"), "its system calls alone")], {}
    if os.path.isdir(VM_FILES):
        places = [("tare", "/usr/local/bin/tare"), ("crun", "/usr/bin/crun"), ("runc", "/usr/sbin/runc")]
    else:
        if fetch and not all(os.path.exists(f"{REPO}/target/peers/bin/{name}") for name in ("crun", "runc")):
            subprocess.run([f"{REPO}/hack/peers"], stdout=subprocess.DEVNULL, check=False)
        places = [("tare", tare), *((name, f"{REPO}/target/peers/bin/{name}") for name in ("crun", "runc"))]
    # A peer with the name of another one takes its place.
    places = dict(places) | dict(peer.split("=", 1) for peer in peers)
    for name, path in places.items():
        path = os.path.realpath(path)
        said = version(path)
        if said:
            found.append(Runtime(name, installed(name, path, said), said))
        else:
            left_out[name] = f"{path} does not run" if os.path.exists(path) else f"there is no {path}"
    return found, left_out
