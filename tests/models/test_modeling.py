"""The networks: their size, their indifference to padding, and that a saved one is the same one."""

import copy

import numpy as np
import pytest
import torch
from conftest import build
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel
from transformers import AutoModelForAudioClassification

from ser import CNN1DConfig
from ser import CNN1DForAudioClassification
from ser import CNN2DConfig
from ser import CNN2DForAudioClassification
from ser import CRNNConfig
from ser.models.folding_ser import BATCH_NORMS
from ser.models.modeling_ser import POOLING
from ser.models.modeling_ser import PairMax
from ser.models.modeling_ser import SqueezeExcitation
from ser.models.modeling_ser import never_largest
from ser.models.modeling_ser import resize

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
    "2d-flat-resized": CNN2DConfig(n_features=20, pooling="flatten", image_size=[32, 16], **SMALL),
    "2d-norm-after-relu": CNN2DConfig(n_features=20, batch_norm_after="relu", **SMALL),
    "1d-norm-after-relu": CNN1DConfig(
        n_features=3, batch_norm_after="relu", pooling="max", pool_sizes=[1, 2, 3], **SMALL
    ),
    "2d-norm-after-pool": CNN2DConfig(n_features=20, batch_norm_after="pool", initialization="glorot", **SMALL),
    "2d-resized": CNN2DConfig(n_features=20, image_size=[32, 16], **SMALL),
    "crnn-wide-pools": CRNNConfig(n_features=20, lstm_size=6, pool_sizes=3, pool_strides=2, **SMALL),
    "crnn-resized": CRNNConfig(n_features=20, lstm_size=6, image_size=[32, 16], **SMALL),
    "crnn": CRNNConfig(n_features=20, lstm_size=6, **SMALL),
    "2d-rectangles": CNN2DConfig(n_features=20, kernel_sizes=[[9, 1], [1, 9], 3], pool_sizes=[[3, 1], 1, 2], **SMALL),
}


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


@pytest.mark.parametrize("size, stride", [(2, 2), (3, 2), (5, 2), (2, 5), ([1, 2], [2, 3])])
def test_pooling_leaves_as_many_frames_as_it_says(size, stride):
    blocks = {"channels": [4], "pool_sizes": [size], "pool_strides": [stride]}
    model = build(CNN2DConfig(n_features=20, **blocks) if isinstance(size, list) else CNN1DConfig(**blocks))
    for frames in range(13, 30):
        maps, lengths = model.feature_maps(torch.zeros(1, frames, model.config.n_features))
        assert maps.shape[2] == lengths


@pytest.mark.parametrize("frames", [1, 8, 9])
def test_pooling_pairs_has_the_maxima_and_gradients_of_torchs_pooling(frames):
    values = torch.randint(3, (2, 3, frames)).float()  # some neighbours are equal
    ours, theirs = values.clone().requires_grad_(), values.clone().requires_grad_()
    pooled, expected = PairMax.apply(ours), F.max_pool1d(theirs, 2, ceil_mode=True)
    weights = torch.rand_like(expected)
    (pooled * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.equal(pooled, expected)
    assert torch.equal(ours.grad, theirs.grad)


def test_pools_and_their_strides_are_those_of_the_configuration_time_first():
    for block, fields, shape in (
        ("plain", {"pool_sizes": [[3, 2]]}, (20, 10)),
        ("plain", {"pool_sizes": [[1, 2]]}, (60, 10)),
        ("plain", {"pool_sizes": 5, "pool_strides": [[3, 1]]}, (20, 20)),
        ("residual", {"channels": [4, 4], "pool_sizes": [1, [3, 2]]}, (20, 10)),
    ):
        model = build(CNN2DConfig(n_features=20, block=block, **{"channels": [4]} | fields))
        assert model.feature_maps(torch.zeros(1, 60, 20))[0].shape[2:] == shape


def test_poolings_are_what_they_are_called():
    x, lengths = torch.rand(2, 4, 9), torch.tensor([9, 9])
    torch.testing.assert_close(POOLING["mean"](4)(x, lengths), x.mean(2))
    torch.testing.assert_close(POOLING["max"](4)(x, lengths), x.amax(2))
    attentive = POOLING["attentive_statistics"](4)
    nn.init.zeros_(attentive.score.weight)  # attention to all frames alike
    torch.testing.assert_close(attentive(x, lengths), torch.cat([x.mean(2), x.std(2, correction=0)], dim=1))


def test_the_crnn_reads_the_last_frame_forwards_and_the_first_one_backwards():
    pooling = build(MINIATURES["crnn"]).pooling
    x = torch.rand(2, pooling.lstm.input_size, 9)
    outputs, _ = pooling.lstm(x.transpose(1, 2))
    expected = torch.cat([outputs[:, -1, :6], outputs[:, 0, 6:]], dim=1)
    torch.testing.assert_close(pooling(x, torch.tensor([9, 9])), expected)


def test_bands_are_averaged_where_frames_are_pooled():
    maps = torch.rand(2, 16, 9, 5)
    torch.testing.assert_close(build(MINIATURES["2d-plain-max"]).columns(maps), maps.mean(3))


def test_a_gate_reads_the_mean_of_each_channel():
    gates, maps = SqueezeExcitation(8, 2), torch.randn(2, 8, 9, 5)
    means = maps.mean((2, 3))
    expected = gates.excite(gates.squeeze(means).relu()).sigmoid()[:, :, None, None]
    torch.testing.assert_close(gates(maps, torch.tensor([9, 9]), None), expected)
    torch.testing.assert_close(gates(maps, None, None), expected)


def test_an_image_is_stretched_between_its_frames():
    image = torch.arange(4.0)[None, :, None].expand(1, 4, 3)
    stretched, lengths = resize(image, torch.tensor([4]), (8, 3))
    assert stretched[0, :, 1].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3] and lengths == 8


def test_a_dense_layer_ends_in_its_relu():
    model, read = build(MINIATURES["1d-flat"]), []
    model.classifier.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    model(torch.randn(9, 50, 3))
    assert (read[0] >= 0).all() and (read[0] == 0).any()


@pytest.mark.parametrize("block", ["plain", "residual"])
def test_each_dropout_is_where_the_configuration_says(block):
    features, shape = torch.randn(3, 50, 20), {"block": block, "n_features": 20, **SMALL}
    of_blocks = build(CNN2DConfig(block_dropout=1.0, dropout=0.0, **shape)).train()
    assert not of_blocks.feature_maps(features)[0].any()
    of_output = build(CNN2DConfig(block_dropout=0.0, dropout=1.0, **shape)).train()
    assert of_output.feature_maps(features)[0].any()
    torch.testing.assert_close(of_output(features).logits, of_output.classifier.bias.expand(3, 6))


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


def test_the_loss_is_the_mean_cross_entropy_of_the_logits():
    model, labels = build(MINIATURES["1d-residual"]), torch.tensor([0, 3, 5])
    model.config.calibration_temperature = 2.0
    answer = model(torch.randn(3, 30, 3), labels=labels)
    torch.testing.assert_close(answer.loss, -answer.logits.log_softmax(1)[torch.arange(3), labels].mean())


def test_soft_labels_generalise_hard_ones():
    model = build(MINIATURES["1d-residual"])
    features, labels = torch.randn(3, 30, 3), torch.tensor([0, 3, 5])
    hard = model(features, labels=labels).loss
    soft = model(features, labels=nn.functional.one_hot(labels, 6).float()).loss
    torch.testing.assert_close(hard, soft)


@pytest.mark.parametrize("name", MINIATURES)
def test_weights_of_other_precision_say_nearly_the_same(name):
    features = torch.randn(2, 60, MINIATURES[name].n_features)
    expected = build(MINIATURES[name])(features).logits
    for dtype, tolerance in ((torch.float16, 0.02), (torch.bfloat16, 0.2), (torch.float64, 1e-5)):
        model = build(MINIATURES[name]).to(dtype)
        torch.testing.assert_close(model(features.to(dtype)).logits, expected, rtol=0, atol=tolerance)


def test_the_gates_of_a_long_clip_are_no_trouble_in_half_precision():
    gates, maps, lengths = SqueezeExcitation(8, 2), torch.full((1, 8, 70_000), 2.0), torch.tensor([70_000])
    expected = gates(maps, lengths, None)
    torch.testing.assert_close(gates.half()(maps.half(), lengths, None).float(), expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_padding_is_never_largest_and_finite_whatever_was_there(dtype):
    x = torch.full((2, 3, 5, 4), -100.0, dtype=dtype).to(memory_format=torch.channels_last)
    lowest = never_largest(x, torch.tensor([5, 0]))
    assert torch.equal(lowest[0], x[0])
    assert (lowest[1] < torch.finfo(dtype).min / 4).all()
    assert lowest.isfinite().all()  # -inf would become NaN in the next mask
    assert lowest.is_contiguous(memory_format=torch.channels_last)


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


def test_quick_logits_are_nearly_those_of_float32_and_the_same_in_a_close_call():
    torch.manual_seed(0)
    model = CNN2DForAudioClassification(CNN2DConfig(n_features=20, block="residual", **SMALL)).eval()
    features, mask = torch.randn(200, 30, 20) + torch.randn(200, 1, 20), torch.ones(200, 30, dtype=torch.long)
    mask[::3, 20:] = 0
    with torch.no_grad():
        model.classifier.weight *= 2
        model.classifier.bias -= model(features, mask).logits.mean(0)  # so that all labels occur
        exact = model(features, mask).logits
    quick, close = model.quick_logits(features, mask), model.close_calls(exact)
    assert 0 < close.sum() < len(close)
    torch.testing.assert_close(quick.softmax(1), exact.softmax(1), atol=0.005, rtol=0)
    torch.testing.assert_close(quick[close], exact[close], atol=1e-5, rtol=1e-5)
    assert torch.equal(quick.argmax(1), exact.argmax(1))
    model.config.certain_threshold = exact[~close][0].softmax(0).max().item()
    torch.testing.assert_close(model.quick_logits(features, mask)[~close][0], exact[~close][0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("part", ["", "classifier"])
def test_a_hook_sees_each_clip_of_quick_logits_once(part):
    model, seen = build(MINIATURES["2d-residual"]), []
    model.classifier.weight.data.zero_()  # every call is close
    model.get_submodule(part).register_forward_hook(lambda module, inputs, output: seen.append(output))
    model.quick_logits(torch.randn(3, 30, 20))
    assert len(seen) == 1


def test_quick_logits_may_enter_a_loss():
    model = build(MINIATURES["2d-residual"])
    layer = nn.Linear(6, 2)
    layer(model.quick_logits(torch.randn(3, 30, 20))).sum().backward()
    assert layer.weight.grad.any()


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
        ({"problem_type": "multi_label_classification"}, "is not what these models learn: they choose one label"),
        ({"problem_type": "regression"}, "is not what these models learn: they choose one label"),
        ({"num_labels": 1}, "expected num_labels as a whole number above 1; got 1"),
        ({"id2label": {0: "arousal"}}, "a name of its own for each of at least two classes"),
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


@pytest.mark.parametrize(("config_class", "stride"), [(CNN1DConfig, 3), (CNN2DConfig, [3, 2])])
def test_a_shortcut_skips_positions_without_a_strided_convolution(config_class, stride):
    """Whose gradient oneDNN writes beyond its memory where channels are few: a training crashed now and then."""
    model = build(config_class(n_features=20, channels=[4, 8], block="residual", pool_sizes=[1, stride]))
    block, shape = model.blocks[1], (2, 4, 31, 20)[: 3 if config_class is CNN1DConfig else 4]
    x, (conv, _) = torch.randn(shape), block.shortcut
    assert set(conv.stride) == {1}
    strided = (torch.conv1d if len(shape) == 3 else torch.conv2d)(x, conv.weight, stride=stride)
    torch.testing.assert_close(conv(x[block.read]), strided)
    assert block(x, torch.tensor([31, 31]))[0].shape == strided.shape


def answers(model: nn.Module, features: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    with torch.no_grad():
        return model(features, mask).logits


@pytest.mark.parametrize("name", MINIATURES)
def test_batch_norms_are_folded_for_answers_alone(name):
    model, features = build(MINIATURES[name]), torch.randn(3, 60, MINIATURES[name].n_features)
    mask = (torch.arange(60) < torch.tensor([60, 41, 30])[:, None]).long()
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    torch.testing.assert_close(answers(model, features, mask), model(features, mask).logits, rtol=1e-5, atol=1e-5)
    left = [norm for norm in model._folded[None].blocks.modules() if isinstance(norm, BATCH_NORMS)]
    assert bool(left) == (model.config.batch_norm_after != "convolution")  # only that one can be folded
    assert list(model.state_dict()) == list(weights)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


CHANGES = {
    "in place": lambda model: model.blocks[0].conv.weight.mul_(2),
    "statistics": lambda model: model.blocks[0].norm.running_mean.add_(1),
    "other weights": lambda model: model.load_state_dict({k: 1.5 * v for k, v in model.state_dict().items()}),
    "precision": lambda model: model.bfloat16(),
    "training": lambda model: model.train().blocks[0].conv.weight.data.mul_(2),
    "weights assigned": lambda model: model.load_state_dict(
        {k: 1.5 * v for k, v in model.state_dict().items()}, assign=True
    ),
    "data assigned": lambda model: setattr(model.blocks[0].conv.weight, "data", 2 * model.blocks[0].conv.weight),
    "a buffer": lambda model: setattr(model.blocks[0].norm, "running_mean", model.blocks[0].norm.running_mean + 1),
    "a hook": lambda model: model.blocks[1].conv1.register_forward_hook(lambda *call: 2 * call[-1]),
    "a copy": lambda model: model.load_state_dict(copy.deepcopy(model).train().state_dict()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_folded_blocks_follow_every_change(change):
    model = build(MINIATURES["2d-residual"])
    answers(model, torch.randn(1, 30, 20))
    with torch.no_grad():
        change(model)
    if model.training:  # which forgets what was folded
        model.eval()
    features = torch.randn(2, 30, 20, dtype=model.dtype)
    tolerance = 0.05 if model.dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(answers(model, features), model(features).logits, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("name", ["1d-residual", "2d-residual", "crnn"])
def test_a_tuple_is_returned_when_asked_for_by_the_call_or_the_configuration(name):
    model = build(copy.deepcopy(MINIATURES[name]))
    clip, label = torch.randn(1, 50, model.config.n_features), torch.tensor([2])
    outputs = model(clip, labels=label)
    loss, logits = model(clip, labels=label, return_dict=False)
    assert torch.equal(loss, outputs.loss) and torch.equal(logits, outputs.logits)
    encoder = AutoModel.from_config(model.config).eval()
    maps, embedding = encoder(clip, return_dict=False)
    assert torch.equal(maps, encoder(clip).last_hidden_state) and len(embedding) == 1
    model.config.return_dict = False
    assert isinstance(model(clip), tuple) and model(clip, return_dict=True).logits.shape == (1, 6)
