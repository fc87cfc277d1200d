"""Tables against made-up results."""

import copy
import json

import numpy as np
import pytest
from conftest import ROOT

from ser.experiments.aggregate import grouped
from ser.experiments.aggregate import summarize
from ser.experiments.model_tables import bundled_table
from ser.experiments.model_tables import centred_table
from ser.experiments.model_tables import corpora_table
from ser.experiments.model_tables import robustness_table
from ser.experiments.model_tables import strangers_summary
from ser.experiments.model_tables import strangers_table
from ser.experiments.model_tables import voice_table
from ser.experiments.noise_floor import in_words
from ser.experiments.projects import deviations_table
from ser.experiments.projects import lower_list
from ser.experiments.projects import projects_table
from ser.experiments.runs import Predictions
from ser.experiments.runs import read_predictions
from ser.experiments.runs import read_refits
from ser.experiments.tables import leaky_table
from ser.experiments.tables import protocol_tables
from ser.experiments.tables import refit_table
from ser.experiments.tables import variant_table
from ser.experiments.write_results import replace_block
from ser.reporting.plots import plot_side_by_side
from ser.reporting.report_file import load_report

RESULTS = load_report(ROOT / "results/cnn2d/tfds/seed-0")
SCORES = {"accuracy": 0.5, "interval_95": {"accuracy": [0.4, 0.6]}}


def changed(**fields) -> dict:
    return copy.deepcopy(RESULTS) | fields


def rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def test_seeds_of_one_recipe_and_protocol_share_a_row():
    runs = [changed(seed=seed, accuracy=accuracy) for seed, accuracy in ((0, 0.6), (1, 0.7))]
    table = rows(protocol_tables([*runs, changed(recipe="mel-2d")]))
    assert [(row[0], row[1], row[2]) for row in table] == [
        ("`mel-2d`", "1 seed", f"**{RESULTS['accuracy']:.3f}**"),
        ("`cnn2d`", "2 seeds", "**0.650**"),
    ]
    splits = [changed(split_seed=seed, accuracy=accuracy) for seed, accuracy in ((0, 0.6), (1, 0.7))]
    assert summarize(splits)["accuracy"] == pytest.approx(0.65)
    slower = changed(seed=1, device="another", wall_time_seconds=10**6)
    assert summarize([runs[0], slower])["training"] == summarize(runs[:1])["training"]


def test_printed_scores_stand_beside_ours():
    split = {"recipe": "class-1d", "protocol": "random-70-30"}
    runs = [changed(**split, seed=0, accuracy=0.5), changed(**split, seed=1, accuracy=0.54)]
    unseen = changed(recipe="class-1d", accuracy=0.51)
    random, strangers = (row for row in rows(projects_table([*runs, unseen])) if row[0] == "`class-1d`")
    assert random[1:4] == ["random 70/30", "2 seeds", "0.579"] and random[4].startswith("0.520 (")
    assert random[5] == "-0.059" and random[6].startswith("0.580 / ") and random[8].startswith("0.670 / ")
    assert strangers[1] == "unseen speakers" and strangers[3] == strangers[5] == ""  # the source has no such split
    low = changed(recipe="class-2d", protocol="random-70-30", accuracy=0.5, interval_95={"accuracy": [0.48, 0.52]})
    assert lower_list([low, unseen]) == "- `class-2d`: not explained."
    reduced = changed(**split, share_of_clips=0.2, interval_95={"accuracy": [0.48, 0.52]})
    assert lower_list([reduced]) == "- `class-1d`: trained on fewer clips."
    assert "**" not in rows(protocol_tables([reduced]))[0][2]


def test_every_recipe_of_a_class_project_says_what_it_chooses():
    table = rows(deviations_table())
    assert {row[0] for row in table} >= {"`class-1d`", "`mel-2d`", "`crnn-emodb`", "`exponet`"}
    assert all(row[2] and row[3] != "nothing" for row in table)
    assert [row[1] for row in table] == sorted(row[1] for row in table)


def test_each_corpus_and_protocol_has_its_section():
    runs = [changed(recipe="mel-2d", protocol=protocol, accuracy=0.9) for protocol in ("leaky", "tfds")]
    several = changed(corpus="EmoDB + nEMO", protocol="leave-one-corpus-out", test_corpus="URDU")
    text = protocol_tables([several, changed(corpus="EmoDB", protocol="loso", fold=1), *runs])
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "## CREMA-D, `tfds`",
        "## CREMA-D, `leaky`",
        "## EmoDB, `loso`",
        "## EmoDB + nEMO, tested on URDU, `leave-one-corpus-out`",
    ]
    assert "**0.900**" in text and "invalid: 0.900" in text and "**Invalid scores**" in text


def test_a_run_of_several_processes_without_mistakes_has_a_row():
    command = RESULTS["command"].replace("python", "torchrun --nproc_per_node 2", 1)
    (row,) = rows(protocol_tables([changed(command=command, most_confused=[])]))
    assert (row[1], row[-1]) == ("1 seed", "none")


def test_what_differs_from_a_recipe_is_a_system_of_its_own():
    runs = [
        changed(),
        changed(command=RESULTS["command"] + " --num_train_epochs 5.0 --disable_tqdm True"),
        changed(share_of_clips=0.2),
        changed(teachers=["a", "b"]),
        changed(fine_tuned_from="ser-flagship"),
        changed(refit=True),
        changed(variant="votes", protocol="actor-5fold", fold=1),
        changed(variant="votes"),  # in the table of variants
    ]
    names = [(system.name, system.share, system.changed) for system in grouped(runs)]
    assert names == [
        ("cnn2d", 1.0, ""),
        ("cnn2d", 1.0, "changed: num_train_epochs 5.0"),
        ("cnn2d", 0.2, ""),
        ("cnn2d, distilled", 1.0, ""),
        ("cnn2d, fine-tuned from ser-flagship", 1.0, ""),
        ("cnn2d, refit", 1.0, ""),
        ("cnn2d, votes", 1.0, ""),
    ]
    cells = [row[1] for row in rows(protocol_tables(runs[1:3]))]
    epochs = RESULTS["history"][-1]["epoch"]
    assert cells == ["1 seed; changed: num_train_epochs 5.0", f"1 seed; reduced: 20% of the clips, {epochs:.0f} epochs"]


def test_folds_are_pooled_before_scoring():
    right, wrong = np.diag([10] * 6), np.roll(np.diag([30] * 6), 1, axis=1)
    runs = [changed(fold=fold, confusion_matrix=m.tolist()) for fold, m in ((1, right), (2, wrong))]
    summary = summarize(runs)
    assert summary["accuracy"] == pytest.approx(60 / 240)  # not the mean of 1 and 0: the second fold is larger
    assert summary["uar"] == pytest.approx(0.25)
    assert summary["interval"].tolist() == [0, 1]  # over folds: both drawn wrong, or both right
    assert summary["runs"] == "1 seed, 2 folds"
    assert summarize([runs[0] | {"fold": fold} for fold in (1, 3)])["runs"] == "1 seed, folds 1, 3"
    begun = [runs[0] | {"protocol": "actor-5fold", "fold": fold} for fold in (1, 2)]
    assert summarize(begun)["runs"] == "1 seed, folds 1, 2"
    unlike = [changed(fold=fold, labels=["anger", "sad"], confusion_matrix=[[6, 2], [1, 1]]) for fold in (1, 2)]
    scores = [summarize(unlike)[name] for name in ("accuracy", "uar", "macro_f1")]
    assert scores == pytest.approx([7 / 10, (6 / 8 + 1 / 2) / 2, (12 / 15 + 2 / 5) / 2])


def test_an_emotion_that_no_fold_holds_has_no_recall():
    matrix = [[5, 1, 0], [1, 5, 0], [0, 0, 0]]
    own = {"corpus": "mine", "protocol": "loso", "labels": ["calm", "cross", "shy"], "confusion_matrix": matrix}
    assert summarize([changed(**own, fold=fold) for fold in (1, 2)])["uar"] == pytest.approx(5 / 6)


def test_the_bootstrap_resamples_actors_where_they_are_known():
    folds = []
    for fold in (1, 2):  # of two actors each: one is always classified correctly, the other never
        clips = [f"{2 * fold + actor}_{clip}" for actor in (0, 1) for clip in range(6)]
        labels, predicted = np.tile(np.arange(6), 2), np.concatenate([np.arange(6), np.roll(np.arange(6), 1)])
        matrix = (np.eye(6, dtype=int) + np.roll(np.eye(6, dtype=int), -1, axis=0)).tolist()
        folds.append(changed(fold=fold, confusion_matrix=matrix, predictions=Predictions(clips, labels, predicted)))
    summary = summarize(folds)
    assert summary["accuracy"] == 0.5
    assert summary["interval"].tolist() == [0, 1]  # over folds, it would be 0.5 to 0.5


def test_a_seed_that_lacks_folds_is_not_averaged_with_complete_ones():
    whole = [changed(protocol="actor-5fold", fold=fold) for fold in range(1, 6)]
    more = changed(protocol="actor-5fold", fold=1, seed=1, confusion_matrix=np.eye(6, dtype=int).tolist(), accuracy=1.0)
    assert protocol_tables([*whole, more]) == protocol_tables(whole)


def test_the_most_robust_bundled_model_comes_first():
    robust = {"clean": {"accuracy": 0.1}, "noise": {"accuracy": 0.6}, "room": {"accuracy": 0.7}}
    fragile = {"clean": {"accuracy": 0.9}, "noise": {"accuracy": 0.2}, "room": {"accuracy": 0.3}}
    table = bundled_table(
        {name: changed(parameters=1234) for name in ("unmeasured", "fragile", "robust")},
        {"fragile": fragile, "robust": robust},
        {"fragile": {"mine": SCORES}, "robust": {"yours": SCORES}},
    )
    assert table.startswith("| model | CREMA-D, unseen actors | noise, rooms, codecs | mine | yours | parameters |")
    low, high = RESULTS["interval_95"]["accuracy"]
    clean = f"{RESULTS['accuracy']:.3f} ({low:.3f} to {high:.3f})"
    assert rows(table) == [
        ["`robust`", clean, "0.650", "", "0.500 (0.400 to 0.600)", "1,234"],
        ["`fragile`", clean, "0.250", "0.500 (0.400 to 0.600)", "", "1,234"],
        ["`unmeasured`", clean, "", "", "", "1,234"],
    ]


def test_a_model_measured_in_part_has_no_mean():
    whole = {"clean": {"accuracy": 0.7, "change": 0.0}, "noise": {"accuracy": 0.61, "change": -0.09}}
    whole["room"] = {"accuracy": 0.63, "change": -0.07}
    part = {name: whole[name] for name in ("clean", "noise")}
    for models in ({"whole": whole, "part": part}, {"part": part, "whole": whole}):
        table = {row[0]: dict(zip(models, row[1:], strict=True)) for row in rows(robustness_table(models))}
        assert table["room"] == {"whole": "0.630 (-0.070)", "part": ""}
        assert table["mean of all 2 changed conditions"] == {"whole": "0.620", "part": ""}
    better = {name: scores | {"accuracy": 0.9} for name, scores in part.items()}
    table = bundled_table({name: changed() for name in ("part", "whole")}, {"part": better, "whole": whole}, {})
    assert [(row[0], row[2]) for row in rows(table)] == [("`whole`", "0.620"), ("`part`", "")]


def test_a_corpus_has_scores_a_majority_baseline_and_the_emotion_predicted_too_often():
    scores = SCORES | {"clips": 454, "speakers": 10, "uar": 0.45, "labels": ["anger", "sad"]}
    scores |= {"intended": {"sad": 254, "anger": 200}, "answered": {"sad": 100, "anger": 354}}
    half, always = "0.500 (0.400 to 0.600), UAR 0.450", "0.559, UAR 0.500"
    too_often = "anger: 78 %, intended 44 %"
    assert rows(corpora_table({"a": {"EmoDB": scores}, "b": {"mine": scores | {"speakers": None}}})) == [
        ["EmoDB", "454", "10", half, ""],
        ["always sad", "", "", always, ""],
        ["predicted too often", "", "", too_often, ""],
        ["mine", "454", "unknown", "", half],
        ["always sad", "", "", "", always],
        ["predicted too often", "", "", "", too_often],
    ]


def test_variants_are_compared_on_dev_in_a_table_of_their_own():
    def on_dev(uar, **fields):
        return changed(parts=RESULTS["parts"] | {"dev": RESULTS["parts"]["dev"] | {"uar": uar}}, **fields)

    measured = {"conditions": {"clean": {"accuracy": 0.7}, "noise": {"accuracy": 0.6}}, "corpora": {"mine": SCORES}}
    measured["conditions_on_dev"] = {"clean": {"accuracy": 0.7}, "noise": {"accuracy": 0.55}}
    votes = on_dev(0.58, variant="votes", **measured)
    runs = [on_dev(0.60), on_dev(0.62, seed=1), votes, on_dev(0.9, recipe="cnn1d")]
    assert [row[:7] for row in rows(variant_table(runs))] == [
        ["`cnn2d`", "none", "2", "0.610", "", "", ""],
        ["`cnn2d`", "`votes`", "1", "0.580 (-0.030)", "0.550", "0.600", "mine 0.500 (0.400 to 0.600)"],
    ]
    more = {name: {"accuracy": accuracy} for name, accuracy in (("clean", 0.7), ("noise", 0.4), ("room", 0.2))}
    refit = changed(refit=True, parts={}, conditions=more)
    runs[1] |= {"conditions": more}
    changed_clips = [row[5] for row in rows(variant_table([refit, *runs]))]
    assert changed_clips == ["0.400", "0.600"]  # the mean over the conditions measured of both


def test_a_refit_is_compared_on_the_same_clips():
    clips, labels = [f"100{actor}_{clip}" for actor in (1, 2) for clip in (0, 1)], np.zeros(4, dtype=int)
    before, after = (Predictions(clips, labels, np.array(each)) for each in ([0, 1, 0, 1], [0, 0, 0, 1]))
    run = changed(variant="votes", refit=True, protocol="actor-5fold")
    (row,) = rows(refit_table([(run | {"fold": 1}, before, after), (run | {"fold": 2}, after, after)]))
    assert row[:4] == ["`cnn2d, votes`", "CREMA-D", "`actor-5fold`", "1 seed, folds 1, 2"]
    assert row[4:] == ["0.625", "0.750", "+0.125 (+0.000 to +0.250)"]  # over the two actors
    loso = [({**run, "protocol": "loso", "fold": fold, "interval_over": "clips"}, before, after) for fold in (1, 2)]
    (row,) = rows(refit_table(loso))
    assert row[6] == "+0.250 (+0.250 to +0.250)"  # over folds, which are alike
    (row,) = rows(refit_table([(run | {"corpus": "mine", "fold": None}, before, after)]))
    assert row[6].startswith("+0.250 (+0.000 to +0.")  # over clips, as their speakers are unknown


def test_a_refit_is_found_beside_the_run_before_it(tmp_path):
    folder = tmp_path / "cnn2d/actor-5fold"
    runs = {"fold-1-seed-0": "0.6,0.4", "fold-1-refit-seed-0": "0.1,0.9", "fold-2-refit-seed-0": "1,0"}
    for name, probabilities in runs.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "predictions.csv").write_text(f"clip,label,anger,sad\na,sad,{probabilities}\n")
        (folder / name / "results.json").write_text(json.dumps(RESULTS | {"recipe": name}))
    ((run, before, after),) = read_refits(tmp_path)  # the second fold lacks the run before it
    assert run["recipe"] == "fold-1-refit-seed-0"
    assert (before.hits.tolist(), after.hits.tolist()) == ([False], [True])
    assert read_predictions(folder / "fold-1-seed-0").clips == ["a"]
    (folder / "fold-1-seed-0/predictions.csv").write_text("clip,label,anger,sad\nb,sad,0,1\n")
    with pytest.raises(ValueError, match="expected the same test split"):
        list(read_refits(tmp_path))


def test_copies_in_the_training_split_are_scored_apart():
    clips = ["1001_a", "1001_b", "1001_b", "1002_c"]  # neither copy of b is in the training split
    (row,) = rows(leaky_table({"mel-2d": Predictions(clips, np.array([0, 1, 2, 3]), np.array([0, 1, 3, 3]))}))
    assert row == ["`mel-2d`", "0.750", "1.000 (1.000 to 1.000), 2 clips", "0.500 (0.000 to 1.000), 2 clips"]


def test_the_noise_floor_is_described_for_the_loudest_and_the_quietest_emotion():
    levels = {name: {"0.5": level} for name, level in (("sad", -18.4), ("fear", -25.0), ("anger", -34.8))}
    report = {"below_the_voice_db": levels, "always_the_commonest": 0.171}
    words = in_words(report | {"own_noise": {"accuracy": 0.3}, "other_noise": {"accuracy": 0.2}})
    assert "35 dB below the voice for anger, 18 dB for sad" in words
    assert "0.300 on unseen actors, of 0.200 with other noise in its place (0.171 by" in words


def test_two_networks_share_one_scale():
    figure = plot_side_by_side({"zcr-energy-1d": RESULTS, "mel-2d": RESULTS})
    left, right = figure.axes
    assert left.get_ylim() == right.get_ylim()
    assert [len(line.get_xdata()) for line in left.lines] == [len(line.get_xdata()) for line in right.lines]
    assert "mel-2d" in right.get_title()


def test_the_markers_of_a_generated_block_must_be_there():
    text = "a\n<!-- x: written by make results -->\nold\n<!-- end of x -->\nb"
    assert replace_block(text, "x", "new\n") == text.replace("old", "new")
    with pytest.raises(ValueError, match="put them back"):
        replace_block("no markers", "x", "table")


def test_strangers_speech_has_a_row_for_each_kind():
    figure = {"clips": 9, "accuracy": 0.5, "uar": 0.4, "confidence": 0.45, "certain": 0.2, "certain_right": 0.75}
    figure |= {"certain_wrong": 0.05, "recall": {"happy": 0.4, "sad": 0.6}}
    figure |= {"before": figure | {"accuracy": 0.4}}
    strangers = {"own": {"CREMA-D": figure}, "corpora": {"URDU": figure}, "ordinary": figure, "ordinary_title": "talk"}
    table = rows(strangers_table({"a": strangers, "b": strangers | {"own": {}}}))
    assert [row[:4] for row in table] == [
        ["`a`", "CREMA-D, unseen speakers", "9", "0.40 → 0.50"],
        ["`a`", "URDU", "9", "0.40 → 0.50"],
        ["`a`", "talk, ordinary speech", "9", "0.40 → 0.50"],
        ["`b`", "URDU", "9", "0.40 → 0.50"],
        ["`b`", "talk, ordinary speech", "9", "0.40 → 0.50"],
    ]


def voiced(accuracy: float, *, with_three: bool = True) -> dict:
    """Scores of a kind of speech without, with one and perhaps with three recordings of the ordinary voice."""
    figure = {"clips": 1200, "speakers": 2, "accuracy": accuracy, "certain": 0.3, "certain_right": 0.7}
    figure |= {"without": 0.4, "certain_wrong": 0.06, "recall": {"happy": 0.4, "sad": 0.6}}
    before = {"before": figure | {"accuracy": 0.35}}
    three = {"3": figure | {"accuracy": accuracy + 0.1}} if with_three else {}
    return figure | before | {"accuracy": 0.4, "ordinary_voice": {"1": figure} | three}


def test_an_ordinary_voice_has_a_row_for_each_kind_of_speech_that_has_neutral_clips():
    corpora = {
        "nEMO": voiced(0.5),
        "URDU": voiced(0.5, with_three=False),
        "words": voiced(0.5) | {"ordinary_voice": {}},
    }
    strangers = {"own": {}, "corpora": corpora, "ordinary": voiced(0.7), "ordinary_title": "talk"}
    assert rows(voice_table({"a": strangers, "b": strangers | {"corpora": {}, "ordinary": {}}})) == [
        ["`a`", "nEMO", "1,200", "2", "0.40 → 0.50 → 0.60", "0.30 → 0.30", "0.70 → 0.70", "0.06 → 0.06"],
        ["`a`", "URDU", "1,200", "2", "0.40 → 0.50", "0.30", "0.70", "0.06"],
        [
            "`a`",
            "talk, ordinary speech",
            "1,200",
            "2",
            "0.40 → 0.70 → 0.80",
            "0.30 → 0.30",
            "0.70 → 0.70",
            "0.06 → 0.06",
        ],
    ]


def test_the_summary_has_a_second_row_where_an_ordinary_voice_was_measured():
    point = {"threshold": 0.5, "certain": 0.2, "right": 0.71}
    strangers = {"own": {}, "corpora": {"nEMO": voiced(0.5), "URDU": voiced(0.6)}, "ordinary": voiced(0.7)}
    strangers |= {"curve": [point], "certain_threshold": 0.5, "ordinary_voice": None}
    voice = {"curve": [point | {"certain": 0.36}], "certain_threshold": 0.5}
    first, again, second = rows(strangers_summary({"a": strangers, "b": strangers | {"ordinary_voice": voice}}))
    assert first == ["`a`", "0.350 → 0.400", "20%", "71%", "35% → 40%", "6% → 6%", ""] and again[1:] == first[1:]
    assert second[0].startswith("the same, with one sentence")
    assert second[1:] == ["0.400 → 0.550", "36%", "71%", "40% → 70%", "6%", ""]


def test_centring_has_a_row_for_each_kind_of_speech():
    figure = {
        "clips": 1200,
        "speakers": 2,
        "prevailing": 0.3,
        "accuracy": 0.5,
        "uar": 0.4,
        "certain": 0.2,
        "certain_right": 0.75,
    }
    others = {"centred": figure | {"accuracy": 0.7}, "centred_few": figure | {"accuracy": 0.6, "certain_right": None}}
    acted, talk = (figure | others | {"recall": dict.fromkeys(labels, 0.4)} for labels in ("ab", "b"))
    strangers = {"own": {}, "corpora": {"URDU": acted}, "ordinary": talk, "ordinary_title": "talk"}
    change = ["0.50 → 0.60 → 0.70", "0.40 → 0.40 → 0.40", "0.20 → 0.20 → 0.20", "0.75 → - → 0.75"]
    assert rows(centred_table({"a": strangers})) == [
        ["`a`", "URDU", "1,200", "2", "0.30", *change],
        ["`a`", "talk, ordinary speech", "1,200", "2", "0.30", change[0], "", *change[2:]],
    ]
