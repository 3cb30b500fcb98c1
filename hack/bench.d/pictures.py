"""The pictures, and the results that each of them shows."""

import os

import results
import svg
from scenarios import SCENARIOS, VIEWS

CURVES = (("at-once", "run"), ("many", "state"), ("many", "list"), ("binds", "run"), ("host-mounts", "run"))
CURVE_TITLES = {"at-once": "N runs at once, ms each", "state": "state beside N containers, ms",
                "list": "list of N containers, ms", "binds": "run, N bind mounts in the config, ms",
                "host-mounts": "run, N other mounts on the host, ms"}
COSTS = (("wall", "wall, ms"), ("cpu", "CPU, ms"), ("faults", "page faults"), ("calls", "system calls"),
         ("switches", "context switches"))
CONFIGS = (("run", "default config"), ("docker", "docker-like config"), ("docker-userns", "docker-like, user namespace"))


def draw(found, directory):
    """Draws each picture for which there are results; the value has the paths of the files."""
    os.makedirs(directory, exist_ok=True)
    drawn = []
    for name, picture in (("commands", commands), ("costs", costs), ("configs", configs), ("growth", growth)):
        for view in ("unified", "systemd"):
            document = picture(found, view)
            if document:
                path = os.path.join(directory, f"{name}.svg" if view == "unified" else f"{name}-{view}.svg")
                with open(path, "w") as file:
                    file.write(document)
                drawn.append(path)
    return drawn


def quiet(result):
    """The rows with the longest pauses, in the order of the runtimes."""
    pause = max(row["pause"] for row in result["series"])
    return sorted((row for row in result["series"] if row["pause"] == pause), key=lambda row: results.rank(row["runtime"]))


def bar(row, key="wall"):
    if key == "wall":
        return row["runtime"], row["wall"], f"{svg.short(row['wall'])} ms", (row["low"], row["high"])
    return row["runtime"], row[key], svg.short(row[key]) if key == "cpu" else f"{row[key]:.0f}", None


def canvas(title, used):
    runtimes = {row["runtime"] for result in used for row in result["series"]}
    return svg.Canvas(title, sorted(runtimes, key=results.rank))


def below(used, text):
    """The text below a picture: `text`, the machine, and what was left out or differs."""
    pause = max(row["pause"] for row in used[0]["series"])
    lines = [f"{text} {pause} ms of quiet before each command.", *results.about(used[0])]
    for result in used:
        where = results.VIEW_TEXT[result["view"]]
        lines += [f"{where}: {note}" for note in result["notes"] if note.startswith("limits")]
        lines += [f"{where}: without {name}: {reason}" for name, reason in result["left_out"].items() if name != "floor"]
    return list(dict.fromkeys(lines))


def commands(found, view):
    """One group of bars for each command."""
    used = [found[name, view] for name in ("run", "life") if (name, view) in found]
    if not used:
        return None
    groups = {}
    for result in used:
        for row in quiet(result):
            groups.setdefault(row["step"], []).append(bar(row))
    order = list(dict.fromkeys(step.name for scenario in SCENARIOS for step in scenario.steps))
    picture = canvas(f"One command, default config, {used[0]['host']['cgroup']}", used)
    svg.bars(picture, sorted(groups.items(), key=lambda group: order.index(group[0])))
    return picture.document(below(used, "Each command has a scale of its own. The thin lines are quartiles."))


def costs(found, view):
    """All numbers of `run`."""
    if ("run", view) not in found:
        return None
    result = found["run", view]
    rows = quiet(result)
    groups = [(title, [bar(row, key) for row in rows if row[key] is not None]) for key, title in COSTS]
    picture = canvas(f"The cost of run, default config, {result['host']['cgroup']}", [result])
    svg.bars(picture, [group for group in groups if group[1] and max(row[1] for row in group[1])])
    lines = below([result], "Each group has a scale of its own.")
    return picture.document([*lines, results.counted(result)])


def configs(found, view):
    """`run` with each config in each cgroup layout."""
    views = VIEWS if view == "unified" else (view,)
    used, groups = [], []
    for name, title in CONFIGS:
        for where in views:
            if (name, where) in found:
                used.append(found[name, where])
                groups.append((f"{title}, {used[-1]['host']['cgroup']}", [bar(row) for row in quiet(used[-1])]))
    if len(groups) < 2:
        return None
    picture = canvas("run by config and cgroup layout", used)
    svg.bars(picture, groups, columns=min(3, len(views) if len(views) > 1 else 3))
    return picture.document(below(used, "Each group has a scale of its own. The thin lines are quartiles."))


def growth(found, view):
    """A curve for each runtime in each growth scenario."""
    used, panels = [], []
    for name, step in CURVES:
        result = found.get((name, view))
        if not result:
            continue
        rows = [row for row in quiet(result) if row["step"] == step]
        levels = sorted({row["level"] for row in rows})
        lines = {row["runtime"]: [None] * len(levels) for row in rows}
        for row in rows:
            lines[row["runtime"]][levels.index(row["level"])] = row["wall"]
        used.append(result)
        panels.append((CURVE_TITLES.get(name) or CURVE_TITLES[step], levels, lines))
    if not panels:
        return None
    picture = canvas(f"Growth, {used[0]['host']['cgroup']}", used)
    svg.curves(picture, panels)
    return picture.document(below(used, "Times are on a logarithmic scale."))
