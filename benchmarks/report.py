"""Write `docs/benchmarks.md` from the reports of the benchmarks.

python -m benchmarks.report
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.turns import ROOT
from ser.experiments.tables import markdown_table as table
from ser.files import read_json
from ser.files import write_text
from ser.plural import counted

REPORT = ROOT / "docs/benchmarks.md"
NAMES = ("features", "training", "inference", "growth", "page", "load")
PEER = "wav2vec2-base"
KINDS = ("products", "batch norm", "pooling", "rest")
SHARES = ("data", "forward", "backward", "optimizer", "evaluation", "checkpoint")
TITLE = """# Benchmarks

Written by `make bench` from the reports in [results/benchmarks](../results/benchmarks). Every ratio compares two sides
of one run on one machine: the median over rounds in which they alternate, with the smallest and the largest. Training
runs its sides one after the other; its ratios compare median epochs, with the extremes of any two epochs.
The last table has the commit of each benchmark.
"""
FEATURES = """
## Features

Clips per second from WAV files on one core, and how many times longer librosa takes for the same features ({clips}
clips, {rounds} rounds). The floor is decoding and the Fourier transform alone: at 100 % we would take no longer.

{table}
### Where our time goes

Microseconds per clip, medians. The first two rows are the floor; each of the others is a few passes of numpy over
arrays of up to a few hundred kilobytes.

{steps}"""
TRAINING = """
## Training

Seconds from raw audio to the end of the first epoch, and for a later epoch, including evaluation. Keras is used as in
the class projects: features by librosa in a loop, everything in memory, padded to 400 frames. All sides use the same
clips, the same kinds of changed copies (`zcr-energy-1d`) and as many epochs. Threads: {threads}. Keras runs with
{keras}.

{table}
Memory is the peak of the process; after the slash, that of its libraries alone; after a plus, if there is one, that of
the workers that load data. The Keras networks have as many parameters as ours, including running statistics:
{parameters}.

### Where our time goes

Shares of a later epoch; the rest is logging and housekeeping. GFLOP/s are the multiplications and additions of a whole
epoch, including evaluation, per second; the ceiling is what a {size} x {size} matrix multiplication reaches on this
machine ({fp32} GFLOP/s in fp32, {bf16} in bf16).

{shares}
Shares of the forward and backward passes. Products are convolutions and matrix products. Everything else does only a
few operations per value of a feature map and waits for memory, which keeps an epoch below the ceiling.

{operations}"""
INFERENCE = """
## Answers

One clip of {seconds} s on one core, features included: by `pipeline`, and by the ONNX file that `ser export-onnx`
writes. wav2vec2-base has random weights, so only its cost is compared. Both are used as `pipeline` loads them: our 2D
networks compute in bfloat16 where the processor has it, wav2vec2-base in float32. The limit is a network's
multiplications at the speed of a product of large matrices on that core, in the same type.

{clips}
`ser predict` on {many:,} clips of CREMA-D (Ogg Vorbis), without its start: {by_cores}.
From the start of a process to its first answer: {start_up}.
"""
GROWTH = """
## Growth

Seconds after the imports, and peak memory; each size runs in its own process, median of {rounds}. The exponent is that
of time as a power of size: 1 is linear, less means that there are fixed costs.

{table}
![Time and memory at 1, 4 and 16 times the size](../results/benchmarks/growth.png)
"""
PAGE = """
## The page

From the end of a recording of 3 s to the bars: {clip} ms (median of {recordings}); half an hour of speech: {long} s.
Concurrent visitors, each of whom waits for an answer before asking again:

{table}
"""


def listed(versions: dict[str, str]) -> str:
    """Packages and their versions."""
    return ", ".join(f"{package} {number}" for package, number in versions.items())


def ratio(figure: dict) -> str:
    """A median ratio and its spread."""
    return f"**{figure['median']:.1f}** ({figure['min']:.1f} to {figure['max']:.1f})"


def features(report: dict) -> str:
    """Clips per second and ratios by set, and microseconds by step."""
    rows = []
    for name, figures in report["sets"].items():
        ours, others = figures["clips_per_second"]["ours"], figures["ratios"]
        rows.append([name, f"{ours:,}", ratio(others["librosa"]), f"{others['floor']['median']:.0%}"])
    sets = report["microseconds"]
    names = dict.fromkeys(step for steps in sets.values() for step in ("decoding", "Fourier transform", *steps))
    steps = [[name, *(str(steps.get(name, "")) for steps in sets.values())] for name in names]
    return FEATURES.format(
        table=table(["features", "clips/s", "librosa / ours", "of the floor"], rows),
        steps=table(["step", *sets], steps),
        **report,
    )


def training(report: dict) -> str:
    """Sides of each recipe, and where our time goes."""
    rows, shares, operations, parameters = [], [], [], []
    for recipe, run in report["recipes"].items():
        for side, figures in run["sides"].items():
            against = run["ratios"].get(side)
            rows.append(
                [
                    f"`{recipe}`",
                    side,
                    f"{run['sizes']['train']:,}",
                    f"{figures['first_epoch_s']:.1f}",
                    f"{figures['later_epoch_s']['median']:.1f}",
                    f"**{against['first_epoch']:.1f}**" if against else "",
                    ratio(against["later_epoch"]) if against else "",
                    memory_cell(figures),
                ]
            )
            if side != "Keras":
                shares.append([f"`{recipe}`", side, *share_cells(figures, side, report["matmul_gflops"])])
                operations.append([f"`{recipe}`", side, *(f"{figures['operations'][kind]:.0%}" for kind in KINDS)])
        if run["ratios"]:
            counts = {f"{figures['parameters']:,}" for figures in run["sides"].values()}
            parameters.append(f"{' and '.join(sorted(counts))} (`{recipe}`)")
    columns = ["recipe", "side", "clips", "first epoch (s)", "later epoch (s)", "Keras / ours, first"]
    return TRAINING.format(
        threads=report["threads"],
        keras=listed(report["recipes"]["mel-2d"]["sides"]["Keras"]["versions"]),
        table=table([*columns, "Keras / ours, later", "memory (MiB)"], rows),
        parameters=", ".join(parameters),
        size=report["matmul_size"],
        fp32=report["matmul_gflops"]["fp32"]["median"],
        bf16=report["matmul_gflops"]["bf16"]["median"],
        shares=table(["recipe", "side", *SHARES, "GFLOP/s", "of the ceiling"], shares),
        operations=table(["recipe", "side", *KINDS], operations),
    )


def memory_cell(figures: dict) -> str:
    """Peak memory of a process, of its libraries alone, and of the workers that load its data."""
    workers = f" + {figures['workers']} x {figures['worker_peak_mib']:,}" if figures.get("workers") else ""
    return f"{figures['peak_mib']:,} / {figures['imports_mib']:,}{workers}"


def share_cells(figures: dict, side: str, ceilings: dict) -> list[str]:
    """What one of our sides spends its time on, and how close it comes to the ceiling."""
    shares = [f"{figures['shares'].get(name, 0.0):.0%}" for name in SHARES]
    return [*shares, f"{figures['gflops_epoch']:.0f}", f"{figures['gflops_epoch'] / ceiling_of(side, ceilings):.0%}"]


def ceiling_of(side: str, ceilings: dict) -> float:
    """GFLOP/s of a matrix multiplication in the precision of one of our sides."""
    return ceilings["bf16" if "bf16" in side else "fp32"]["median"]


def inference(report: dict) -> str:
    """Single clips, many clips and starts."""
    rows = []
    for name, entry in report["one_core"].items():
        limit = entry.get("limit_ms", {}).get("median")
        share = f"{limit / entry['p50_ms']:.0%}" if limit else ""
        cells = [f"{entry['parameters']:,}" if "parameters" in entry else "", f"{entry['p50_ms']:.2f}"]
        cells += [f"{entry['p95_ms']:.2f}", ratio(entry["ratio"]), f"{limit:.2f}" if limit else "", share]
        rows.append([name, *cells, f"{entry['peak_mib']:,}"])
    columns = ["model", "parameters", "p50 (ms)", "p95 (ms)", f"{PEER} / ours", "limit (ms)", "of the limit", "MiB"]
    rates = report["many_clips_per_second"].items()
    return INFERENCE.format(
        seconds=report["clip_seconds"],
        clips=table(columns, rows),
        many=report["many"],
        by_cores=", ".join(f"{rate['median']:,.0f} clips/s on {counted(int(cores), 'core')}" for cores, rate in rates),
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


def page(report: dict, load: dict) -> str:
    """Seconds to an answer, alone and among other visitors."""
    columns = ["visitors", "requests a second", "p50 (ms)", "p95 (ms)", "wrong answers", "no answer", "memory (MiB)"]
    keys = ("requests_per_second", "p50_ms", "p95_ms", "wrong", "lost", "memory_mib")
    rows = [[visitors, *(str(figures[key]) for key in keys)] for visitors, figures in load["visitors"].items()]
    figures = {"clip": report["clip_3s_ms_p50"], "recordings": report["recordings"], "long": report["file_30min_s"]}
    return PAGE.format(table=table(columns, rows), **figures)


def in_short(reports: dict[str, dict]) -> str:
    """One row for each task: ours, the peer, the limit, and how we stand to both."""
    rows = [*feature_rows(reports["features"]), *training_rows(reports["training"])]
    rows += [*answer_rows(reports["inference"]), *growth_rows(reports["growth"])]
    return "\n## In short\n\n" + table(["task", "ours", "peer", "limit", "times the peer", "of the limit"], rows) + "\n"


def feature_rows(report: dict) -> Iterator[list[str]]:
    """Features on one core, beside librosa and the floor of decoding and FFT."""
    for name, entry in report["sets"].items():
        rates, ratios = entry["clips_per_second"], entry["ratios"]
        cells = [f"{rates['ours']:,} clips/s", f"librosa {rates['librosa']:,}", f"decoding and FFT {rates['floor']:,}"]
        shares = [f"{ratios['librosa']['median']:.1f}", f"{ratios['floor']['median']:.0%}"]
        yield [f"features: {name}", *cells, *shares]


def training_rows(report: dict) -> Iterator[list[str]]:
    """A later epoch of our sides, beside Keras and the speed of matrix products."""
    for recipe, run in report["recipes"].items():
        keras = run["sides"].get("Keras")
        for side, entry in run["sides"].items():
            if side == "Keras":
                continue
            ceiling = ceiling_of(side, report["matmul_gflops"])
            cells = [f"{entry['later_epoch_s']['median']:.1f} s"]
            cells += [f"Keras {keras['later_epoch_s']['median']:.1f} s" if keras else "", f"{ceiling:.0f} GFLOP/s"]
            cells += [f"{run['ratios'][side]['later_epoch']['median']:.1f}" if keras else ""]
            yield [
                f"an epoch of `{recipe}`, {run['sizes']['train']:,} clips, {side.split()[-1]}",
                *cells,
                f"{entry['gflops_epoch'] / ceiling:.0%}",
            ]


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
        ours = f"{16 ** grown['exponent']:.1f} x the time, {grown['memory_ratio']} x the memory"
        yield [f"16 x {task}", ours, "", "16 x, 1 x", "", ""]


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
    sections.append(page(reports["page"], reports["load"]))
    return TITLE + in_short(reports) + "".join(sections) + machines(reports)


SECTIONS = {
    "features": features,
    "training": training,
    "inference": inference,
    "growth": growth,
}


if __name__ == "__main__":
    text = render(ROOT / "results/benchmarks")
    write_text(REPORT, text)
    print(text.partition("\n## Features")[0])
