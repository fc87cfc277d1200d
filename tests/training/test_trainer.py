"""Averaged weights, and that an interrupted training ends where an undisturbed one does."""

import numpy as np
import pytest
import torch
from transformers import TrainerCallback
from transformers import TrainerState

from ser import CNN1DConfig
from ser import CNN1DForAudioClassification
from ser import SERFeatureExtractor
from ser.training.arguments import SERTrainingArguments
from ser.training.trainer import PatientStopping
from ser.training.trainer import SERTrainer
from ser.training.trainer import StoppingAfter
from ser.training.trainer import last_checkpoint


class Toy(torch.utils.data.Dataset):
    """Two classes that differ in their mean."""

    def __len__(self):
        return 24

    def __getitem__(self, index):
        if index >= len(self):
            raise IndexError(index)
        generator = np.random.default_rng(index)
        features = generator.standard_normal((10 + index, 1)).astype(np.float32) + index % 2
        return {"input_features": features, "labels": index % 2}


class SoftToy(Toy):
    """The same with probabilities for labels, as for training."""

    def __getitem__(self, index):
        item = super().__getitem__(index)
        return item | {"labels": np.eye(2, dtype=np.float32)[item["labels"]] * 0.9 + 0.05}


class Keep(TrainerCallback):
    """The live weights of the last step."""

    def on_step_end(self, args, state, control, model, **kwargs):
        self.weight = model.classifier.weight.detach().clone()
        self.state = {name: value.clone() for name, value in model.state_dict().items()}


def build(
    folder, *, ema_decay=0.9, mixup_beta=0.3, callbacks=(), dataset=SoftToy, network=(), weights=None, **arguments
):
    torch.manual_seed(0)
    extractor = SERFeatureExtractor(features=["rms"])
    fields = {"n_features": 1, "channels": [4, 8], "hidden_sizes": [], "num_labels": 2}
    config = CNN1DConfig(**fields | dict(network))
    defaults = {"per_device_train_batch_size": 8, "num_train_epochs": 3, "learning_rate": 0.05}
    defaults |= {"load_best_model_at_end": False, "metric_for_best_model": "loss", "save_total_limit": None}
    return SERTrainer(
        model=CNN1DForAudioClassification(config),
        args=SERTrainingArguments(
            output_dir=str(folder),
            ema_decay=ema_decay,
            use_cpu=True,
            disable_tqdm=True,
            **defaults | arguments,
        ),
        train_dataset=dataset(),
        eval_dataset=Toy(),
        processing_class=extractor,
        data_collator=lambda items: extractor.pad(items, return_tensors="pt"),
        callbacks=list(callbacks),
        mixup_beta=mixup_beta,
        sampling_weights=weights,
    )


def weights(trainer: SERTrainer) -> torch.Tensor:
    return torch.cat([value.float().ravel() for value in trainer.model.state_dict().values()])


def test_evaluation_sees_the_averaged_weights_and_puts_the_live_ones_back(tmp_path):
    trainer = build(tmp_path)
    live = weights(trainer)
    with torch.no_grad():
        for parameter in trainer.averaged.module.parameters():
            parameter.zero_()
    loss = trainer.evaluate()["eval_loss"]
    assert loss == pytest.approx(np.log(2), abs=1e-4)  # all-zero weights know nothing
    assert torch.equal(weights(trainer), live)
    trainer.save_model(tmp_path / "saved")
    saved = CNN1DForAudioClassification.from_pretrained(tmp_path / "saved")
    assert not saved.classifier.weight.any()
    assert torch.equal(weights(trainer), live)


def test_the_average_follows_the_weights_and_is_what_is_left(tmp_path):
    live = Keep()
    trainer = build(tmp_path, callbacks=[live])
    averaged = trainer.averaged
    trainer.train()
    assert averaged.n_averaged.item() == 9  # three epochs of three steps
    assert torch.equal(trainer.model.classifier.weight, averaged.module.classifier.weight)
    assert 0 < (trainer.model.classifier.weight - live.weight).abs().max() < 1
    means = [name for name in live.state if name.endswith("running_mean")]  # averaged, too
    assert means and not any(torch.equal(trainer.model.state_dict()[name], live.state[name]) for name in means)


def test_several_batches_make_one_step_as_a_large_one_does(tmp_path):
    network = {"batch_norm": False, "dropout": 0.0}
    learned = []
    for size, steps in ((8, 1), (4, 2)):
        options = {"per_device_train_batch_size": size, "gradient_accumulation_steps": steps, "optim": "sgd"}
        trainer = build(tmp_path / str(size), ema_decay=0.0, mixup_beta=0.0, network=network, **options)
        before = weights(trainer)
        trainer.train()
        learned.append(weights(trainer))
        assert (learned[-1] - before).abs().max() > 1e-3
    assert torch.allclose(*learned, atol=1e-6)


def test_patience_counts_the_epochs_before_an_interruption(tmp_path):
    def scoring(trainer, values):
        values = iter(values)
        trainer.compute_metrics = lambda output: {"uar": next(values)}
        return trainer

    options = {"num_train_epochs": 9, "metric_for_best_model": "uar", "greater_is_better": True}
    options |= {"load_best_model_at_end": True}
    patience = PatientStopping(early_stopping_patience=3)
    undisturbed = scoring(build(tmp_path / "a", callbacks=[patience], **options), [0.5, 0.6, 0.6, *[0.4] * 6])
    undisturbed.train()
    assert undisturbed.state.epoch == 5
    scoring(build(tmp_path / "b", callbacks=[StoppingAfter(4), patience], **options), [0.5, 0.6, 0.6, 0.4]).train()
    resumed = scoring(build(tmp_path / "b", callbacks=[PatientStopping(early_stopping_patience=3)], **options), [0.4])
    resumed.train(resume_from_checkpoint=str(tmp_path / "b/checkpoint-12"))
    assert resumed.state.epoch == 5
    best = weights(undisturbed)
    for more in (0, 1):  # killed after its last epoch, before its report
        patience = PatientStopping(early_stopping_patience=3 + more)
        again = scoring(build(tmp_path / "a", callbacks=[patience], **options), [0.4])
        again.train(resume_from_checkpoint=str(tmp_path / "a/checkpoint-15"))
        assert again.state.epoch == 5 + more
        assert torch.equal(weights(again), best)


def test_patience_follows_the_direction_of_the_metric(tmp_path):
    state = TrainerState(log_history=[{"eval_loss": loss} for loss in (0.5, 0.6, 0.7)])
    for greater_is_better, waited in ((False, 2), (True, 0)):
        arguments = SERTrainingArguments(
            output_dir=str(tmp_path), use_cpu=True, metric_for_best_model="loss", greater_is_better=greater_is_better
        )
        assert PatientStopping(early_stopping_patience=2).waited(arguments, state) == waited


def test_a_schedule_is_left_after_an_epoch_and_not_gone_on_with(tmp_path):
    whole, part = (
        build(tmp_path / name, num_train_epochs=4, callbacks=stop)
        for name, stop in (("a", []), ("b", [StoppingAfter(2.0)]))
    )
    for trainer in (whole, part):
        trainer.train()
    assert (whole.state.epoch, part.state.epoch) == (4, 2)
    rates = [
        [entry["learning_rate"] for entry in trainer.state.log_history if "loss" in entry] for trainer in (whole, part)
    ]
    assert rates[1] == rates[0][:2]
    middle = build(tmp_path / "c", num_train_epochs=4, callbacks=[StoppingAfter(1.3333333)])
    middle.train()
    assert middle.state.global_step == 4
    again = build(tmp_path / "b", num_train_epochs=4, callbacks=[StoppingAfter(2.0)])
    again.train(resume_from_checkpoint=str(tmp_path / "b/checkpoint-6"))
    assert again.state.epoch == 2 and torch.equal(weights(again), weights(part))


@pytest.mark.parametrize("ema_decay, drawn", [(0.0, None), (0.9, None), (0.9, np.arange(24.0))])
def test_an_interrupted_training_ends_where_an_undisturbed_one_does(tmp_path, ema_decay, drawn):
    undisturbed = build(tmp_path / "a", ema_decay=ema_decay, weights=drawn)
    average = undisturbed.averaged
    undisturbed.train()
    build(tmp_path / "b", ema_decay=ema_decay, weights=drawn, callbacks=[StoppingAfter(1)]).train()
    resumed = build(tmp_path / "b", ema_decay=ema_decay, weights=drawn)
    resumed_average = resumed.averaged
    resumed.train(resume_from_checkpoint=str(tmp_path / "b/checkpoint-3"))
    assert torch.equal(weights(resumed), weights(undisturbed))
    seconds = [entry["seconds"] for entry in resumed.state.log_history]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    if ema_decay:
        assert torch.equal(resumed_average.module.classifier.weight, average.module.classifier.weight)


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_checkpoint_that_was_being_removed_is_none_to_go_on_from(ema_decay, tmp_path):
    build(tmp_path, ema_decay=ema_decay, num_train_epochs=2).train()
    training = SERTrainingArguments(output_dir=str(tmp_path), ema_decay=ema_decay, use_cpu=True)
    older, newest = sorted(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    lacking = {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"}
    for name in lacking | ({"live_weights.safetensors"} if ema_decay else set()):
        assert last_checkpoint(training) == str(newest)
        (newest / name).rename(tmp_path / name)
        assert last_checkpoint(training) == str(older)
        (tmp_path / name).rename(newest / name)


def test_training_accuracy_is_logged(tmp_path):
    trainer = build(tmp_path)
    trainer.train()
    logged = [entry["accuracy"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 3
    assert all(0 <= value <= 1 for value in logged)
    assert logged[-1] > 0.5
    assert [24 * value for value in logged] == pytest.approx([round(24 * value) for value in logged])  # of each epoch


@pytest.mark.parametrize("ema_decay", [0.9, 0.0])
def test_a_loss_that_is_no_number_ends_the_training_before_its_weights_are_saved(tmp_path, ema_decay):
    trainer = build(tmp_path, ema_decay=ema_decay, learning_rate=1e30, max_grad_norm=0.0)
    with pytest.raises(FloatingPointError, match=r"loss is nan in epoch 1, .* a --learning_rate below 1e\+30"):
        trainer.train()
    assert not list(tmp_path.glob("checkpoint-*"))


class LongClips(SoftToy):
    """Clips of 1 to 400 frames: the longer, the greater each of its features."""

    def __len__(self):
        return 400

    def __getitem__(self, index):
        item = super().__getitem__(index)
        return item | {"input_features": np.full((index + 1, 1), index / 400, dtype=np.float32)}


def test_clips_are_drawn_by_their_weights(tmp_path):
    weights = np.repeat([3.0, 1.0], [100, 300])  # both groups have half of an epoch
    sampler = build(tmp_path, dataset=LongClips, weights=weights).get_train_dataloader().batch_sampler.sampler
    drawn = [np.array(list(sampler)) for _ in range(20)]
    assert all(len(each) == 400 for each in drawn)
    assert np.mean(np.concatenate(drawn) < 100) == pytest.approx(0.5, abs=0.03)
    assert not np.array_equal(drawn[0], drawn[1])


def test_batches_of_one_length_come_in_any_order(tmp_path):
    trainer = build(tmp_path, dataset=LongClips, train_sampling_strategy="group_by_length")
    indices = list(trainer.get_train_dataloader().batch_sampler.sampler)
    assert sorted(indices) == list(range(400))
    batches = [indices[start : start + 8] for start in range(0, 400, 8)]
    assert np.mean([max(batch) - min(batch) for batch in batches]) < 100  # of 400, were they drawn at random: 311
    means = np.array([np.mean(batch) for batch in batches])
    assert 10 < (np.diff(means) < 0).sum() < 40  # of 49 steps from batch to batch; sorted, nearly all go down


def test_an_incomplete_batch_of_one_length_is_the_last(tmp_path):
    trainer = build(tmp_path, train_sampling_strategy="group_by_length", per_device_train_batch_size=10)
    sizes = [len(batch["labels"]) for batch in trainer.get_train_dataloader()]
    assert sizes == [10, 10, 4]


@pytest.mark.parametrize("strategy", ["random", "group_by_length"])
def test_no_clip_is_a_batch_by_itself(tmp_path, strategy):
    """Batch norm in the hidden layers has one value a clip, and cannot normalise the only one."""
    lone = {"per_device_train_batch_size": 23, "train_sampling_strategy": strategy, "num_train_epochs": 8}
    network = {"hidden_sizes": [4], "hidden_batch_norm": True}
    orders = [list(build(tmp_path / "o", **lone, seed=seed)._get_train_sampler()) for seed in range(20)]
    assert all(len(set(order)) == 23 for order in orders)
    assert len(build(tmp_path / "o", per_device_train_batch_size=8)._get_train_sampler()) == 24
    assert len({(set(range(24)) - set(order)).pop() for order in orders}) > 5  # left out in turn
    trainer = build(tmp_path / "a", network=network, **lone)
    trainer.train()
    assert trainer.state.global_step == 8
    build(tmp_path / "b", network=network, callbacks=[StoppingAfter(4)], **lone).train()
    resumed = build(tmp_path / "b", network=network, **lone)
    resumed.train(resume_from_checkpoint=str(tmp_path / "b/checkpoint-4"))
    assert resumed.state.global_step == 8
    assert torch.equal(weights(resumed), weights(trainer))


def test_the_finished_weights_lie_between_those_of_the_start_and_the_new_ones(tmp_path):
    weights = []
    for share in (0.0, 0.25):
        trainer = build(tmp_path / str(share), start_share=share, num_train_epochs=1)
        start = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        trainer.train()
        weights.append(trainer.model.state_dict())
    for name, new in weights[0].items():
        if new.is_floating_point():
            torch.testing.assert_close(weights[1][name], 0.75 * new + 0.25 * start[name])
