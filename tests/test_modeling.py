"""The networks: their size, their indifference to padding, and that a saved one is the same one."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForAudioClassification

from ser import CNN1DConfig
from ser import CNN1DForAudioClassification
from ser import CNN2DConfig
from ser import CNN2DForAudioClassification
from ser import CRNNConfig
from ser.modeling_ser import POOLING
from ser.modeling_ser import SqueezeExcitation

SMALL = {"channels": [8, 12, 16], "hidden_sizes": [10], "num_labels": 6}
MINIATURES = {
    **{f"1d-plain-{pooling}": CNN1DConfig(n_features=3, pooling=pooling, **SMALL) for pooling in POOLING},
    **{f"2d-plain-{pooling}": CNN2DConfig(n_features=20, pooling=pooling, **SMALL) for pooling in POOLING},
    "1d-wide-pools": CNN1DConfig(n_features=3, kernel_sizes=5, pool_sizes=5, pool_strides=2, **SMALL),
    "1d-overlapping-pools": CNN1DConfig(n_features=3, pool_sizes=3, pool_strides=2, **SMALL),
    "1d-residual": CNN1DConfig(n_features=3, block="residual", squeeze_excitation=4, **SMALL),
    "2d-residual": CNN2DConfig(n_features=20, block="residual", squeeze_excitation=4, **SMALL),
    "1d-flat": CNN1DConfig(n_features=3, pooling="flatten", input_length=100, hidden_batch_norm=True, **SMALL),
    "2d-flat": CNN2DConfig(n_features=20, pooling="flatten", input_length=100, batch_norm=False, **SMALL),
    "2d-resized": CNN2DConfig(n_features=20, image_size=[32, 16], **SMALL),
    "crnn-wide-pools": CRNNConfig(n_features=20, lstm_size=6, pool_sizes=3, pool_strides=2, **SMALL),
    "crnn-resized": CRNNConfig(n_features=20, lstm_size=6, image_size=[32, 16], **SMALL),
    "crnn": CRNNConfig(n_features=20, lstm_size=6, **SMALL),
    "2d-rectangles": CNN2DConfig(n_features=20, kernel_sizes=[[9, 1], [1, 9], 3], pool_sizes=[[3, 1], 1, 2], **SMALL),
}


def build(config) -> nn.Module:
    """In evaluation mode, its batch norms as after some training."""
    torch.manual_seed(0)
    model = AutoModelForAudioClassification.from_config(config).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            nn.init.normal_(module.bias)
    return model


def keras_count(model: nn.Module) -> int:
    """Parameters and batch-norm running statistics."""
    statistics = sum(b.numel() for name, b in model.named_buffers() if "running" in name)
    return statistics + sum(p.numel() for p in model.parameters())


def test_four_block_networks_have_the_published_size():
    assert keras_count(CNN1DForAudioClassification(CNN1DConfig(n_features=1, num_labels=6))) == 587_526
    assert keras_count(CNN2DForAudioClassification(CNN2DConfig(n_features=128, num_labels=6))) == 1_620_102


@pytest.mark.parametrize("name", MINIATURES)
def test_padding_never_reaches_a_result(name):
    config = MINIATURES[name]
    model = build(config)
    lengths = (13, 14, 50, 97)  # 13 frames are 0.2 s
    clips = [torch.randn(length, config.n_features) for length in lengths]
    alone = torch.cat([model(clip[None]).logits for clip in clips])
    batch, mask = torch.full((4, 120, config.n_features), 99.0), torch.zeros(4, 120)
    for row, clip in enumerate(clips):
        batch[row, : len(clip)], mask[row, : len(clip)] = clip, 1
    torch.testing.assert_close(model(batch, mask).logits, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MINIATURES)
def test_a_reloaded_model_is_the_same(name, tmp_path):
    model = build(MINIATURES[name])
    model.save_pretrained(tmp_path)
    again = AutoModelForAudioClassification.from_pretrained(tmp_path).eval()
    kernels = [weight for weight in again.parameters() if weight.ndim == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels)  # what a CPU is fast with
    features = torch.randn(2, 40, model.config.n_features)
    assert torch.equal(again(features).logits, model.to(memory_format=torch.channels_last)(features).logits)
    assert not list(tmp_path.glob("*.bin"))


def test_numbers_of_labels_may_be_text_as_in_the_hubs_guide(tmp_path):
    build(MINIATURES["1d-plain-max"]).save_pretrained(tmp_path)
    labels = list("abcdef")
    as_text = {"id2label": {str(n): label for n, label in enumerate(labels)}}
    as_text |= {"label2id": {label: n for n, label in as_text["id2label"].items()}}
    AutoModelForAudioClassification.from_pretrained(tmp_path, **as_text).save_pretrained(tmp_path / "again")
    config = AutoModelForAudioClassification.from_pretrained(tmp_path / "again").config
    assert config.label2id == {label: n for n, label in enumerate(labels)}


def test_pickled_weights_are_not_read(tmp_path):
    model = build(MINIATURES["1d-plain-max"])
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")  # noqa: TID251 - what must not be read
    with pytest.raises(OSError, match="model.safetensors"):
        AutoModelForAudioClassification.from_pretrained(tmp_path)
    with pytest.raises(OSError, match="model.safetensors"):
        AutoModelForAudioClassification.from_pretrained(tmp_path, use_safetensors=False)


@pytest.mark.parametrize("name", MINIATURES)
def test_every_weight_learns(name):
    config = MINIATURES[name]
    model = build(config).train()
    loss = model(torch.randn(4, 60, config.n_features), labels=torch.tensor([0, 1, 2, 3])).loss
    loss.backward()
    still = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not still


def test_weights_start_at_he_scale_not_at_the_library_default():
    model = CNN2DForAudioClassification(CNN2DConfig(n_features=80, num_labels=6))
    for block in model.blocks:
        fan_in = block.conv.weight[0].numel()
        assert block.conv.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.15)


def test_soft_labels_generalise_hard_ones():
    model = build(MINIATURES["1d-residual"])
    features, labels = torch.randn(3, 30, 3), torch.tensor([0, 3, 5])
    hard = model(features, labels=labels).loss
    soft = model(features, labels=nn.functional.one_hot(labels, 6).float()).loss
    torch.testing.assert_close(hard, soft)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.02), ("bfloat16", 0.2), ("float64", 1e-5)])
@pytest.mark.parametrize("name", MINIATURES)
def test_weights_of_other_precision_say_nearly_the_same(name, dtype, tolerance):
    model, features = build(MINIATURES[name]), torch.randn(2, 60, MINIATURES[name].n_features)
    expected = model(features).logits
    dtype = getattr(torch, dtype)
    torch.testing.assert_close(model.to(dtype)(features.to(dtype)).logits, expected, rtol=0, atol=tolerance)


def test_the_gates_of_a_long_clip_are_no_trouble_in_half_precision():
    gates, maps, lengths = SqueezeExcitation(8, 2), torch.full((1, 8, 70_000), 2.0), torch.tensor([70_000])
    expected = gates(maps, lengths)
    torch.testing.assert_close(gates.half()(maps.half(), lengths).float(), expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("name", ["1d-plain-mean", "2d-residual"])
def test_a_graph_is_exported_that_takes_any_number_of_clips(name):
    model, clips = build(MINIATURES[name]), torch.export.Dim("clips")
    inputs = {
        "input_features": torch.randn(3, 40, MINIATURES[name].n_features),
        "attention_mask": torch.ones(3, 40, dtype=torch.long),
    }
    two = {key: value[:2] for key, value in inputs.items()}
    graph = torch.export.export(model, (), two, dynamic_shapes={key: {0: clips} for key in inputs}).module()
    torch.testing.assert_close(graph(**inputs).logits, model(**inputs).logits)


@pytest.mark.parametrize("shape", [(2, 50), (2, 50, 7), (2, 1, 50, 3)])
def test_features_of_another_front_end_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected input_features of shape \(batch, frames, 3\); got"):
        build(MINIATURES["1d-residual"])(torch.zeros(shape))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"block": "dense"}, "got 'dense'"),
        ({"pooling": "median"}, "got 'median'"),
        ({"kernel_sizes": [3, 3]}, "expected one of kernel_sizes per block"),
        ({"pooling": "flatten"}, "expected input_length"),
        ({"channels": "many"}, "channels"),
        ({"dropout": "high"}, "dropout"),
        ({"pooling": "lstm"}, "got 'lstm'"),
        ({"block": "residual", "kernel_sizes": 4}, "odd kernel_sizes"),
    ],
)
def test_wrong_configurations_are_refused_by_name(fields, message):
    with pytest.raises(Exception, match=message):
        CNN2DConfig(**fields)


def test_learns_to_tell_two_tones_apart():
    """A few steps on two kinds of made-up features are enough to separate them."""
    generator = np.random.default_rng(0)
    labels = torch.arange(16) % 2
    features = torch.from_numpy(generator.standard_normal((16, 40, 3)).astype(np.float32)) + 2 * labels[:, None, None]
    model = build(CNN1DConfig(n_features=3, channels=[8, 16], hidden_sizes=[], num_labels=2)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        model(features, labels=labels).loss.backward()
        optimizer.step()
    assert (model.eval()(features).logits.argmax(1) == labels).all()
