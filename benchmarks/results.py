"""`make bench`: every target of speed, ours beside a peer or a limit in one run; writes RESULTS.md."""

import argparse
import datetime
import importlib.metadata
import os
import platform
import sys
import time
from pathlib import Path

import allocating
import attributing
import constraining
import contextual
import learning
import limits
import recording
import selecting
import startup
import state
from measuring import Clock, Result

SUBJECTS = {
    "selecting": selecting.SUBJECT,
    "learning": learning.SUBJECT,
    "contextual": contextual.SUBJECT,
    "constraining": constraining.SUBJECT,
    "allocating": allocating.SUBJECT,
    "attributing": attributing.SUBJECT,
    "state": state.SUBJECT,
    "recording": recording.SUBJECT,
    "startup": startup.SUBJECT,
    "limits": limits.SUBJECT,
}
LIBRARIES = ("seedbed", "numpy", "scipy", "numba", "msgpack", "mabwiser", "river", "vowpalwabbit")
HEAD = ("target", "ours", "peer or limit", "ratio", "at most", "holds")
PAGE = Path(__file__).with_name("RESULTS.md")
WORDS = {True: "yes", False: "**no**", None: ""}


def machine() -> str:
    """Processor, cores and system."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return f"{model} ({platform.machine()}), {os.cpu_count()} cores, {platform.system()}"


def page(results: dict[str, list[Result]], minutes: float) -> str:
    """The page in Markdown."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    parts = [
        "# Results",
        f"Written by `make bench` on {today} in {minutes:.0f} minutes: {machine()}; "
        f"Python {platform.python_version()}, {versions}.",
        "Minima of interleaved repeats in one run. The ratio is ours over the other's: only ratios travel. Lines "
        "without `at most` state a figure.",
    ]
    for subject, lines in results.items():
        rows = [HEAD, ("---",) * len(HEAD), *((*line[:-1], WORDS[line.holds]) for line in lines)]
        parts += [f"## {subject.capitalize()}", "\n".join("| " + " | ".join(row) + " |" for row in rows)]
    parts.append(str(limits.__doc__).strip())
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Measure all, say how it goes, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject", nargs="*", help=f"of {', '.join(SUBJECTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a tenth of the repeats; writes no page")
    options = parser.parse_args()
    if unknown := set(options.subject) - set(SUBJECTS):
        parser.error(f"unknown subject {', '.join(unknown)}")
    clock, start = Clock(40 if options.quick else 400), time.monotonic()
    results: dict[str, list[Result]] = {}
    for subject in options.subject or SUBJECTS:
        results[subject] = []
        for job in SUBJECTS[subject]:
            for line in job(clock):
                results[subject].append(line)
                limit = f" (at most {line.limit}: {'holds' if line.holds else 'DOES NOT HOLD'})" if line.limit else ""
                print(f"{line.target}: {line.ours} | {line.beside} | ratio {line.ratio or '-'}{limit}", flush=True)
    lines = [line for some in results.values() for line in some if line.holds is not None]
    print(f"{sum(line.holds is True for line in lines)} of {len(lines)} targets hold")
    if not (options.quick or options.subject):
        PAGE.write_text(page(results, (time.monotonic() - start) / 60))
        print(f"wrote {PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
