#!/usr/bin/env python3
"""Judges the output of the validation suite.

verdict.py one OUT TEST               exit status 0 if TEST passed
verdict.py all OUT FAULTS             prints a table of all tests in OUT, and totals
verdict.py all OUT FAULTS BASELINE V1 the same; exit status 1 if a test in OUT and in BASELINE did not pass;
                                      tests that BASELINE marks with v1 count only if V1 is yes

OUT has for each test TEST.tap, its standard output, and TEST.rc, its exit status.  A general TAP parser does not work:
the suite puts JSON into YAML blocks, may print two documents, and some tests report in another way (see below).
"""
import pathlib
import re
import sys

# These tests print nothing if they pass.
SILENT = {"process_rlimits_fail", "process_capabilities_fail"}


def judge(out, test):
    """(verdict, points that are ok, not ok, skipped); the hook tests have no points, only an "error" in a YAML block"""
    text = (out / f"{test}.tap").read_text(errors="replace")
    status = int((out / f"{test}.rc").read_text())
    good = bad = skipped = todo = 0
    for word, note in re.findall(r"^(ok|not ok) \d+ *(# *(?:SKIP|TODO))?", text, re.M):
        if note.endswith("SKIP"):
            skipped += 1
        elif note:
            todo += 1
        elif word == "ok":
            good += 1
        else:
            bad += 1
    plans = [int(n) for n in re.findall(r"^1\.\.(\d+)", text, re.M)]
    if status in (124, 137):
        verdict = "timeout"
    elif status:
        verdict = "crash"
    elif bad or sum(plans) != good + bad + skipped + todo:
        verdict = "fail"
    elif not plans and test not in SILENT:
        verdict = "fail"
    elif plans and not sum(plans) and re.search(r'^ *"error":', text, re.M):
        verdict = "fail"
    else:
        verdict = "pass"
    return verdict, good, bad, skipped


def table(path):
    """first word of each line -> the rest"""
    rows = (line.split(None, 1) for line in path.read_text().splitlines() if line.strip() and line[0] != "#")
    return {row[0]: (row + [""])[1].strip() for row in rows}


def main():
    mode, out = sys.argv[1], pathlib.Path(sys.argv[2])
    if mode == "one":
        sys.exit(judge(out, sys.argv[3])[0] != "pass")
    faults = table(pathlib.Path(sys.argv[3]))
    missing = []
    baseline, v1 = ({}, True)
    if len(sys.argv) > 4:
        baseline, v1 = table(pathlib.Path(sys.argv[4])), sys.argv[5] == "yes"
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for test in sorted(file.stem for file in out.glob("*.rc")):
        verdict, good, bad, skipped = judge(out, test)
        why = ""
        if verdict == "pass":
            total["passed"] += 1
        elif test in faults:
            total["skipped"] += 1
            why = faults[test]
        elif not v1 and baseline.get(test) == "v1":
            total["skipped"] += 1
            why = "needs cgroup v1"
        else:
            total["failed"] += 1
        print(f"{test:31} {good:4} ok {bad:3} not ok {skipped:3} skip  {verdict:7} {why}".rstrip())
        if verdict != "pass" and test in baseline and (v1 or baseline[test] != "v1"):
            missing.append(test)
    if missing:
        print("in the baseline, but did not pass:", *missing)
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    sys.exit(bool(missing))


main()
