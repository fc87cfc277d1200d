"""Rewrite everything that is made from results files and code: tables, bundled model cards, bundled model code.

python -m ser.regenerate    # or: make results
"""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from ser.corpora.splits import PROTOCOLS
from ser.files import write_text
from ser.model_card import render_card
from ser.recipes import load_recipe

ROOT = Path(__file__).parent.parent
CREMA_D = "CREMA-D"  # reports older than the second corpus do not name theirs
BEGIN, END = "<!-- results: written by make results -->", "<!-- end of results -->"
COLUMNS = (
    "recipe",
    "corpus",
    "protocol",
    "runs",
    "accuracy",
    "95 % interval",
    "UAR",
    "macro F1",
    "listeners",
    "printed",
    "parameters",
    "most confused",
)
LEGEND = """
Test part only; the epoch is chosen on the dev part. Accuracy, UAR and F1 are means over the runs named (seeds, folds);
the interval is the bootstrap over test actors, drawn again 2,000 times, its ends averaged over the runs.
Protocol `tfds`: 1,556 clips of 19 actors who are in no other part; `actor-5fold`: blocks of unseen actors;
`random`: the same actors on all sides, so not a figure for unseen speakers; `leaky`: copies of test clips in training.
Printed: the accuracy that the authors of the recipe's source print, under a protocol of their own.
Most confused: the largest confusion of the first run.
Listeners: share of single audio-only votes of CREMA-D's raters that name the intended emotion, on the same test clips.
"""


def read_results(folder: Path) -> list[dict]:
    """The content of every `results.json` of a run below `folder`."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*/*/*/results.json"))]


def results_table(results: list[dict]) -> str:
    """One Markdown row for each recipe and protocol, the most accurate recipe of a protocol first."""
    groups = defaultdict(list)
    for result in results:
        corpus = result.get("corpus", CREMA_D)
        groups[corpus, PROTOCOLS.index(result["protocol"]), result["recipe"]].append(result | {"corpus": corpus})
    head = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    best_first = sorted(groups.items(), key=lambda item: (item[0][:2], -np.mean([run["accuracy"] for run in item[1]])))
    return head + "".join(_row(runs) for _, runs in best_first)


def _row(runs: list[dict]) -> str:
    first, recipe = runs[0], load_recipe(runs[0]["recipe"])
    mean = {name: np.mean([run[name] for run in runs]) for name in ("accuracy", "uar", "macro_f1")}
    low, high = np.mean([run["interval_95"]["accuracy"] for run in runs], axis=0)
    listeners = [run["human_single_vote_accuracy"] for run in runs]
    names = sorted(
        " ".join(filter(None, [f"fold {run['fold']}" if run["fold"] else "", f"seed {run['seed']}"])) for run in runs
    )
    confused = "{label} as {heard_as}".format(**first["most_confused"][0])
    if recipe.printed_confusion:
        confused += f" (source: {'/'.join(recipe.printed_confusion)})"
    cells = [
        f"`{first['recipe']}`",
        first["corpus"],
        f"`{first['protocol']}`",
        ", ".join(names),
        "invalid: {:.3f}".format(mean["accuracy"]) if first["protocol"] == "leaky" else f"**{mean['accuracy']:.3f}**",
        f"{low:.3f} to {high:.3f}",
        f"{mean['uar']:.3f}",
        f"{mean['macro_f1']:.3f}",
        "" if None in listeners else f"{np.mean(listeners):.3f}",
        f"{recipe.printed_accuracy:.3f}" if recipe.printed_accuracy else "",
        f"{first['parameters']:,}",
        confused,
    ]
    return f"| {' | '.join(cells)} |\n"


def replace_block(text: str, block: str) -> str:
    """`text` with what stands between the two markers replaced.

    Raises:
        ValueError: The markers are not there.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"expected one {BEGIN!r} and one {END!r}; put them back")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{block}{END}{rest.split(END)[1]}"


def regenerate(root: Path) -> dict[Path, str]:
    """Every text that is made from results, by path."""
    table = results_table(read_results(root / "results")) + LEGEND
    readme = root / "README.md"
    texts = {
        root / "results/README.md": f"# Results\n\nWritten by `make results` from the `results.json` files.\n\n{table}",
        readme: replace_block(readme.read_text(encoding="utf-8"), table),
    }
    for path in (root / "checkpoints").glob("*/results.json"):
        texts[path.parent / "README.md"] = render_card(json.loads(path.read_text(encoding="utf-8")))
        for code in path.parent.glob("*_ser.py"):
            texts[code] = (root / "ser" / code.name).read_text(encoding="utf-8")
    return texts


def main() -> None:
    """Write them all."""
    for path, text in regenerate(ROOT).items():
        write_text(path, text)


if __name__ == "__main__":
    main()
