"""Waits in the kernel: where the processes of a command sleep and take no signal. Most are for a grace period of RCU,
which takes milliseconds on an idle machine and hardly any time if another one has just passed. So they are counted
with pauses before the commands and back to back.

The kernel's tracer writes down each change of processes, with the stack of the process that goes to sleep."""

import fcntl
import os
import re
import statistics
import termios
import time

import calls
import programs
from lab import Lab, controllers
from scenarios import CREATE, DELETE, DELETE_FORCE, EXEC, EXEC_TTY, KILL, LIST, RUN, START, STATE, Scenario, Step

PAUSES = (20, 0)
SHORT = Scenario("run", "", (RUN,))
# A layout without the controller of this limit has no update.
UPDATE = Step("update", "update --pids-limit 100 {id}")
LIFE = (CREATE, START, STATE, LIST, EXEC, EXEC_TTY, Step("pause", "pause {id}"), Step("resume", "resume {id}"), UPDATE,
        KILL, DELETE, CREATE, START, DELETE_FORCE)
# Waits that fewer rounds than this share have are not shown: they come from other processes.
OFTEN = 0.5

LINE = re.compile(r"\s*.+?-(\d+)\s+\[\d+\]\s+\S+\s+([\d.]+): (?:(\w+): )?(.*)")
SWITCH = re.compile(r"prev_comm=(.*) prev_pid=(\d+) .* prev_state=(\S+) ==> .* next_pid=(\d+)")
FORK = re.compile(r" child_pid=(\d+)")
# A wait for a grace period: the other sleeps are for locks and for other processes.
GRACE = re.compile(r"_rcu|rcu_")
# Functions that are in many stacks and say nothing.
DULL = re.compile(r"trace_event_raw|__traceiter|_*schedule(_timeout)?$|_*wait_for_(common|completion)$|rwsem_down|vfs_write$"
                  r"|kernfs_fop|do_syscall|x64_sys_call|entry_|do_group_exit$|ret_from_fork|vfs_cmd_create$|vfs_get_tree$")
CALL = re.compile(r"(?:__x64_sys|__arm64_sys|__do_sys|ksys)_(\w+)$")


class Unable(Exception):
    """A runtime cannot do a step."""


class Tracing:
    """An instance of the tracer, which leaves the settings of its other users alone."""

    def __init__(self, place, name):
        self.dir = f"{place}/instances/{name}"

    def __enter__(self):
        os.mkdir(self.dir)
        self.write("buffer_size_kb", "8192")
        self.write("options/event-fork", "1")
        self.write("events/sched/sched_switch/trigger", "stacktrace if prev_state & 2")
        for event in ("sched_switch", "sched_process_fork"):
            self.write(f"events/sched/{event}/enable", "1")
        return self

    def __exit__(self, *_):
        self.write("events/enable", "0")
        self.write("events/sched/sched_switch/trigger", "!stacktrace")
        os.rmdir(self.dir)

    def write(self, file, text, flags=os.O_TRUNC):
        descriptor = os.open(f"{self.dir}/{file}", os.O_WRONLY | flags)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def take(self):
        """The lines since the last time."""
        with open(f"{self.dir}/trace") as file:
            lines = file.read().splitlines()
        self.write("trace", "")
        return lines


def show(view, runtimes, options):
    """Counts and prints the waits in a cgroup layout. The value is an exit status."""
    pauses = PAUSES if options["pause"] is None else (options["pause"],)
    with Lab(view) as lab, calls.tracefs(lab.dir) as place:
        if not place or not os.path.exists(f"{place}/events/sched/sched_switch/trigger"):
            print("hack/bench: this kernel has no tracer", flush=True)
            return 1
        quiet = " and ".join(f"{pause} ms" for pause in pauses)
        print(f"{view}, {options['rounds']} rounds: waits of each command and their milliseconds with {quiet} of quiet before it")
        steps = tuple(step for step in LIFE if step != UPDATE or "pids" in controllers())
        for runtime in runtimes:
            scenarios = SHORT, Scenario("life", "", steps, program="pause")
            try:
                for scenario in scenarios[:1] if runtime.name == programs.FLOOR else scenarios:
                    with Tracing(place, lab.name) as tracing:
                        found = [count(lab, tracing, runtime, scenario, pause, options["rounds"]) for pause in pauses]
                    show_scenario(runtime, scenario, found, options["rounds"])
            except Unable as reason:
                print(f"without {runtime.name}: {reason}", flush=True)
            finally:
                lab.end_containers()
    return 0


def count(lab, tracing, runtime, scenario, pause, rounds):
    """The milliseconds of each wait, by the number of the step and the place in the code."""
    found = {}
    tracing.take()
    for _ in range(rounds):
        for number, step in enumerate(scenario.steps):
            run(tracing, step, number, words_of(lab, runtime, scenario, step), pause)
        for key, milliseconds in waits(tracing.take()):
            found.setdefault(key, []).append(milliseconds)
    return found


def words_of(lab, runtime, scenario, step):
    if runtime.name == programs.FLOOR:
        return [runtime.path, *lab.floor_words(0)]
    bundle = lab.bundle(scenario, runtime.name, "0", 0)
    return [runtime.path, "--root", lab.state_of(runtime.name), *step.words.format(bundle=bundle, id="waits").split()]


def run(tracing, step, number, words, pause):
    """Runs a command, which the tracer follows from its first instruction on, with all its descendants."""
    go, gone = os.pipe()
    master, terminal = os.openpty() if step.terminal else (-1, os.open(os.devnull, os.O_RDWR))
    pid = os.fork()
    if not pid:
        become(words, go, gone, terminal, step.terminal)
    tracing.write("set_event_pid", f"{pid}\n", os.O_APPEND)
    time.sleep(pause / 1000)
    tracing.write("trace_marker", f"step {number} {pid}")
    for descriptor in (gone, go, terminal):
        os.close(descriptor)
    _, status = os.waitpid(pid, 0)
    if master >= 0:
        os.close(master)
    if status:
        raise Unable(f"{step.name} fails")
    while step.reaps:
        # The container's process has become a child of this one.
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break


def become(words, go, gone, standard, is_terminal):
    """In the child: waits until the other end of the pipe closes, then becomes the command."""
    try:
        os.close(gone)
        os.setsid()
        if is_terminal:
            fcntl.ioctl(standard, termios.TIOCSCTTY, 0)
        for descriptor in range(2 if not is_terminal else 3):
            os.dup2(standard, descriptor)
        os.read(go, 1)
        os.closerange(3, 64)
        os.execv(words[0], words)
    finally:
        os._exit(127)


def waits(lines):
    """The waits in lines of the tracer: the number of the step with the place, and milliseconds."""
    step, known, asleep, stack = -1, set(), {}, None
    for line in lines:
        if line.startswith(" => "):
            if stack is not None:
                stack.append(line[4:].split("+")[0].split(" ")[0])
            continue
        event = LINE.match(line)
        if not event:
            continue
        pid, seconds, name, rest = event.groups()
        stack = None
        if name == "tracing_mark_write":
            _, step, first = rest.split()
            known.add(first)
        elif name == "sched_process_fork":
            known.add(FORK.search(rest).group(1))
        elif name == "sched_switch":
            comm, out, state, into = SWITCH.search(rest).groups()
            if state[0] == "D" and out in known:
                asleep[out] = (float(seconds), comm, int(step), [])
            if into in asleep:
                since, comm, began, functions = asleep.pop(into)
                yield (began, place(comm, functions)), (float(seconds) - since) * 1e3
        elif rest == "<stack trace>" and pid in asleep:
            stack = asleep[pid][3]


def place(comm, functions):
    """The process, its system call, and the functions that tell the reason."""
    call = next((found.group(1) for found in map(CALL.search, functions) if found), "-")
    telling = [function for function in functions if not DULL.match(function) and not CALL.search(function)]
    return comm, call, " < ".join(telling[:3])


def show_scenario(runtime, scenario, found, rounds):
    for number, step in enumerate(scenario.steps):
        keys = {key for waits_of in found for key in waits_of if key[0] == number}
        rows = [(key, [waits_of.get(key, []) for waits_of in found]) for key in keys]
        for key, lists in sorted(rows, key=lambda row: -sum(map(sum, row[1]))):
            if max(map(len, lists)) >= OFTEN * rounds and GRACE.search(key[1][2]):
                cells = "".join(f"{len(one) / rounds:>5.1f} × {statistics.median(one or [0]):<7.3f}" for one in lists)
                comm, call, where = key[1]
                print(f"{runtime.name:<6} {step.name:<15}{cells} {comm}: {call}: {where}", flush=True)
