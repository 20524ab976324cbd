"""The README's figures are those of the committed results, and what it names exists."""

import csv
import json
import re
import sys
from collections import Counter
from pathlib import Path
from statistics import mean, median, stdev

import pytest
from helpers import ROOT

from lit_improved_gan import BalanceMonitor

sys.path.append(str(ROOT / "benchmarks"))

import digits_techniques
from mode_collapse import EXPERIMENTS, ONLY, ROWS, table

README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "benchmarks" / "results"


def test_the_two_commands_are_shown() -> None:
    assert "pip install . && lit-improved-gan fit --config configs/digits.yaml" in README
    assert "pip install -e '.[test]' && pytest" in README


def test_the_table_of_digits_is_the_committed_result() -> None:
    rows = json.loads((RESULTS / "digits_ssl.json").read_text())["rows"]
    assert len(rows) == 4
    for row in rows:
        errors = " | ".join(f"{run['test_error_percent']:.2f}" for run in row["runs"])
        assert f"| {row['labels']} | {row['training']} | {row['mean']:.2f} | {row['std']:.2f} | {errors} |" in README


def test_the_cost_of_the_machinery_is_the_committed_result() -> None:
    results = json.loads((RESULTS / "step_overhead.json").read_text())
    for name in ("digits", "mnist"):
        for ratio in results[name]["ratio_to"].values():
            assert f"{ratio:.2f}x" in README


def measured(name: str) -> tuple[float, str]:
    """The test error of a run whose metrics are committed, and after how many batches."""
    rows = list(csv.DictReader((RESULTS / f"{name}.csv").open()))
    (error,) = [float(row["test/error_percent"]) for row in rows if row["test/error_percent"]]
    return error, rows[-1]["step"]


def test_the_short_runs_on_cifar10_are_the_committed_results() -> None:
    text = (ROOT / "docs" / "semi-supervised.md").read_text()
    for name in ("cifar10_ssl_fast", "cifar10_supervised", "cifar10_ssl_fast_100", "cifar10_supervised_100"):
        error, steps = measured(name)
        assert f"{error:.2f} %" in text
        assert steps == "6000"


def test_the_runs_on_the_collapsing_ring_are_the_committed_results() -> None:
    text = (ROOT / "docs" / "mode-collapse.md").read_text()
    said = (RESULTS / "ring_collapse.txt").read_text()
    found = re.findall(
        r"--seed_everything (\d)\n.*?test/modes (\S+)  test/quality (\S+)  test/kl (\S+)", said, re.DOTALL
    )
    assert [seed for seed, *_ in found] == list("01230123")
    cells = [f"{modes} | {float(quality):.3f} | {float(kl):.3f} |" for _, modes, quality, kl in found]
    for seed in range(4):
        assert f"| {seed} | {cells[seed]} {cells[seed + 4]}" in text
    generated = [line for line in said.splitlines() if line.startswith(("  generated", "  real", "  noise"))]
    assert "\n".join(generated[:3]) in text


def test_the_techniques_on_known_modes_are_the_committed_results() -> None:
    text = (ROOT / "docs" / "mode-collapse.md").read_text()
    runs = json.loads((RESULTS / "mode_collapse.json").read_text())["runs"]
    for experiment in EXPERIMENTS:
        assert "\n".join(table(runs, experiment)) in text
        counts = Counter(run["row"] for run in runs if run["experiment"] == experiment)
        assert counts == dict.fromkeys([row for row in ROWS if experiment in ONLY.get(row, EXPERIMENTS)], 5)
    share = {
        row: mean(run["quality"] for run in runs if (run["experiment"], run["row"]) == ("stacked_digits", row))
        for row in ("plain", "the paper's best with labels")
    }
    times = share["the paper's best with labels"] / share["plain"]
    assert f", {times:.1f} times plain's {share['plain']:.2f};".replace("0.", ".") in " ".join(text.split())
    minutes = sum(run["processor_seconds"] for run in runs) / 60
    assert f"All rows took {minutes:.0f} minutes" in " ".join(text.split())


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in set(re.findall(r"\]\(([^)#:]+)\)", page.read_text())):
        assert (page.parent / link).exists(), link


def test_every_config_is_listed() -> None:
    for path in (ROOT / "configs").rglob("*.yaml"):
        assert str(path.relative_to(ROOT)) in README


EXAMPLES = [code for page in PAGES for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)]


@pytest.mark.parametrize("code", EXAMPLES)
def test_python_examples_run(code: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(code.replace("max_epochs=100", "max_epochs=1, accelerator='cpu', logger=False"), {})


def test_the_digits_of_the_gan_are_the_committed_result() -> None:
    rows = list(csv.DictReader((RESULTS / "digits_gan.csv").open()))
    (last,) = (row for row in rows if row["test/classifier_score"])
    shares = [100 * float(last[f"test/class_{digit}"]) for digit in range(10)]
    assert f"each {min(shares):.0f} to {max(shares):.0f} % of 5,000 samples" in README
    assert f"{100 * float(last['test/confident_share']):.0f} % of them classified with confidence" in README
    assert f"classifier score {float(last['test/classifier_score']):.2f} (" in README


def test_the_tables_of_techniques_are_the_committed_results() -> None:
    text = (ROOT / "docs" / "techniques.md").read_text()
    runs = json.loads((RESULTS / "digits_techniques.json").read_text())["runs"]
    rows = {(run["experiment"], run["row"]) for run in runs}
    assert rows == {(experiment, row) for experiment, names in digits_techniques.ROWS.items() for row in names}
    for experiment, row in rows:
        found = [run for run in runs if (run["experiment"], run["row"]) == (experiment, row)]
        assert sorted(run["seed"] for run in found) == [0, 1, 2, 3, 4]
        metrics = ["test"] if experiment == "digits.yaml" else ["score", "confident"]
        cells = [[run[metric] for run in found] for metric in metrics]
        assert f"| {row} | " + " | ".join(f"{mean(cell):.2f} +- {stdev(cell):.2f}" for cell in cells) + " |" in text
    costs = json.loads((RESULTS / "techniques.json").read_text())
    for name, ratio in costs["steps"]["ratios"].items():
        assert f"| {name} | {ratio:.2f} |" in text
    for found in costs["closeness"]:
        size = ", ".join(map(str, found["size"]))
        assert f"| ({size}) | {found['ours']['ms']:.1f} ({found['ours']['mb']:.1f}) |" in text


def test_the_errors_on_mnist_are_the_committed_result() -> None:
    runs = json.loads((RESULTS / "table1.json").read_text())["runs"]
    assert {run["epochs"] for run in runs} == {300}
    wrong = {run["seed"]: run["wrong"] for run in runs}
    text = " ".join(README.split())
    assert f"in 160 minutes, to {wrong[1]} wrong" in text
    assert f"that the library chooses itself ends at {wrong[0]} wrong" in text


def test_the_error_in_bfloat16_is_the_committed_result() -> None:
    runs = json.loads((RESULTS / "table1_bfloat16.json").read_text())["runs"]
    assert {run["epochs"] for run in runs} == {300}
    wrong = {(run["labels"], run["seed"]): run["wrong"] for run in runs}
    assert len(wrong) == len(runs) == 4
    text = " ".join((ROOT / "docs" / "semi-supervised.md").read_text().split())
    assert f"the first of these ends at {wrong[100, 1]} wrong" in text
    assert f"ends at {wrong[100, 3]} in bfloat16." in text
    assert f"with 50 labels {wrong[50, 1]} wrong (the paper: 221 +- 136)" in text
    assert f"with 200 {wrong[200, 1]} wrong (90 +- 4.2)" in text


def test_the_classifiers_of_mnist_are_the_committed_results() -> None:
    text = (ROOT / "docs" / "mode-collapse.md").read_text()
    for name in ("mnist_classifier", "mnist_classifier_2_convolutions"):
        error, _ = measured(name)
        assert f"{error:.2f} %" in text


def test_the_short_run_on_stacked_mnist_is_the_committed_result() -> None:
    both = json.loads((RESULTS / "stacked_mnist_fast.json").read_text())
    text = (ROOT / "docs" / "mode-collapse.md").read_text()
    assert both["command"] in " ".join(text.replace("\\\n", " ").split())
    plain = json.loads((RESULTS / "stacked_mnist_fast_plain.json").read_text())
    techniques = " ".join(
        f"-c configs/technique/{name}.yaml" for name in ["minibatch_discrimination_points", "label_smoothing"]
    )
    assert plain["command"] == both["command"].replace(f" {techniques}", "")
    rows = [("the paper's best two", both, ""), ("plain", plain, "")]
    for name, run, prefix in [*rows, ("real stacks", both, "real_"), ("noise", both, "noise_")]:
        found = run["26,000 samples at the end"]
        modes, quality, kl, every, kl_of_all, support = (
            found[prefix + value] for value in ("modes", "quality", "kl", "modes_ungated", "kl_ungated", "support")
        )
        row = f"| {name} | {modes:.0f} | {quality:.3f} | {kl:.3f} | {every:.0f} | {kl_of_all:.3f} | {support:.0f} |"
        assert row in text


def test_the_ten_subsets_are_the_committed_result() -> None:
    result = json.loads((RESULTS / "gpu" / "bare_mnist_ssl.json").read_text())
    text = (ROOT / "docs" / "semi-supervised.md").read_text()
    last = result["curve"][-1]
    assert last["epoch"] == 300
    for labels in (50, 100):
        runs = zip(result["members (labels, seed)"], last["averaged"], strict=True)
        wrong = sorted(value for (count, _), value in runs if count == labels)
        assert len(wrong) == 10
        row = f"| {labels} | {mean(wrong):.0f} +- {stdev(wrong):.0f} | {', '.join(map(str, wrong))} | "
        assert row + f"{result['ensembles'][str(labels)]} | " in text


def test_the_times_on_a_gpu_are_the_committed_result() -> None:
    text = (ROOT / "docs" / "semi-supervised.md").read_text()
    devices = json.loads((RESULTS / "gpu" / "gpu_step.json").read_text()).values()
    for columns in zip(*(device["rows"] for device in devices), strict=True):
        assert "| " + " | ".join(f"{row['ms']:.1f}" for row in columns) + " |" in text
    rows = json.loads((RESULTS / "gpu" / "gpu_step.json").read_text())["NVIDIA H200"]["rows"]
    alone = {row["cuda_graphs"]: row["ms"] for row in rows if row["seeds"] == 1}
    assert f"takes {alone[True]:.1f} ms in the place of {alone[False]:.1f} on an H200" in README


def test_the_released_subsets_are_the_committed_result() -> None:
    result = json.loads((RESULTS / "gpu" / "table1_100.json").read_text())
    text = (ROOT / "docs" / "semi-supervised.md").read_text()
    assert {run["epochs"] for run in result["runs"]} == {300}
    wrong = [run["wrong"] for run in sorted(result["runs"], key=lambda run: int(run["seed"]))]
    ensemble = result["ensembles"][0]["wrong"]
    of_ten = f"{mean(wrong):.1f} +- {stdev(wrong):.1f}"
    assert f"| wrong test digits | {' | '.join(map(str, wrong))} | {of_ten} | {ensemble} |" in text
    assert f"discriminator gets {of_ten} of the 10,000 test digits wrong" in README
    assert f"the ensemble of the ten {ensemble} (86 +- 5.6)" in README
    assert f"300 epochs in {result['runs'][0]['seconds'][0]} seconds" in text


def test_the_ten_that_were_cut_off_are_the_committed_result() -> None:
    result = json.loads((RESULTS / "gpu" / "table1_100_cut_off.json").read_text())
    text = " ".join((ROOT / "docs" / "semi-supervised.md").read_text().split())
    curve = result["epoch, wrong with averaged weights of each seed"]
    epoch, *wrong = curve[-1]
    assert f"cut off after {epoch} epochs: {', '.join(map(str, wrong[:-1]))} and {wrong[-1]} wrong" in text
    assert min(row[10] for row in curve) == 1250


def test_compiled_networks_on_a_gpu_are_the_committed_result() -> None:
    rows = json.loads((RESULTS / "gpu" / "gpu_step_compiled.json").read_text())["NVIDIA H200"]["rows"]
    ten = {row["compiled"]: row["ms"] for row in rows if row["seeds"] == 10}
    (one,) = (row["ms"] for row in rows if row["seeds"] == 1)
    text = " ".join((ROOT / "docs" / "semi-supervised.md").read_text().split())
    assert f"ten seeds with `cuda_graphs` take {ten[False]:.1f} ms, and one {one:.1f}," in text
    assert f"(the noise is the same) ten take {ten[True]:.1f} ms" in text


def test_the_distances_of_real_images_are_the_committed_result() -> None:
    result = json.loads((RESULTS / "fid_real.json").read_text())
    assert result["images of each set"] == 10_000
    text = (ROOT / "docs" / "metrics.md").read_text()
    found = result["fid768 of the first training images against"]
    for name, value in found.items():
        assert f"| {name} | {value:.4f} |" in text
    noisy = [value for name, value in found.items() if "noise" in name]
    assert len(noisy) == 4
    assert max(found["test"], found["other training images"]) < noisy[0]
    assert noisy == sorted(noisy)


def test_the_cost_of_an_evaluation_is_the_committed_result() -> None:
    result = json.loads((RESULTS / "evaluation_cost.json").read_text())
    text = (ROOT / "docs" / "metrics.md").read_text()
    assert f"take {result['ratio']:.3f} times the time of the bare network" in text
    assert f"at 2048 dimensions takes {result['seconds of the distance at 2048 dimensions']:.1f} s" in text
    assert len(set(result["state MB"].values())) == 1


def test_the_table_of_several_processes_is_the_committed_result() -> None:
    rows = json.loads((RESULTS / "ranks.json").read_text())["rows"]
    text = (ROOT / "docs" / "several-processes.md").read_text()
    columns = [(name, world) for name in ("unsupervised", "semi-supervised") for world in (1, 2, 4)]
    found = {(row["case"], row["experiment"], row["processes"]): row for row in rows}
    cases = list(dict.fromkeys(row["case"] for row in rows))
    assert len(cases) > 12
    for case in cases:
        cells = [found.get((case, *column)) for column in columns]
        shown = " | ".join("" if cell is None else f"{cell['weights']:.0e}" for cell in cells)
        assert f"| {case} | {shown} |" in text
        if case != "batch norm" and not case.startswith("local"):
            kinds = ("weights", "averages", "buffers", "moments")
            assert max(cell[kind] for cell in cells if cell for kind in kinds) <= 1e-12
    assert all(row["between processes, at validation"] == row["from the checkpoint"] == 0 for row in rows)


def test_the_sevens_with_a_bar_are_the_committed_result() -> None:
    found = json.loads((RESULTS / "crossed_sevens.json").read_text())
    text = (ROOT / "docs" / "semi-supervised.md").read_text().replace("\n", " ")
    runs = [run[1:] for run in found["runs (labels, seed, crossed sevens, wrong)"] if run[0] == 100]
    columns = zip(*sorted(runs, key=lambda run: run[2]), strict=True)
    for name, values in zip(("seed", "labelled sevens with a bar", "wrong test digits"), columns, strict=True):
        assert f"| {name} | {' | '.join(map(str, values))} |" in text
    assert f"the {len(found['rows'])} of {found['training sevens']} training sevens" in text
    none = found["chance of none by number of labels"]
    assert f"probability {none['100']:.2f}, so 1 in {1 / (1 - none['100']) ** 10:.0f} times" in text
    assert f"With 50 labels it is {none['50']:.2f}" in text
    released = found["released subsets 1 to 10 with 100 labels"]
    having = [str(seed) for seed, count in enumerate(released, 1) if count]
    assert f"{len(having)} have one: {', '.join(having[:-1])} and {having[-1]}" in text


def test_what_the_monitors_said_is_the_committed_result() -> None:
    text = (ROOT / "docs" / "monitors.md").read_text()
    runs = json.loads((RESULTS / "monitors.json").read_text())["runs"]
    assert min(run["seed"] for run in runs) >= 100  # the thresholds were chosen on others
    assert len(runs) - sum(run["as built"] for run in runs) == 1
    assert "One run in which G was to collapse found all modes by itself" in text.replace("\n", " ")
    missed = [run for run in runs if run["missed"] and run["as built"]]
    assert "In the two missed ones D was frozen" in text
    assert [run["events"][0][1] for run in missed] == ["collapsing"] * 2
    for kind in ("too strong", "too weak", "collapsing", "healthy"):
        own = [run for run in runs if run["kind"] == kind and run["as built"]]
        assert len(own) >= 8
        counts = [str(sum(run[name] for run in own)) for name in ("right", "late", "missed", "repeated", "false")]
        delays = [run["delay"] for run in own if run["delay"] is not None]
        delay = f"{max(delays):.3f}" if delays else ""
        assert f"| {kind} | {len(own)} | {' | '.join(counts)} | {delay} |" in text
    costs = json.loads((RESULTS / "monitor_cost.json").read_text())
    for name in ("ring", "digits"):
        cells = [
            f"{100 * costs[name]['inside'][kind]:.1f} % ({100 * (costs[name]['ratios'][kind] - 1):.1f} %)"
            for kind in ("balance", "coverage")
        ]
        assert f"| {name} | {' | '.join(cells)} |" in text


def test_the_monitors_thresholds_are_those_of_the_page() -> None:
    text = (ROOT / "docs" / "monitors.md").read_text()
    monitor = BalanceMonitor()
    window, collapse = monitor.watches[0].window, monitor.watches[0].collapse
    assert f"every {monitor.every_n_batches} training batches" in text
    assert window.size == collapse.size == 5
    assert f"D is right about {window.strong:.0%} or more".replace("%", " %") in text
    assert f"D is right about {window.weak:.0%} or fewer, while {window.differ:.0%} or more".replace("%", " %") in text
    assert f"missed variety is {collapse.missed} or more" in text
    assert f"at most {collapse.spread} times as far apart" in text


def test_what_slowing_down_changes_is_the_committed_result() -> None:
    runs = json.loads((RESULTS / "slow_down.json").read_text())["runs"]
    text = (ROOT / "docs" / "monitors.md").read_text()
    for slow_down, name in [(None, "none"), (0.1, "0.1")]:
        own = [run for run in runs if run["slow_down"] == slow_down]
        modes = sorted(run["modes"] for run in own)
        share = mean(run["too strong"] for run in own)
        each = ", ".join(map(str, modes))
        assert f"| {name} | {mean(modes):.1f} +- {stdev(modes):.1f} | {each} | {100 * share:.0f} % |" in text


def test_what_makes_a_batch_fast_is_the_committed_result() -> None:
    results = json.loads((RESULTS / "mnist_step.json").read_text())
    one, two = results["1 threads"], results["2 threads"]
    for variant in one["ms"]:
        cells = [
            cell
            for each in (one, two)
            for cell in (f"{median(each['ms'][variant]):.1f}", f"{each['faster'][variant]:.2f}")
        ]
        assert f"| {variant} | {' | '.join(cells)} |" in README


def test_the_unsupervised_mnist_runs_are_the_committed_results() -> None:
    text = (ROOT / "docs" / "semi-supervised.md").read_text()
    names = {
        "feature_matching": "feature matching",
        "best_three": "minibatch discrimination, label smoothing, virtual batch normalisation",
    }
    for file, name in names.items():
        with (RESULTS / f"mnist_gan_{file}.csv").open() as lines:
            (end,) = [row for row in csv.DictReader(lines) if row["test/classifier_score"]]
        classes = [100 * float(end[f"test/class_{i}"]) for i in range(10)]
        score, sure = float(end["test/classifier_score"]), 100 * float(end["test/confident_share"])
        assert f"| {name} | {score:.2f} | {sure:.1f} % | {min(classes):.1f} to {max(classes):.1f} % |" in text
