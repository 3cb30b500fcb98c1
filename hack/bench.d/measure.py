"""Measures the scenarios in one cgroup layout: writes jobs for the timer and makes medians of its numbers."""

import os
import re
import signal
import statistics
import subprocess
import time
from contextlib import contextmanager

import calls
import programs
import results
from lab import Lab, collect_children
from scenarios import SYSTEMD

NUMBERS = ("wall", "cpu", "faults", "switches", "calls")
# Rounds in which only system calls are counted.
CALL_ROUNDS = 3
# A command that takes longer, in seconds, hangs.
LIMIT = 20


class Failed(Exception):
    """A runtime cannot do a scenario. The text is the reason, and `runtime` its name if the timer has said it."""

    def __init__(self, reason, runtime=""):
        super().__init__(reason)
        self.runtime = runtime


def measure_view(view, scenarios, runtimes, options):
    """Measures scenarios in this process's cgroup layout and writes a result for each. The value is the exit status: 1 if
    tare cannot do one of them."""
    status = 0
    with Lab(view) as lab:
        counter = calls.counter(lab.dir)
        load = os.getloadavg()[0]
        for scenario in scenarios:
            started = time.monotonic()
            print(f"{scenario.name}, {view} …", flush=True)
            try:
                result = Measurement(lab, counter, scenario, runtimes, options).result()
            finally:
                lab.end_containers()
                lab.unmount_more()
            if "tare" in result["left_out"]:
                status = 1
            result["host"] = results.host(view, load)
            result["seconds"] = round(time.monotonic() - started)
            results.write(result, options["into"])
            results.print_table(result)
    return status


class Measurement:
    """One scenario in one cgroup layout."""

    def __init__(self, lab, counter, scenario, runtimes, options):
        self.lab = lab
        self.counter = counter
        self.scenario = scenario
        self.rounds = max(1, round(options["rounds"] * scenario.share))
        self.pauses = scenario.pauses if options["pause"] is None else (options["pause"],)
        self.levels = [level for level in scenario.levels if level <= options["most"]] or scenario.levels[:1]
        self.runtimes, self.left_out = [], {}
        for runtime in runtimes:
            if runtime.name == programs.FLOOR and (reason := self.without_floor()):
                self.left_out[runtime.name] = reason
            else:
                self.runtimes.append(runtime)
        self.series = []
        self.kept = "perf"

    def without_floor(self):
        if self.lab.view == SYSTEMD:
            return "the floor asks no systemd"
        return self.scenario.without_floor

    def result(self):
        self.lab.configs.notes.clear()
        for level in self.levels:
            self.prepare(level)
            self.drop_unable(level)
            for pause in self.pauses:
                self.measure_the_able(level, pause)
        return {
            "scenario": self.scenario.name, "title": self.scenario.title, "view": self.lab.view,
            "axis": self.scenario.axis, "rounds": self.rounds, "series": self.series,
            "runtimes": {runtime.name: runtime.version for runtime in self.runtimes},
            "left_out": self.left_out, "notes": list(self.lab.configs.notes),
            "counted": {"cpu, faults, switches": self.kept, "calls": self.counter.how},
        }

    def prepare(self, level):
        """Makes what exists beside the measured commands at this level."""
        if self.scenario.axis == "mounts on the host":
            self.lab.mount_more(level)
        elif self.scenario.axis == "containers":
            for runtime in list(self.runtimes):
                try:
                    self.fill_up(runtime, level)
                except Failed as reason:
                    self.leave_out(runtime, reason)

    def fill_up(self, runtime, level):
        """Starts containers until `level` of them run."""
        running = len(os.listdir(self.lab.state_of(runtime.name)))
        for number in range(running, level):
            bundle = self.lab.bundle(self.scenario, runtime.name, str(number), 0)
            words = [*self.command(runtime), "run", "--detach", "--bundle", bundle, f"bench-{number}"]
            with open(self.lab.error_log, "w") as log, own_session(words, log, subprocess.DEVNULL) as process:
                try:
                    process.wait(LIMIT)
                except subprocess.TimeoutExpired:
                    raise Failed(f"run --detach takes more than {LIMIT} s") from None
            if process.returncode:
                raise Failed(self.reason(f"run --detach, container {number}"))
        collect_children()

    def drop_unable(self, level):
        """Leaves out each runtime that fails in a first round of its own."""
        for runtime in list(self.runtimes):
            try:
                self.timer([runtime], level, {"rounds": 1, "warm": 0, "pause": 0})
            except Failed as reason:
                self.leave_out(runtime, reason)

    def measure_the_able(self, level, pause):
        """Leaves out a runtime that fails in a later round, and begins again with the others."""
        while self.runtimes:
            try:
                return self.measure(level, pause)
            except Failed as reason:
                failed = [runtime for runtime in self.runtimes if runtime.name == reason.runtime] or list(self.runtimes)
                for runtime in failed:
                    self.leave_out(runtime, reason)
                self.lab.end_containers()
                self.prepare(level)

    def leave_out(self, runtime, reason):
        self.runtimes.remove(runtime)
        self.left_out[runtime.name] = str(reason)
        print(f"  without {runtime.name}: {reason}", flush=True)

    def measure(self, level, pause):
        job = {"rounds": self.rounds, "warm": min(3, self.rounds), "pause": pause}
        values = self.timer(self.runtimes, level, job)
        counted = self.count_calls(level, pause)
        steps = [step.name for step in self.scenario.steps]
        for (name, step), numbers in sorted(values.items()):
            columns = dict(zip(NUMBERS, zip(*numbers)))
            low, high = quartiles(columns["wall"])
            row = {key: round(statistics.median(column), 4) for key, column in columns.items()}
            row.update(level=level, pause=pause, runtime=name, step=steps[step], low=low, high=high)
            self.series.append(row | {"calls": counted.get((name, step))})

    def count_calls(self, level, pause):
        """System calls by runtime and step, once for each level: they do not depend on pauses."""
        if pause != self.pauses[0]:
            rows = [row for row in self.series if row["level"] == level and row["pause"] == self.pauses[0]]
            steps = [step.name for step in self.scenario.steps]
            return {(row["runtime"], steps.index(row["step"])): row["calls"] for row in rows}
        job = {"rounds": CALL_ROUNDS, "warm": 0, "pause": 0} | self.counter.job()
        rows = self.timer(self.runtimes, level, job, self.counter.prefix)
        return {key: statistics.median(numbers) for key, numbers in self.counter.numbers(rows).items()}

    def command(self, runtime):
        driver = ["--systemd-cgroup"] if self.lab.view == SYSTEMD else []
        return [runtime.path, "--root", self.lab.state_of(runtime.name), *driver]

    def words(self, runtime, step, level):
        """The words of a step, with {} for the number of the container."""
        if runtime.name == programs.FLOOR:
            return [runtime.path, *self.lab.floor_words(level if self.scenario.config == "binds" else 0)]
        bundle = f"{self.lab.dir}/bundles/{self.scenario.name}/{runtime.name}/{{}}"
        filled = step.words.format(bundle=bundle, id="bench-{}")
        return [*self.command(runtime), *filled.split()]

    def timer(self, runtimes, level, job, prefix=lambda *_: []):
        """Runs a job. The value has for each runtime and number of step a list of numbers for each round. `prefix` gives
        words in front of a command."""
        width = level if self.scenario.axis == "runs at once" else 1
        lines = [f"{word} {value}" for word, value in job.items()]
        for runtime in runtimes:
            lines.append(f"runtime {runtime.name}")
            if self.scenario.axis != "containers" and runtime.name != programs.FLOOR:
                for number in range(width):
                    self.lab.bundle(self.scenario, runtime.name, str(number), level)
            for number, step in enumerate(self.scenario.steps):
                words = [*prefix(runtime.name, number), *self.words(runtime, step, level)]
                lines += [f"step {step.flags()}", f"width {width}", *(f"arg {word}" for word in words)]
        commands = len(runtimes) * len(self.scenario.steps) * width
        # Few commands take long, many take a fraction of that.
        seconds = LIMIT + (job["rounds"] + job["warm"]) * commands
        first, *rows = self.run_timer("\n".join(lines) + "\n", seconds).splitlines()
        self.kept = first
        values = {}
        for row in rows:
            _, name, step, *numbers = row.split()
            values.setdefault((name, int(step)), []).append([float(number) for number in numbers])
        return values

    def run_timer(self, job, seconds):
        with open(self.lab.error_log, "w") as log, own_session([programs.built("timer")], log, subprocess.PIPE) as process:
            try:
                numbers, _ = process.communicate(job, timeout=seconds)
            except subprocess.TimeoutExpired:
                raise Failed(f"no end after {seconds} s") from None
        collect_children()
        if process.returncode:
            reason = self.reason(f"the timer ended with {process.returncode}")
            raise Failed(reason, self.failed_runtime())
        return numbers

    def failed_runtime(self):
        """The name in the timer's last line: `timer: NAME, command N: status M`."""
        with open(self.lab.error_log) as log:
            found = re.findall(r"^timer: (\S+), command \d+: ", log.read(), re.MULTILINE)
        return found[-1] if found else ""

    def reason(self, otherwise):
        """The first message of a runtime, without the time that runc writes."""
        with open(self.lab.error_log) as log:
            lines = [line.strip() for line in log if line.strip()]
        return lines[0].split(" msg=")[-1].strip('"') if lines else otherwise


def quartiles(values):
    """The first and the third."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return round(low, 4), round(high, 4)


@contextmanager
def own_session(words, log, pipe):
    """A process whose session ends with the block, also after an exception. `pipe` is its standard input and output."""
    process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=log, text=True, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
