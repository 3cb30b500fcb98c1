"""The results: a JSON file for each scenario and cgroup layout, and the table made of them."""

import glob
import json
import os
import time

import programs

ORDER = (programs.FLOOR, "tare", "crun", "runc")
VIEW_TEXT = {"unified": "cgroup v2", "hybrid": "hybrid", "legacy": "cgroup v1", "systemd": "systemd"}
COLUMNS = (("wall", "wall ms", ".2f"), ("cpu", "CPU ms", ".2f"), ("faults", "faults", ".0f"),
           ("switches", "switches", ".0f"), ("calls", "calls", ".0f"))


def host(view, load):
    """The machine, as far as it matters for the times. `load` is the load average before the measurements."""
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {"kernel": f"{os.uname().sysname} {os.uname().release}", "cpu": models[0] if models else os.uname().machine,
            "cpus": os.cpu_count(), "cgroup": VIEW_TEXT[view], "state": "tmpfs", "load": round(load, 1),
            "date": time.strftime("%Y-%m-%d")}


def write(result, directory):
    """Writes a file into the directory `results` below `directory`."""
    os.makedirs(f"{directory}/results", exist_ok=True)
    path = f"{directory}/results/{result['view']}.{result['scenario']}.json"
    with open(path + ".new", "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    os.rename(path + ".new", path)


def read_all(directory):
    """All results below a directory, by scenario and view."""
    found = {}
    for name in sorted(glob.glob(f"{directory}/results/*.json")):
        with open(name) as file:
            result = json.load(file)
        found[result["scenario"], result["view"]] = result
    return found


def rank(runtime):
    return (ORDER.index(runtime), "") if runtime in ORDER else (len(ORDER), runtime)


def about(result):
    """The lines below a table or picture: versions, kernel, layout and processor; how it was measured."""
    machine = result["host"]
    versions = [f"{name} {text.split(' version ')[-1]}" for name, text in result["runtimes"].items() if name != programs.FLOOR]
    return [f"{', '.join(versions)}; {machine['kernel']}, {machine['cgroup']}, {machine['cpus']} × {machine['cpu']}",
            f"{machine['date']}, load {machine['load']} before; medians of {result['rounds']} rounds in random order, state in "
            f"{machine['state']}"]


def counted(result):
    return "; ".join(f"{what} counted by {how}" for what, how in result["counted"].items())


def table(result):
    """The table of a result as lines of text."""
    lines = [f"{result['title']} ({result['scenario']}, {VIEW_TEXT[result['view']]})"]
    rows, base = result["series"], {}
    for row in rows:
        base.setdefault((row["level"], row["pause"], row["step"]), {})[row["runtime"]] = row["wall"]
    head = "".join(f"{title:>10}" for _, title, _ in COLUMNS)
    levels = len({row["level"] for row in rows}) > 1
    axis = f"{result['axis']:>26}" if levels else ""
    lines.append(f"{'':<16}{axis}{'pause':>7}  {'':<8}{head}{'quartiles':>16}{'/floor':>8}{'/crun':>7}")
    steps = list(dict.fromkeys(row["step"] for row in rows))
    for row in sorted(rows, key=lambda row: (steps.index(row["step"]), row["level"], -row["pause"], rank(row["runtime"]))):
        walls = base[row["level"], row["pause"], row["step"]]
        level = f"{row['level']:>26}" if levels else ""
        lines.append(f"{row['step']:<16}{level}{row['pause']:>7}  {row['runtime']:<8}{cells(row, walls)}")
    lines += [f"  without {name}: {reason}" for name, reason in result["left_out"].items()]
    lines += [f"  {note}" for note in (*result["notes"], *about(result), counted(result))]
    return lines


def cells(row, walls):
    """The numbers of a row. `walls` has the wall times of all runtimes for the same command."""
    numbers = "".join(f"{row[key]:>10{form}}" if row[key] is not None else f"{'-':>10}" for key, _, form in COLUMNS)
    spread = f"{row['low']:.2f}–{row['high']:.2f}"
    floor, crun = (f"{row['wall'] / walls[peer]:.2f}" if walls.get(peer) else "-" for peer in (programs.FLOOR, "crun"))
    return f"{numbers}{spread:>16}{floor:>8}{crun:>7}"


def print_table(result):
    print("\n".join(table(result)) + "\n", flush=True)


def write_table(found, directory):
    path = f"{directory}/table.txt"
    with open(path, "w") as file:
        for _, result in sorted(found.items()):
            file.write("\n".join(table(result)) + "\n\n")
    return path
