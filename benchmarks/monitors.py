"""Whether BalanceMonitor is right, on runs that are built to go wrong in a known way, and what it costs.

    python benchmarks/monitors.py [--seeds 100 101 102 103] [--output FILE]
    python benchmarks/monitors.py --cost

Trains every run of benchmarks/built_runs.py with each seed and with the monitor as it is by default. The thresholds
were chosen on seeds 0 to 3 (``--seeds 0 1 2 3 --output tuning.json``). Where D is too strong or too weak, the event
begins where the settings change and lasts to the end. A collapse lasts as long as a quarter of the modes or fewer are
covered, for half of the run at least, and in a healthy run more than half are, from the change's batch on; both are
counted by the true centres of the ring or by the classifier of digits, of which the monitor knows nothing. A run in
which that is not so is not counted, but named. A message is right if it comes within the first tenth of its event, late
if after it, and repeated if the same event is named again. Any other message is false, but for a collapse while half of
the modes or fewer are covered, which is true beside the event that was built. Writes benchmarks/results/monitors.json
and prints a table.

``--cost`` times a training batch with each monitor at its default settings against one without, in alternating rounds,
and writes benchmarks/results/monitor_cost.json.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from built_runs import BUILDS, CHANGE, Kind, run

RESULTS = Path(__file__).parent / "results"
IN_TIME = 0.1  # of the event
KINDS: list[Kind] = ["too strong", "too weak", "collapsing", "healthy"]
OVER = ("balanced", "varied")
COUNTS = ["right", "late", "missed", "repeated", "false"]


def longest(modes: list[tuple[int, int]], most: float) -> tuple[int, int]:
    """First and last batch of the longest time with ``most`` modes or fewer; (0, 0) where there is none."""
    best, start = (0, 0), None
    for batch, count in modes:
        start = None if count > most else batch if start is None else start
        if start is not None and batch - start > best[1] - best[0]:
            best = (start, batch)
    return best


def judge(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """What is right and what is wrong with the messages of a run."""
    build, modes, of = BUILDS[name], found["modes"], found["of"]
    begin, end = build.since, build.batches
    as_built = True
    if build.kind == "collapsing":
        begin, end = longest(modes, of / 4)
        as_built = end - begin >= (build.batches - build.since) / 2
    elif build.kind == "healthy":
        as_built = min(count for batch, count in modes if batch > CHANGE) > of / 2
    said = [(batch, state) for batch, state in found["events"] if state not in OVER]
    own = [batch for batch, state in said if state == build.kind and batch >= begin]
    delay = (own[0] - begin) / (end - begin) if own and end > begin else None
    few = {batch for batch, count in modes if count <= of / 2}
    false = [
        [batch, state]
        for batch, state in said
        if not (state == build.kind and batch >= begin) and not (state == "collapsing" and batch in few)
    ]
    missed = build.kind != "healthy" and delay is None
    return {
        "as built": as_built,
        "begins": begin,
        "ends": end,
        "delay": delay,
        "right": delay <= IN_TIME if delay is not None else build.kind == "healthy" and not said,
        "late": delay is not None and delay > IN_TIME,
        "missed": missed,
        "repeated": max(len(own) - 1, 0),
        "false": len(false),
        "false messages": false,
    }


def show(runs: list[dict[str, Any]]) -> None:
    """The table."""
    print(
        "| run | runs | right | late | missed | repeated | false | largest delay |\n|---|---|---|---|---|---|---|---|"
    )
    for kind in KINDS:
        own = [one for one in runs if one["kind"] == kind and one["as built"]]
        if not own:
            continue
        counts = [sum(one[name] for one in own) for name in COUNTS]
        delays = [one["delay"] for one in own if one["delay"] is not None]
        delay = f"{max(delays):.3f}" if delays else ""
        print(f"| {kind} | {len(own)} | {' | '.join(map(str, counts))} | {delay} |")
    for other in runs:
        if not other["as built"]:
            print(f"not as built: {other['build']}, seed {other['seed']}: {other['events']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102, 103])
    parser.add_argument("--builds", nargs="+", choices=list(BUILDS), default=list(BUILDS))
    parser.add_argument("--output", type=Path, default=RESULTS / "monitors.json")
    parser.add_argument("--cost", action="store_true")
    options = parser.parse_args()
    if options.cost:
        from monitor_cost import measure

        measure(RESULTS / "monitor_cost.json")
        return
    start, runs = time.perf_counter(), []
    for name in options.builds:
        for seed in options.seeds:
            found = run(name, seed)
            runs.append({"kind": BUILDS[name].kind, "build": name, "seed": seed, **judge(name, found), **found})
            print(f"{name}, seed {seed}: {found['events']} {runs[-1]['delay']}", file=sys.stderr, flush=True)
    command = " ".join(["python benchmarks/monitors.py", *sys.argv[1:]])
    head = {"command": command, "seconds": round(time.perf_counter() - start)}
    rows = ",\n".join(json.dumps(one) for one in runs)  # one line each
    options.output.write_text(json.dumps(head)[:-1] + ', "runs": [\n' + rows + "\n]}\n")
    show(runs)


if __name__ == "__main__":
    main()
