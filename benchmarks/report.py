"""Write `docs/benchmarks.md` from what the benchmarks measured: nothing in it is typed.

python -m benchmarks.report
"""

from pathlib import Path

from benchmarks.turns import ROOT
from ser.experiments.tables import markdown_table as table
from ser.files import read_json
from ser.files import write_text

REPORT = ROOT / "docs/benchmarks.md"
NAMES = ("features", "training", "memory", "inference", "one_core", "growth", "page", "load")
OTHERS = ("librosa", "transformers", "openSMILE eGeMAPS")
SHARES = ("data", "forward", "backward", "optimizer", "evaluation", "checkpoint")
LATENCY = ["model", "parameters", "times", "p50 (ms)", "p95 (ms)", "ratio to cnn1d", "ratio to cnn2d"]
TITLE = """# Benchmarks

Written by `make bench` from the reports in [results/benchmarks](../results/benchmarks). Every ratio compares two sides
of one run on one machine: the median over rounds in which they alternate, with the smallest and the largest. Training
runs its sides one after the other; its ratios compare median epochs, with the extremes of any two epochs.
The benchmarks were not all run on the same day: the last table has the commit of each.
"""
FEATURES = """
## Features

Clips per second from WAV files, and how many times longer the others take than ours ({clips} clips, {rounds} rounds).
The floor is decoding and the Fourier transform alone: at 100 % we would take no longer than that.
`transformers` is `ASTFeatureExtractor`, which computes 128 bands and pads to 10 s; openSMILE's eGeMAPS ({opensmile})
are other features, 88 numbers a clip.

{table}"""
TRAINING = """
## Training

Seconds from raw audio to the end of the first epoch, and of a later one, each with its evaluation; Keras does what the
class projects do: features by librosa in a loop, everything in memory, padded to 400 frames. Same clips, same epochs,
no actor in two splits; accuracies are on clips of unseen actors, with their 95 % interval over actors. Training is as
short as a benchmark has to be, so they are far from those of a full one.
{augmented}Threads: {threads}. Keras runs with {keras}.

{table}
Peak memory is that of the process; of it, the libraries alone take what stands behind the slash, and behind the plus
are the workers that load data, counted with the pages that they share with it. Keras' network has as many parameters
as ours, running statistics included: {parameters}.

### Where our time goes

Shares of a later epoch; what is left is logging and housekeeping. GFLOP/s are those of forward, backward and optimizer
together, and the share is that of what a {size} x {size} matrix multiplication reaches here
({fp32} GFLOP/s in fp32, {bf16} in bf16).

{shares}"""
# Of reports from before the recipe did as the class project does.
CHANGED_ANEW = """When this was measured, the recipe `zcr-energy-1d` changed each clip anew in each epoch, where the
class project does it once, before training, as the recipe does by now; "not augmented" leaves that out, so that later
epochs do the same work. """
MEMORY = """
### Memory

Largest resident size of a training on the CPU, from raw audio to the report: one epoch over a fixed {share:.0%} of the
clips of CREMA-D; `flagship-distilled` without its teachers. A full training of a recipe whose clips keep their lengths
may gather more: the peak memory of each is in the [results](results.md). Workers load and augment the clips of some
recipes; what they hold alone, not shared with the process, was looked up every half second.

{table}"""
INFERENCE = """
## Inference

One clip of {seconds} s through `pipeline`, as often as stated, and throughput in batches of {batch}. The others have
random weights: their cost is compared. Ratios: how many times longer they take than ours.

{pipeline}
The networks alone in onnxruntime:

{onnx}
From the start of a process to its first answer: {start_up}.
"""
ONE_CORE = """
### On one core

One clip of {clip_seconds} s, features included, by `pipeline` and by the ONNX file that `ser export-onnx` writes; the
ranges of its 8 bits are read off clips of the training split. The last column: what 8 bits change on the test split of
CREMA-D (`tfds`), with the 95 % interval over its actors.

{table}"""
GROWTH = """
## Growth

Seconds after the imports, and peak memory; each size is a process of its own, median of {rounds}. The exponent is that
of time over size: 1 is linear, less means that something is paid once.

{table}
![Time and memory at 1, 4 and 16 times the size](../results/benchmarks/growth.png)
"""
PAGE = """
## The page

From the end of a recording of 3 s to the bars: {page[clip_3s_ms_p50]} ms (median of {page[recordings]});
half an hour of speech: {page[file_30min_s]} s. {load[clients]} clients at once: {load[requests_per_second]} requests a
second, {load[wrong]} wrong answers, {load[lost]} lost, half of them within {load[p50_ms]} ms.

"""


def listed(versions: dict[str, str]) -> str:
    """Packages and their versions."""
    return ", ".join(f"{package} {number}" for package, number in versions.items())


def ratio(figure: dict) -> str:
    """A median ratio and its spread."""
    return f"**{figure['median']:.1f}** ({figure['min']:.1f} to {figure['max']:.1f})"


def features(report: dict) -> str:
    """Clips per second and ratios, by threads and set."""
    rows = []
    for threads, sets in report["threads"].items():
        for name, figures in sets.items():
            others = figures["ratios"]
            cells = [ratio(others[side]) if side in others else "" for side in OTHERS]
            share = others["floor"]["median"]
            rows.append([name, threads, f"{figures['clips_per_second']['ours']:,}", *cells, f"{share:.0%}"])
    columns = ["features", "processes", "clips/s", *OTHERS, "floor"]
    return FEATURES.format(table=table(columns, rows), **report)


def training(report: dict) -> str:
    """Sides of each recipe, and where our time goes."""
    rows, shares, parameters = [], [], []
    for recipe, run in report["recipes"].items():
        for side, figures in run["sides"].items():
            low, high = figures["interval_95"]
            against = run["ratios"].get(side)
            rows.append(
                [
                    f"`{recipe}`",
                    side,
                    f"{figures['first_epoch_s']:.1f}",
                    f"{figures['later_epoch_s']['median']:.1f}",
                    f"**{against['first_epoch']:.1f}**" if against else "",
                    ratio(against["later_epoch"]) if against else "",
                    memory_cell(figures),
                    f"{figures['accuracy']:.3f} ({low:.3f} to {high:.3f})",
                ]
            )
            if against:
                shares.append([f"`{recipe}`", side, *share_cells(figures, side, report["matmul_gflops"])])
        counts = {f"{figures['parameters']:,}" for figures in run["sides"].values()}
        parameters.append(f"{' and '.join(sorted(counts))} (`{recipe}`)")
    columns = ["recipe", "side", "first epoch (s)", "later epoch (s)", "Keras / ours, first", "Keras / ours, later"]
    return TRAINING.format(
        augmented=CHANGED_ANEW if any("not augmented" in row[1] for row in rows) else "",
        threads=report["threads"],
        keras=listed(next(iter(report["recipes"].values()))["sides"]["Keras"]["versions"]),
        table=table([*columns, "memory (MiB)", "accuracy"], rows),
        parameters=", ".join(parameters),
        size=report["matmul_size"],
        fp32=report["matmul_gflops"]["fp32"]["median"],
        bf16=report["matmul_gflops"]["bf16"]["median"],
        shares=table(["recipe", "side", *SHARES, "GFLOP/s", "of the ceiling"], shares),
    )


def memory(report: dict) -> str:
    """What each recipe needs."""
    rows = [
        [f"`{recipe}`", f"{figures['peak_gib']:.1f}", f"{figures['workers_gib']:.1f}" if figures["workers_gib"] else ""]
        for recipe, figures in report["recipes"].items()
    ]
    return MEMORY.format(share=report["share_of_clips"], table=table(["recipe", "GiB", "workers (GiB)"], rows))


def memory_cell(figures: dict) -> str:
    """Peak memory of a process, of its libraries alone, and of the workers that load its data."""
    workers = f" + {figures['workers']} x {figures['worker_peak_mib']:,}" if figures.get("workers") else ""
    return f"{figures['peak_mib']:,} / {figures['imports_mib']:,}{workers}"


def share_cells(figures: dict, side: str, ceilings: dict) -> list[str]:
    """What one of our sides spends its time on, and how close it comes to the ceiling."""
    ceiling = ceilings["bf16" if "bf16" in side else "fp32"]["median"]
    shares = [f"{figures['shares'].get(name, 0.0):.0%}" for name in SHARES]
    return [*shares, f"{figures['gflops_computing']:.0f}", f"{figures['gflops_computing'] / ceiling:.0%}"]


def inference(report: dict) -> str:
    """Latencies, throughputs and start-up."""
    first, second = (report["start_up_s"][name] for name in ("cnn2d", "wav2vec2-base"))
    said = [
        f"{name} {figure['median']:.1f} s ({figure['min']:.1f} to {figure['max']:.1f})"
        for name, figure in (("`cnn2d`", first), ("wav2vec2-base", second))
    ]
    return INFERENCE.format(
        seconds=report["clip_seconds"],
        batch=report["batch"],
        pipeline=table(
            [*LATENCY, "clips/s", "clips", "memory (MiB)"],
            [
                [
                    *latency_cells(name, figures),
                    f"{figures['clips_per_second']['median']:.1f}",
                    f"{report['clips_a_round'][name] * report['rounds']:,}",
                    f"{figures['peak_mib']:,}",
                ]
                for name, figures in report["pipeline"].items()
            ],
        ),
        onnx=table(LATENCY, [latency_cells(name, figures) for name, figures in report["onnx"].items()]),
        start_up=", ".join(said),
    )


def latency_cells(name: str, figures: dict) -> list[str]:
    """One model."""
    ratios = figures.get("latency_ratios", {})
    cells = [
        name,
        f"{figures['parameters']:,}",
        figures["clips"],
        f"{figures['p50_ms']:.1f}",
        f"{figures['p95_ms']:.1f}",
    ]
    return [*cells, *(ratio(ratios[ours]) if ratios else "" for ours in ("cnn1d", "cnn2d"))]


def one_core(report: dict) -> str:
    """Operations, latencies and sizes of our own models, and what is lost in 8 bits."""
    columns = ["model", "parameters", "MMACs", "pipeline (ms)", "ONNX (ms)", "8 bits (ms)", "MB", "MB in 8 bits"]
    rows = []
    for name, figures in report["models"].items():
        cells = [name, f"{figures['parameters']:,}", f"{figures['macs'] / 1e6:.0f}"]
        cells += [f"{times['median']:.1f}" for times in figures["milliseconds"].values()]
        low, high = figures["accuracy"]["change_interval_95"]
        change = f"{figures['accuracy']['change']:+.3f} ({low:+.3f} to {high:+.3f})"
        rows.append([*cells, *figures["megabytes"].values(), change])
    return ONE_CORE.format(table=table([*columns, "accuracy in 8 bits"], rows), **report)


def growth(report: dict) -> str:
    """Time and memory by task and size."""
    rows = []
    for task, grown in report["tasks"].items():
        sizes = [f"{entry['size']:,} {grown['unit']}" for entry in grown["sizes"]]
        seconds = [f"{entry['seconds']['median']:.1f}" for entry in grown["sizes"]]
        memory = [f"{entry['peak_mib']['median']:,.0f}" for entry in grown["sizes"]]
        rows.append([task, *(" / ".join(each) for each in (sizes, seconds, memory)), grown["exponent"]])
    columns = ["task", "sizes", "seconds", "peak memory (MiB)", "exponent of time"]
    return GROWTH.format(rounds=report["rounds"], table=table(columns, rows))


def machines(reports: dict[str, dict]) -> str:
    """The code, the machine and the versions of each benchmark; the first ones did not note their commit."""
    rows = []
    for name, report in reports.items():
        processor = f"{report['cpu']}, {report['cores']} cores, {report['machine']}"
        rows.append([name, report.get("git_commit", "not noted")[:9], processor, listed(report["versions"])])
    return "## Machine and versions\n\n" + table(["benchmark", "commit", "machine", "versions"], rows)


def render(folder: Path) -> str:
    """The report of the JSON files in a folder."""
    reports = {name: read_json(folder / f"{name}.json") for name in NAMES}
    sections = [write(reports[name]) for name, write in SECTIONS.items()]
    page = PAGE.format(page=reports["page"], load=reports["load"])
    return TITLE + "".join(sections) + page + machines(reports)


SECTIONS = {
    "features": features,
    "training": training,
    "memory": memory,
    "inference": inference,
    "one_core": one_core,
    "growth": growth,
}


if __name__ == "__main__":
    write_text(REPORT, render(ROOT / "results/benchmarks"))
