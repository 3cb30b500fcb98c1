"""The scenarios as data: which commands run with which config, in which cgroup layouts, at which levels."""

from dataclasses import dataclass

VIEWS = ("unified", "hybrid", "legacy")
# The machine's own layout with systemd's cgroup driver, in the virtual machine.
SYSTEMD = "systemd"


@dataclass(frozen=True)
class Step:
    """A command of a runtime. {id}, {bundle} and {pid_file} stand for those of the container."""

    name: str
    words: str
    timed: bool = True
    # The next command waits until the container's process has ended.
    reaps: bool = False
    terminal: bool = False

    def flags(self):
        letters = [("t", self.timed), ("r", self.reaps), ("p", self.terminal)]
        return "".join(letter for letter, on in letters if on) or "-"


@dataclass(frozen=True)
class Scenario:
    """One measurement. Its levels are values of `axis`, which `lab.py` and `measure.py` know."""

    name: str
    title: str
    steps: tuple
    config: str = "default"
    # The program of the container.
    program: str = "true"
    views: tuple = ("unified",)
    axis: str = ""
    levels: tuple = (1,)
    # Milliseconds of quiet before each command.
    pauses: tuple = (20,)
    # The share of the rounds that the caller asked for.
    share: float = 1
    # An empty reason: the floor takes part.
    without_floor: str = ""
    # A part of the run without arguments.
    quick: bool = False


RUN = Step("run", "run --bundle {bundle} {id}")
CREATE = Step("create", "create --bundle {bundle} {id}")
START = Step("start", "start {id}")
STATE = Step("state", "state {id}")
EXEC = Step("exec", "exec {id} /bin/true")
EXEC_TTY = Step("exec --tty", "exec --tty {id} /bin/true", terminal=True)
KILL = Step("kill", "kill {id} KILL", reaps=True)
DELETE = Step("delete", "delete {id}")
DELETE_FORCE = Step("delete --force", "delete --force {id}", reaps=True)
LIST = Step("list", "list")


def untimed(step):
    return Step(step.name, step.words, timed=False, reaps=step.reaps, terminal=step.terminal)


ONLY_RUN = "the floor only has run"
ONLY_DEFAULT = "the floor only has the default config"
LIFE = (CREATE, START, STATE, EXEC, EXEC_TTY, KILL, DELETE, untimed(CREATE), untimed(START), DELETE_FORCE)
DOCKER_LIFE = (CREATE, START, EXEC, DELETE_FORCE)

SCENARIOS = (
    Scenario("run", "run, default config", (RUN,), views=VIEWS, pauses=(20, 0), quick=True),
    Scenario("life", "one command after the other, default config", LIFE, program="pause", views=VIEWS, pauses=(20, 0),
             share=0.5, without_floor=ONLY_RUN, quick=True),
    Scenario("docker", "run, docker-like config", (RUN,), config="docker", views=VIEWS, pauses=(20, 0),
             without_floor=ONLY_DEFAULT, quick=True),
    Scenario("docker-userns", "run, docker-like config with a user namespace", (RUN,), config="docker-userns",
             views=VIEWS, without_floor=ONLY_DEFAULT),
    Scenario("docker-life", "one command after the other, docker-like config", DOCKER_LIFE, config="docker",
             program="pause", share=0.5, without_floor=ONLY_DEFAULT),
    Scenario("at-once", "run, several at once, each", (RUN,), axis="runs at once", levels=(1, 8, 32), share=0.5),
    Scenario("many", "state and list beside other containers", (STATE, LIST), config="crowd", program="pause",
             axis="containers", levels=(1, 100, 1000), share=0.5, without_floor=ONLY_RUN),
    Scenario("binds", "run with bind mounts in the config", (RUN,), config="binds", axis="bind mounts in the config",
             levels=(10, 100, 1000), share=0.5),
    Scenario("host-mounts", "run with other mounts on the host", (RUN,), axis="mounts on the host",
             levels=(0, 400, 4000), share=0.5),
)


def by_name(name):
    for scenario in SCENARIOS:
        if scenario.name == name:
            return scenario
    raise SystemExit(f"hack/bench: there is no scenario {name}: {' '.join(s.name for s in SCENARIOS)}")
