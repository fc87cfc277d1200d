"""Tables against results made up here."""

import copy
import json

import numpy as np
import pytest
from conftest import ROOT

from ser.experiments.aggregate import Predictions
from ser.experiments.aggregate import summarize
from ser.experiments.findings import copies_figures
from ser.experiments.findings import folds_figures
from ser.experiments.findings import noise_floor_figures
from ser.experiments.findings import paired_differences
from ser.experiments.findings import sentences_figures
from ser.experiments.findings import together_figures
from ser.experiments.model_tables import bundled_table
from ser.experiments.model_tables import corpora_table
from ser.experiments.model_tables import robustness_table
from ser.experiments.tables import protocol_table
from ser.experiments.tables import recipe_table
from ser.experiments.tables import refit_table
from ser.experiments.tables import variant_table
from ser.experiments.write_results import read_predictions
from ser.experiments.write_results import read_refits
from ser.reporting.model_card import render_card
from ser.reporting.plots import plot_side_by_side

RESULTS = json.loads((ROOT / "results/cnn2d/tfds/seed-0/results.json").read_text())


def changed(**fields) -> dict:
    return copy.deepcopy(RESULTS) | fields


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_a_run_without_a_mistake_confuses_nothing():
    assert rows(recipe_table([changed(most_confused=[])]))[0][-1] == "none"
    assert "None of them is confused" in render_card(changed(most_confused=[]))


def test_seeds_of_one_recipe_and_protocol_share_a_row():
    runs = [changed(seed=seed, accuracy=accuracy) for seed, accuracy in ((0, 0.6), (1, 0.7))]
    table = rows(protocol_table([*runs, changed(recipe="mel-2d")]))
    assert [(row[0], row[3], row[4]) for row in table] == [
        ("`mel-2d`", "1 seed", f"**{RESULTS['accuracy']:.3f}**"),
        ("`cnn2d`", "2 seeds", "**0.650**"),
    ]
    assert "(source: fear/sad)" in table[0][-1]
    splits = [changed(split_seed=seed, accuracy=accuracy) for seed, accuracy in ((0, 0.6), (1, 0.7))]
    assert summarize(splits)["accuracy"] == pytest.approx(0.65)
    slower = changed(seed=1, device="another", wall_time_seconds=10**6)
    assert summarize([runs[0], slower])["training"] == summarize(runs[:1])["training"]


def test_an_emotion_that_no_fold_holds_has_no_recall():
    matrix = [[5, 1, 0], [1, 5, 0], [0, 0, 0]]
    own = {"corpus": "mine", "protocol": "loso", "labels": ["calm", "cross", "shy"], "confusion_matrix": matrix}
    assert summarize([changed(**own, fold=fold) for fold in (1, 2)])["uar"] == pytest.approx(5 / 6)


def test_a_run_of_several_processes_or_of_an_unknown_size_in_memory_has_a_row():
    command = RESULTS["command"].replace("python", "torchrun --nproc_per_node 2", 1)
    (row,) = rows(protocol_table([changed(command=command, peak_memory_gib=None)]))
    assert (row[3], row[10]) == ("1 seed", "")


def test_folds_are_put_together_before_the_figure():
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
    figures = [summarize(unlike)[name] for name in ("accuracy", "uar", "macro_f1")]
    assert figures == pytest.approx([7 / 10, (6 / 8 + 1 / 2) / 2, (12 / 15 + 2 / 5) / 2])
    assert summarize([runs[0] | {"fold": 2, "seed": seed} for seed in (0, 1)])["runs"] == "2 seeds, fold 2"


def test_where_actors_are_known_they_are_drawn_again_and_not_folds():
    folds = []
    for fold in (1, 2):  # of two actors each, of whom one is always heard rightly and one never
        clips = [f"{2 * fold + actor}_{clip}" for actor in (0, 1) for clip in range(6)]
        labels, guesses = np.tile(np.arange(6), 2), np.concatenate([np.arange(6), np.roll(np.arange(6), 1)])
        matrix = (np.eye(6, dtype=int) + np.roll(np.eye(6, dtype=int), -1, axis=0)).tolist()
        folds.append(changed(fold=fold, confusion_matrix=matrix, predictions=Predictions(clips, labels, guesses)))
    summary = summarize(folds)
    assert summary["accuracy"] == 0.5
    assert summary["interval"].tolist() == [0, 1]  # all four draws of one kind; over the folds, it would be 0.5 to 0.5


def test_a_recipe_has_one_row_with_each_kind_of_split():
    runs = [
        changed(recipe="mel-2d", protocol="tfds", accuracy=0.55),
        changed(recipe="mel-2d", protocol="random-70-30", accuracy=0.61),
        changed(recipe="mel-2d", protocol="leaky", accuracy=0.91),
        changed(recipe="crnn-emodb", corpus="EmoDB", protocol="loso", fold=3, accuracy=0.71),
        changed(recipe="crnn-emodb", corpus="EmoDB", protocol="random", accuracy=0.81),
    ]
    (mel,) = rows(recipe_table(runs))  # another corpus stands in the other table
    assert (mel[0], mel[1]) == ("`mel-2d`", "0.877")
    assert mel[2].startswith("0.610") and mel[3].startswith("**0.550**") and mel[4].startswith("invalid: 0.910")


def test_the_bundled_model_that_bears_changes_best_comes_first():
    elsewhere = {"accuracy": 0.5, "interval_95": {"accuracy": [0.4, 0.6]}}
    sturdy = {"clean": {"accuracy": 0.1}, "noise": {"accuracy": 0.6}, "room": {"accuracy": 0.7}}
    fragile = {"clean": {"accuracy": 0.9}, "noise": {"accuracy": 0.2}, "room": {"accuracy": 0.3}}
    table = bundled_table(
        {name: changed(parameters=1234) for name in ("unasked", "fragile", "sturdy")},
        {"fragile": fragile, "sturdy": sturdy},
        {"fragile": {"mine": elsewhere}, "sturdy": {"yours": elsewhere}},
    )
    assert table.startswith("| model | unseen actors | the same clips, changed | mine | yours | parameters |")
    low, high = RESULTS["interval_95"]["accuracy"]
    clean = f"{RESULTS['accuracy']:.3f} ({low:.3f} to {high:.3f})"
    assert rows(table) == [
        ["`sturdy`", clean, "0.650", "", "0.500 (0.400 to 0.600)", "1,234"],
        ["`fragile`", clean, "0.250", "0.500 (0.400 to 0.600)", "", "1,234"],
        ["`unasked`", clean, "", "", "", "1,234"],
    ]


def test_a_reduced_budget_is_marked_and_gives_way_to_a_full_run():
    reduced = changed(recipe="exponet", share_of_clips=0.2, accuracy=0.3)
    (row,) = rows(recipe_table([reduced]))
    epochs = RESULTS["history"][-1]["epoch"]
    assert f"reduced: 20% of the clips, {epochs:.0f} epochs" in row[3] and "**" not in row[3]
    last = rows(recipe_table([reduced | {"accuracy": 0.9}, changed(recipe="mel-2d")]))[1]
    assert last[0] == "`exponet`"  # however accurate it is
    for order in ([reduced, changed(recipe="exponet")], [changed(recipe="exponet"), reduced]):
        (row,) = rows(recipe_table(order))
        assert row[3].startswith(f"**{RESULTS['accuracy']:.3f}**") and "reduced" not in row[3]


def test_two_networks_share_one_scale():
    figure = plot_side_by_side({"zcr-energy-1d": RESULTS, "mel-2d": RESULTS})
    left, right = figure.axes
    assert left.get_ylim() == right.get_ylim()
    assert [len(line.get_xdata()) for line in left.lines] == [len(line.get_xdata()) for line in right.lines]
    assert "mel-2d" in right.get_title()


def test_variants_are_judged_on_dev_in_a_table_of_their_own():
    def on_dev(uar, **fields):
        return changed(parts=RESULTS["parts"] | {"dev": RESULTS["parts"]["dev"] | {"uar": uar}}, **fields)

    figures = {"accuracy": 0.5, "interval_95": {"accuracy": [0.4, 0.6]}}
    elsewhere = {"conditions": {"clean": {"accuracy": 0.7}, "noise": {"accuracy": 0.6}}, "corpora": {"mine": figures}}
    elsewhere["conditions_on_dev"] = {"clean": {"accuracy": 0.7}, "noise": {"accuracy": 0.55}}
    votes = on_dev(0.58, variant="votes", **elsewhere)
    runs = [on_dev(0.60), on_dev(0.62, seed=1), votes, on_dev(0.9, recipe="cnn1d")]
    table = variant_table(runs).partition("\n\n")[0]
    assert [row[:7] for row in rows(table)] == [
        ["`cnn2d`", "as it is", "2", "0.610", "", "", ""],
        ["`cnn2d`", "`votes`", "1", "0.580 (-0.030)", "0.550", "0.600", "mine 0.500 (0.400 to 0.600)"],
    ]
    more = {name: {"accuracy": accuracy} for name, accuracy in (("clean", 0.7), ("noise", 0.4), ("room", 0.2))}
    refit = changed(refit=True, parts={}, conditions=more)
    runs[1] |= {"conditions": more}
    changed_clips = [row[5] for row in rows(variant_table([refit, *runs]).partition("\n\n")[0])]
    assert changed_clips == ["0.400", "0.600"]  # the mean over what was measured of both
    assert len(rows(protocol_table(runs))) == 2  # without the variant
    assert variant_table(runs[:2]).startswith("None is trained yet.")


def test_the_folds_of_a_variant_have_a_row_by_protocol_and_none_by_recipe():
    runs = [changed(variant="votes", protocol="actor-5fold", fold=fold) for fold in range(1, 6)]
    (row,) = rows(protocol_table(runs))
    assert (row[0], row[2], row[3]) == ("`cnn2d, votes`", "`actor-5fold`", "1 seed, 5 folds")
    assert rows(recipe_table([*runs, changed()]))[0][0] == "`cnn2d`" and not rows(recipe_table(runs))
    assert variant_table(runs).startswith("None is trained yet.")
    words = folds_figures([*runs, changed()], "actor-5fold")
    figures = f"UAR {RESULTS['uar']:.3f}, accuracy {RESULTS['accuracy']:.3f} ("
    assert words.startswith(f"- `cnn2d, votes`: {figures}") and words.endswith("); 1 seed, 5 folds\n")
    assert folds_figures([*runs, *(run | {"refit": True} for run in runs[:4])], "actor-5fold") == words
    assert not folds_figures(runs[:4], "actor-5fold").strip()
    assert not folds_figures([run | {"corpus": "my-clips"} for run in runs], "actor-5fold").strip()
    known = changed(variant="votes", protocol="random", accuracy=0.9)
    with_known = folds_figures([*runs, known, changed(protocol="random")], "actor-5fold").splitlines()
    assert with_known[0] == words.strip() and len(with_known) == 2
    assert with_known[1].startswith("  (the same speakers in training and test, `random`: 0.900 (")


def test_two_networks_together_stand_beside_the_first_of_them():
    clips, labels = [f"100{actor}_{clip}" for actor in (1, 2) for clip in (0, 1)], np.array([0, 1, 0, 1])
    alone, both = (Predictions(clips, labels, np.array(guesses)) for guesses in ([0, 0, 0, 0], [0, 1, 0, 0]))
    assert together_figures(alone, {"`cnn1d`": both, "both": alone}) == (
        "- with `cnn1d`: UAR 0.750, accuracy 0.750 (0.500 to 1.000), which is +0.250 (+0.000 to +0.500)\n"
        "- with both: UAR 0.500, accuracy 0.500 (0.500 to 0.500), which is +0.000 (+0.000 to +0.000)\n"
    )


def test_unseen_sentences_stand_beside_the_same_clips_with_their_sentences_heard():
    runs = changed(variant="votes")
    clips = [645, 456, RESULTS["test_clips"] - 645 - 456]
    folds = [runs | {"protocol": "new-sentences", "fold": n, "test_clips": clips[n - 1]} for n in (1, 2, 3)]
    another_seed = runs | {"accuracy": 0.8, "seed": runs["seed"] + 1}
    heard = [runs | {"accuracy": 0.75}, changed(accuracy=0.9), runs | {"protocol": "random"}, another_seed]
    assert "heard" not in sentences_figures([*folds[:2], *heard])  # other clips, as a fold is missing
    line, beside = sentences_figures([*folds, *heard]).splitlines()
    assert line.startswith("- `cnn2d, votes`: UAR 0.") and line.endswith("; 1 seed, 3 folds")
    assert beside == "  (the same clips, their sentences heard in training: 0.750)"
    assert "heard" not in sentences_figures([*folds, *heard[1:]])


def test_a_distilled_network_has_a_row_of_its_own():
    taught = changed(teachers=["a", "b"], accuracy=0.75)
    assert [row[0] for row in rows(recipe_table([changed(), taught]))] == ["`cnn2d, distilled`", "`cnn2d`"]


def test_a_fine_tuned_network_has_a_row_of_its_own_and_is_no_fold_of_another():
    tuned = changed(fine_tuned_from="ser-flagship", accuracy=0.75)
    first, second = rows(recipe_table([changed(), tuned]))
    assert first[0] == "`cnn2d, fine-tuned from ser-flagship`" and first[3].startswith("**0.750**")
    assert second[0] == "`cnn2d`" and second[3].endswith("; 1 seed")


def test_what_was_trained_on_the_dev_part_too_has_a_row_of_its_own():
    refit = changed(refit=True, accuracy=0.75)
    assert [row[0] for row in rows(recipe_table([changed(refit=False), refit]))] == ["`cnn2d, refit`", "`cnn2d`"]
    assert [row[0] for row in rows(protocol_table([changed(variant="votes", refit=True)]))] == ["`cnn2d, votes, refit`"]
    folds = [changed(variant="votes", refit=True, protocol="actor-5fold", fold=fold) for fold in range(1, 6)]
    assert folds_figures(folds, "actor-5fold").startswith("- `cnn2d, votes, refit`: UAR ")


def test_training_on_the_dev_part_too_is_judged_on_the_same_clips():
    clips, labels = [f"100{actor}_{clip}" for actor in (1, 2) for clip in (0, 1)], np.zeros(4, dtype=int)
    before, after = (Predictions(clips, labels, np.array(guesses)) for guesses in ([0, 1, 0, 1], [0, 0, 0, 1]))
    run = changed(variant="votes", refit=True, protocol="actor-5fold")
    refits = [(run | {"fold": 1}, before, after), (run | {"fold": 2}, after, after)]
    (row,) = rows(refit_table([*refits]).partition("\n\n")[0])
    assert row[:4] == ["`cnn2d, votes`", "CREMA-D", "`actor-5fold`", "1 seed, folds 1, 2"]
    assert row[4:] == ["0.625", "0.750", "+0.125 (+0.000 to +0.250)"]  # actor 1001 alone is drawn twice, or not at all
    loso = [({**run, "protocol": "loso", "fold": fold, "interval_over": "clips"}, before, after) for fold in (1, 2)]
    (row,) = rows(refit_table(loso).partition("\n\n")[0])
    assert row[6] == "+0.250 (+0.250 to +0.250)"  # folds are drawn, which are alike
    (row,) = rows(refit_table([(run | {"corpus": "mine", "fold": None}, before, after)]).partition("\n\n")[0])
    assert row[6].startswith("+0.250 (+0.000 to +0.")  # clips are, whose names do not tell who speaks


def test_a_seed_that_lacks_folds_is_not_averaged_with_whole_ones():
    whole = [changed(protocol="actor-5fold", fold=fold) for fold in range(1, 6)]
    more = changed(protocol="actor-5fold", fold=1, seed=1, confusion_matrix=np.eye(6, dtype=int).tolist(), accuracy=1.0)
    assert rows(protocol_table([*whole, more])) == rows(protocol_table(whole))


def test_a_run_that_says_otherwise_than_its_recipe_is_marked_and_gives_way_to_one_that_does_not():
    shorter = changed(command=RESULTS["command"] + " --num_train_epochs 5.0 --disable_tqdm True", accuracy=0.3)
    (row,) = rows(recipe_table([shorter]))
    assert row[3].endswith("; 1 seed; changed: num_train_epochs 5.0")
    assert [row[3] for row in rows(protocol_table([shorter, changed()]))] == [
        "1 seed",
        "1 seed; changed: num_train_epochs 5.0",
    ]
    for order in ([shorter, changed()], [changed(), shorter]):
        (row,) = rows(recipe_table(order))
        assert row[3].startswith(f"**{RESULTS['accuracy']:.3f}**") and "changed" not in row[3]


def test_corpora_are_rows_and_models_columns():
    figures = {"clips": 454, "speakers": 10, "accuracy": 0.5, "interval_95": {"accuracy": [0.4, 0.6]}}
    figures |= {"intended": {"sad": 254, "anger": 200}, "answered": {"sad": 100, "anger": 354}}
    figures |= {"uar": 0.45, "labels": ["anger", "sad"]}
    half, always = "0.500 (0.400 to 0.600), UAR 0.450", "0.559, UAR 0.500"
    too_often = "anger: 78 %, intended 44 %"
    table = corpora_table({"a": {"EmoDB": figures}, "b": {"EmoDB": figures, "mine": figures | {"speakers": None}}})
    assert rows(table) == [
        ["EmoDB", "454", "10", half, half],
        ["always sad", "", "", always, always],
        ["answered too often", "", "", too_often, too_often],
        ["mine", "454", "unknown", "", half],
        ["always sad", "", "", "", always],
        ["answered too often", "", "", "", too_often],
    ]


def test_the_noise_is_told_of_the_loudest_and_the_quietest_emotion():
    named = {"accuracy": 0.3, "interval_95": {"accuracy": [0.2, 0.4]}, "test_clips": 1556}
    levels = {name: {"0.5": level} for name, level in (("sad", -18.4), ("fear", -25.0), ("anger", -34.8))}
    report = {"below_the_voice_db": levels, "own_noise": named, "other_noise": named, "protocol": "tfds"}
    report["always_the_commonest"] = 0.171
    words = " ".join(noise_floor_figures(report).split())
    assert "lies 35 dB below the voice in a clip of anger, and 18 dB below it in one of sad" in words
    assert "an accuracy of 0.300 (0.200 to 0.400) (`tfds`, 1,556 clips" in words
    assert "always naming the commonest emotion has 0.171" in words


def test_models_are_compared_on_the_same_clips():
    hits = {"`flagship-distilled`": np.array([1, 1, 0, 1]) > 0, "`cnn2d`": np.array([0, 1, 0, 0]) > 0}
    words = paired_differences(hits, ["a", "a", "b", "b"])
    assert words.startswith("Accuracy of `flagship-distilled` less that of `cnn2d` +0.500 (+0.500 to +0.500):\n")
    assert "the same 4 clean clips" in words


def test_several_models_together_answer_by_their_mean_probability(tmp_path):
    answers = {"one": ("a,sad,0.6,0.4", "b,anger,0.9,0.1"), "two": ("a,sad,0.1,0.9", "b,anger,0.2,0.8")}
    for name, rows in (answers | {"other": answers["one"][::-1]}).items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "predictions.csv").write_text("\n".join(["clip,label,anger,sad", *rows, ""]))
    assert read_predictions(tmp_path / "one").hits.tolist() == [False, True]
    assert read_predictions(tmp_path / "two").hits.tolist() == [True, False]
    assert read_predictions(tmp_path / "one", tmp_path / "two").hits.tolist() == [True, True]
    with pytest.raises(ValueError, match="the same test part"):
        read_predictions(tmp_path / "one", tmp_path / "other")


def test_a_refit_is_found_beside_the_run_before_it(tmp_path):
    folder = tmp_path / "cnn2d/actor-5fold"
    runs = {"fold-1-seed-0": "0.6,0.4", "fold-1-refit-seed-0": "0.1,0.9", "fold-2-refit-seed-0": "1,0"}
    for name, guesses in runs.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "predictions.csv").write_text(f"clip,label,anger,sad\na,sad,{guesses}\n")
        (folder / name / "results.json").write_text(json.dumps({"seed": name}))
    ((run, before, after),) = read_refits(tmp_path)  # of the second fold, the run before it is missing
    assert run == {"seed": "fold-1-refit-seed-0"}
    assert (before.hits.tolist(), after.hits.tolist()) == ([False], [True])
    (folder / "fold-1-seed-0/predictions.csv").write_text("clip,label,anger,sad\nb,sad,0,1\n")
    with pytest.raises(ValueError, match="expected the same test part"):
        list(read_refits(tmp_path))


def test_clips_known_from_training_are_told_from_the_others():
    clips = ["1001_a", "1001_b", "1001_b", "1002_c"]  # b twice, so neither copy of it was in training
    predictions = Predictions(clips, np.array([0, 1, 2, 3]), np.array([0, 1, 3, 3]))
    words = copies_figures({"mel-2d": predictions})
    assert words.startswith("- `mel-2d`: 0.750 in all (its authors print 0.877), which is\n")
    assert "1.000 (1.000 to 1.000) on the 2 test clips whose copy is in the training part" in words
    assert "and 0.500 (0.000 to 1.000) on the 2 others." in words
    words = copies_figures({"cnn2d": predictions})  # nobody printed a figure for it
    assert words.startswith("- `cnn2d`: 0.750 in all, which is\n")


def test_a_model_that_was_measured_in_part_has_no_mean_to_compare():
    whole = {name: {"accuracy": 0.6, "change": -0.1} for name in ("clean", "noise", "room")}
    part = {name: whole[name] for name in ("clean", "noise")}
    for models in ({"whole": whole, "part": part}, {"part": part, "whole": whole}):
        table = {row[0]: dict(zip(models, row[1:], strict=True)) for row in rows(robustness_table(models))}
        assert table["room"] == {"whole": "0.600 (-0.100)", "part": ""}
        assert table["mean of all 2 changes"] == {"whole": "0.600", "part": ""}
    better = {name: figures | {"accuracy": 0.9} for name, figures in part.items()}
    table = bundled_table({name: changed() for name in ("part", "whole")}, {"part": better, "whole": whole}, {})
    assert [(row[0], row[2]) for row in rows(table)] == [("`whole`", "0.600"), ("`part`", "")]


def test_conditions_are_rows_and_models_columns():
    figures = {"clean": {"accuracy": 0.7, "change": 0.0}, "noise": {"accuracy": 0.61, "change": -0.09}}
    figures["room"] = {"accuracy": 0.63, "change": -0.07}
    table = rows(robustness_table({"a": figures, "b": figures}))
    assert table[1] == ["noise", "0.610 (-0.090)", "0.610 (-0.090)"]
    assert table[3] == ["mean of all 2 changes", "0.620", "0.620"]
    assert rows(robustness_table({"a": figures}, ["clean"])) == [
        ["clean", "0.700 (+0.000)"],
        ["mean of all 2 changes", "0.620"],  # of all that was measured, not of the rows alone
    ]
