"""Write `docs/benchmarks.md` from what the benchmarks measured: nothing in it is typed.

python -m benchmarks.report
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.turns import ROOT
from ser.experiments.tables import markdown_table as table
from ser.files import read_json
from ser.files import write_text

REPORT = ROOT / "docs/benchmarks.md"
NAMES = ("features", "training", "inference", "growth", "page", "load")
PEER = "wav2vec2-base"
OTHERS = ("librosa", "transformers", "openSMILE eGeMAPS")
SHARES = ("data", "forward", "backward", "optimizer", "evaluation", "checkpoint")
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
INFERENCE = """
## Answers

One clip of {seconds} s on one core, features included: by `pipeline`, and by the ONNX file that `ser export-onnx`
writes. wav2vec2-base has random weights: its cost is compared. The limit is a network's multiplications at the speed of
a product of large matrices on that core.

{clips}
`ser predict` on {many:,} clips of CREMA-D (Ogg Vorbis), its start left out: {by_cores}.
From the start of a process to its first answer: {start_up}.
"""
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
    """Single clips, many clips and starts."""
    rows = []
    for name, entry in report["one_core"].items():
        limit = entry.get("limit_ms", {}).get("median")
        share = f"{limit / entry['p50_ms']:.0%}" if limit else ""
        cells = [f"{entry['parameters']:,}" if "parameters" in entry else "", f"{entry['p50_ms']:.2f}"]
        cells += [f"{entry['p95_ms']:.2f}", ratio(entry["ratio"]), f"{limit:.2f}" if limit else "", share]
        rows.append([name, *cells, f"{entry['peak_mib']:,}"])
    columns = ["model", "parameters", "p50 (ms)", "p95 (ms)", f"{PEER} / it", "limit (ms)", "of the limit", "MiB"]
    rates = report["many_clips_per_second"].items()
    return INFERENCE.format(
        seconds=report["clip_seconds"],
        clips=table(columns, rows),
        many=report["many"],
        by_cores=", ".join(f"{rate['median']:,.0f} clips/s on {cores} core(s)" for cores, rate in rates),
        start_up=", ".join(f"`{name}` {seconds['median']:.1f} s" for name, seconds in report["start_up_s"].items()),
    )


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


def in_short(reports: dict[str, dict]) -> str:
    """One row for each task: ours, the peer, the limit, and how we stand to both."""
    rows = [*feature_rows(reports["features"]), *training_rows(reports["training"])]
    rows += [*answer_rows(reports["inference"]), *growth_rows(reports["growth"])]
    return "\n## In short\n\n" + table(["task", "ours", "peer", "limit", "times the peer", "of the limit"], rows) + "\n"


def feature_rows(report: dict) -> Iterator[list[str]]:
    """Features on one core, beside librosa and the floor of decoding and FFT."""
    for name, entry in report["threads"]["1"].items():
        rates, ratios = entry["clips_per_second"], entry["ratios"]
        cells = [f"{rates['ours']:,} clips/s", f"librosa {rates['librosa']:,}", f"decoding and FFT {rates['floor']:,}"]
        shares = [f"{ratios['librosa']['median']:.1f}", f"{ratios['floor']['median']:.0%}"]
        yield [f"features: {name}", *cells, *shares]


def training_rows(report: dict) -> Iterator[list[str]]:
    """A later epoch in the faster precision, beside Keras and the speed of matrix products."""
    for recipe, run in report["recipes"].items():
        side = "ours, bf16"
        entry, ceiling = run["sides"][side], report["matmul_gflops"]["bf16"]["median"]
        keras = run["sides"]["Keras"]["later_epoch_s"]["median"]
        cells = [f"{entry['later_epoch_s']['median']:.1f} s", f"Keras {keras:.1f} s", f"{ceiling:.0f} GFLOP/s in bf16"]
        shares = [f"{run['ratios'][side]['later_epoch']['median']:.1f}", f"{entry['gflops_computing'] / ceiling:.0%}"]
        yield [f"an epoch of `{recipe}`", *cells, *shares]


def answer_rows(report: dict) -> Iterator[list[str]]:
    """One clip, many clips and the start of the default model."""
    peer = report["one_core"][f"{PEER} pipeline"]
    for name, entry in report["one_core"].items():
        if name.endswith("pipeline") and not name.startswith(PEER):
            limit = entry["limit_ms"]["median"]
            cells = [f"{entry['p50_ms']:.1f} ms", f"{PEER} {peer['p50_ms']:.0f} ms", f"{limit:.1f} ms of products"]
            shares = [f"{entry['ratio']['median']:.0f}", f"{limit / entry['p50_ms']:.0%}"]
            yield [f"one clip on one core: {name.split()[0]}", *cells, *shares]
    rates = {int(cores): rate["median"] for cores, rate in report["many_clips_per_second"].items()}
    slow, most = peer["clips_per_second"]["median"], max(rates)
    shares = [f"{rates[1] / slow:.0f} on one core", f"{rates[most] / (most * rates[1]):.0%}"]
    cells = [f"{rates[most]:,.0f} clips/s on {most} cores", f"{PEER} {slow:.1f} on one", f"{most} x {rates[1]:,.0f}"]
    yield ["many clips", *cells, *shares]
    starts = {name: seconds["median"] for name, seconds in report["start_up_s"].items()}
    for name, seconds in starts.items():
        if name != PEER:
            cells = [f"{seconds:.1f} s", f"{PEER} {starts[PEER]:.1f} s", "", f"{starts[PEER] / seconds:.1f}", ""]
            yield [f"first answer of `{name}`", *cells]


def growth_rows(report: dict) -> Iterator[list[str]]:
    """Whether 16 times the size takes 16 times the time, and no more memory."""
    for task, grown in report["tasks"].items():
        yield [f"16 x {task}", f"time^{grown['exponent']}, memory x {grown['memory_ratio']}", "", "time^1, x 1", "", ""]


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
    return TITLE + in_short(reports) + "".join(sections) + page + machines(reports)


SECTIONS = {
    "features": features,
    "training": training,
    "inference": inference,
    "growth": growth,
}


if __name__ == "__main__":
    page = render(ROOT / "results/benchmarks")
    write_text(REPORT, page)
    print(page.partition("\n## Features")[0])
