#!/usr/bin/env python3
"""Judges the output of hack/runc-suite.d/run on standard input: verdict.py FAULTS RUNTIME

Prints a line for each test, with the output if it failed, and totals.  Exit status 1 if a test fails that is not in FAULTS,
if RUNTIME is tare and a test passes that is in FAULTS, or if a file ended before all its tests were run.
"""
import re
import sys


def faults(path):
    """(kind, or "" for all; file; test) -> reason"""
    found = {}
    for line in open(path):
        if line.strip() and line[0] != "#":
            test, reason = line.rstrip("\n").split(" -- ", 1)
            kinds, file, name = re.fullmatch(r"(?:(\S+) )?(\S+\.bats): (.*\S) *", test).groups()
            found.update({(kind, file, name): reason for kind in (kinds or "").split(",")})
    return found


def main():
    known, judged = faults(sys.argv[1]), sys.argv[2] == "tare"
    totals, wrong, left, failing = {}, [], 0, False
    kind = file = ""

    def file_ended():
        if left is None:
            wrong.append(f"{kind} {file}: no plan of tests was seen")
        elif left:
            wrong.append(f"{kind} {file}: {left} tests did not run")

    for line in sys.stdin:
        line = line.rstrip("\n")
        if heading := re.fullmatch(r"# (\S+) (\S+\.bats)", line):
            file_ended()
            kind, file = heading.groups()
            left, failing = None, False
            continue
        if plan := re.fullmatch(r"1\.\.(\d+)", line):
            left = int(plan[1])
        result = re.fullmatch(r"(ok|not ok) \d+ (.*?)(?: # skip(.*))?", line)
        if not result:
            if failing or not line.startswith(("#", "1..")):
                print(f"    {line}", flush=True)
            continue
        word, name, skipped = result[1], result[2].strip(), result[3]
        left = (left or 0) - 1
        reason = known.get((kind, file, name)) or known.get(("", file, name))
        failing = word == "not ok" and not reason
        verdict = "skipped" if skipped is not None else "passed" if word == "ok" else "excused" if reason else "failed"
        totals.setdefault(kind, dict.fromkeys(["passed", "failed", "excused", "skipped"], 0))[verdict] += 1
        if failing:
            wrong.append(f"{kind} {file}: {name}: failed")
        elif verdict == "passed" and reason and judged:
            wrong.append(f"{kind} {file}: {name}: passed, but is among the faults")
        note = {"skipped": (skipped or "").strip(), "excused": reason}.get(verdict)
        print(f"{verdict:8}{kind} {file}: {name}{' -- ' if note else ''}{note or ''}", flush=True)
    file_ended()
    if not totals:
        wrong.append("no test was run")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    for kind, total in totals.items():
        print(f"{sys.argv[2]}, {kind}:", ", ".join(f"{count} {verdict}" for verdict, count in total.items()))
    sys.exit(bool(wrong))


main()
