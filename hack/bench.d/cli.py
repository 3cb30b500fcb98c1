"""The command line: which scenarios, in which cgroup layouts, and the processes that measure them."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import measure
import pictures
import programs
import results
import scenarios
import waits
from lab import LIBC
from scenarios import SCENARIOS, SYSTEMD, VIEWS

PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Lines of the virtual machine's output between which the results are.
BEGIN, END = "-- results", "-- end of results"


def parse(about):
    parser = argparse.ArgumentParser(prog="hack/bench", description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    option = parser.add_argument
    option("what", nargs="*", metavar="all|list|draw|waits|NAME")
    option("--rounds", type=int, help="measured rounds (default 60 for all, else 20); slow scenarios take half")
    option("--pause", type=int, help="milliseconds of quiet before each command (default: the scenario's own)")
    option("--most", type=int, default=10**9, help="no level of a growth scenario beyond this")
    option("--view", action="append", choices=VIEWS, help="cgroup layout, may be repeated (default: the scenario's own)")
    option("--peer", action="append", default=[], metavar="NAME=FILE", help="one more runtime, another crun, or an older tare")
    option("--into", default=programs.WORK, help="directory of results, table and pictures (default target/bench)")
    option("--no-fetch", action="store_true", help="do not let hack/peers fetch crun and runc")
    option("--vm", action="store_true", help="measure in the virtual machine of hack/vm, with systemd")
    option("--inside", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.rounds is not None and asked.rounds < 1:
        parser.error("--rounds needs a positive number")
    if not all(re.match(r"[\w.-]+=.", peer) for peer in asked.peer):
        parser.error("--peer needs NAME=FILE")
    if asked.vm and asked.what == ["waits"]:
        parser.error("the kernel of the virtual machine has no tracer for waits")
    return asked


def main(about):
    asked = parse(about)
    for number in SIGNALS:
        signal.signal(number, end)
    try:
        return dispatch(asked)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def end(number, _):
    """Makes an exception of the first signal, so that the labs clean up. The terminal and the parent may both send one."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def dispatch(asked):
    if asked.inside:
        return inside(asked.inside)
    if asked.what[:1] == ["list"]:
        for scenario in SCENARIOS:
            levels = f" ({', '.join(map(str, scenario.levels))})" if scenario.axis else ""
            print(f"{scenario.name:<14}{scenario.title}{levels}; {', '.join(scenario.views)}")
        return 0
    if asked.what[:1] == ["draw"]:
        return draw(asked.into, asked.what[1] if len(asked.what) > 1 else asked.into)
    everything = asked.what == ["all"]
    only_waits = asked.what == ["waits"]
    chosen = [] if only_waits else choose(asked.what, everything)
    options = {"rounds": asked.rounds or (60 if everything else 20), "pause": asked.pause, "most": asked.most,
               "peers": asked.peer, "fetch": not asked.no_fetch, "into": os.path.abspath(asked.into)}
    if only_waits:
        return on_this_machine(asked, [], options, True)
    if asked.vm:
        status = in_vm(chosen, options)
    else:
        status = on_this_machine(asked, chosen, options, everything or bool(asked.what))
    return draw(asked.into, asked.into) or status


def choose(names, everything):
    if everything:
        return list(SCENARIOS)
    return [scenarios.by_name(name) for name in names] or [scenario for scenario in SCENARIOS if scenario.quick]


def on_this_machine(asked, chosen, options, all_views):
    """Measures in each layout, each time in a process and a mount namespace of its own."""
    if os.getuid():
        print("hack/bench: it needs root", file=sys.stderr)
        return 1
    programs.build()
    runtimes, left_out = programs.runtimes(options["peers"], options["fetch"])
    for name, reason in left_out.items():
        print(f"without {name}: {reason}", flush=True)
    load = os.getloadavg()[0]
    if load > os.cpu_count() / 4:
        print(f"this machine is busy: load average {load:.1f}", flush=True)
    if len(runtimes) < 2:
        print("hack/bench: no runtime to measure", file=sys.stderr)
        return 1
    status = 0
    for view in asked.view or (VIEWS if all_views else VIEWS[:1]):
        names = [scenario.name for scenario in chosen if view in scenario.views or asked.view]
        if not names and chosen:
            continue
        if not view_exists(view):
            print(f"without {view}: this machine has no v1 hierarchies", flush=True)
        else:
            job = {"view": view, "names": names, "runtimes": [vars(runtime) for runtime in runtimes], "options": options}
            status = in_view(view, job) or status
    return status


def view_exists(view):
    with open("/proc/self/cgroup") as file:
        hierarchies = [line for line in file if not line.startswith("0:")]
    return view == "unified" or bool(hierarchies)


def in_view(view, job):
    words = [f"{programs.REPO}/hack/view", view, f"{programs.REPO}/hack/bench", "--inside", json.dumps(job)]
    with child(words) as process:
        return process.wait()


@contextmanager
def child(words, **options):
    """A process that is told to end when this one is told to."""
    process = subprocess.Popen(words, **options)
    try:
        yield process
    except BaseException:
        process.send_signal(signal.SIGTERM)
        raise
    finally:
        process.wait()


def inside(text):
    """The process in the layout: measures and writes the results. It ends with its parent."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    job = json.loads(text)
    if not job["names"]:
        return waits.show(job["view"], [programs.Runtime(**runtime) for runtime in job["runtimes"]], job["options"])
    chosen = [scenarios.by_name(name) for name in job["names"]]
    runtimes = [programs.Runtime(**runtime) for runtime in job.get("runtimes", [])]
    if job["view"] == SYSTEMD:
        programs.build()
        runtimes, _ = programs.runtimes(job["options"]["peers"], False)
    status = measure.measure_view(job["view"], chosen, runtimes, job["options"])
    if job["view"] == SYSTEMD:
        print(BEGIN)
        for result in results.read_all(job["options"]["into"]).values():
            print(json.dumps(result))
        print(END, flush=True)
    return status


def in_vm(chosen, options):
    """Measures in the machine of hack/vm, which has systemd and Python, and takes the results from its output."""
    programs.build()
    there = options | {"peers": [], "into": "/tmp/bench"}
    job = {"view": SYSTEMD, "names": [scenario.name for scenario in chosen], "options": there}
    files = [programs.built(name) for name in programs.NAMES]
    profile = f"{programs.REPO}/target/peers/containerd-config.json"
    files += [profile] if os.path.exists(profile) else []
    words = [f"{programs.REPO}/hack/vm", "run", "--root", "engines", "--timeout", "3600"]
    words += [word for file in files for word in ("--file", file)]
    words += [f"{programs.HERE}/vm", "--inside", json.dumps(job)]
    taking = False
    with child(words, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.strip() in (BEGIN, END):
                taking = line.strip() == BEGIN
            elif taking:
                results.write(json.loads(line), options["into"])
            else:
                print(line, end="", flush=True)
    return process.returncode


def draw(source, directory):
    """Makes the table beside the results, and the pictures in another directory or in the same."""
    found = results.read_all(source)
    if not found:
        print("hack/bench: there are no results yet", file=sys.stderr)
        return 1
    print(results.write_table(found, source))
    for path in pictures.draw(found, directory):
        print(path)
    return 0
