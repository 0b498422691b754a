import numpy as np
import pytest

from convert.cfg import parse_cfg
from convert.errors import CfgError, WeightsError
from convert.keras_import import import_keras
from convert.network import build, get_arrays, plan
from convert.weights import write_weights
from detector.errors import SettingsError
from detector.training.initial_weights import (
    check_classes,
    check_trainable,
    fixed_notes,
    freeze_layers,
    initial_weights,
    read_cfg_for,
    read_start,
    with_classes,
)
from detector.training.settings import TrainSettings
from tests.detector.squares import CFG


@pytest.fixture(scope="module")
def network():
    return plan(parse_cfg(CFG, "squares.cfg"))


def arrays_of(network, seed=0):
    rng = np.random.default_rng(seed)
    return [
        [rng.uniform(0.1, 1, part.shape).astype(np.float32) for part in layer.parameters] for layer in network.layers
    ]


def write(path, arrays, floats=None):
    with path.open("wb") as file:
        write_weights(file, [part for layer in arrays for part in layer])
    if floats is not None:
        path.write_bytes(path.read_bytes()[: 20 + 4 * floats])
    return path


def values(network, model):
    return get_arrays(network, lambda layer, name: np.asarray(getattr(model.get_layer(layer), name)))


def test_complete_weights_are_used(network, tmp_path):
    arrays = arrays_of(network)
    start = read_start(write(tmp_path / "w.weights", arrays), network)
    model = build(network)

    initial_weights(network, model, start)

    assert "all 4 layers" in start.note
    assert start.complete
    for given, got in zip(arrays, values(network, model), strict=True):
        for one, other in zip(given, got, strict=True):
            assert np.array_equal(one, other)


def test_the_first_layers_are_used_and_the_rest_is_random(network, tmp_path):
    arrays = arrays_of(network)
    first_two = sum(part.size for layer in arrays[:2] for part in layer)

    start = read_start(write(tmp_path / "w.weights", arrays, first_two), network)

    assert [given is not None for given in start.arrays] == [True, True, False, False, False]
    assert "2 of 4 layers; initialised at random: 2, 3" in start.note


def test_weights_that_end_within_a_layer_are_refused(network, tmp_path):
    with pytest.raises(WeightsError, match="ends within layer 1"):
        read_start(write(tmp_path / "w.weights", arrays_of(network), 300), network)


def test_too_many_weights_are_refused(network, tmp_path):
    path = write(tmp_path / "w.weights", [*arrays_of(network), [np.zeros(100, np.float32)]])

    with pytest.raises(WeightsError, match="another network's"):
        read_start(path, network)


def test_another_class_count_reinitialises_only_the_heads(network, tmp_path):
    other = plan(with_classes(network.cfg, 5))
    arrays = arrays_of(other)

    start = read_start(write(tmp_path / "w.weights", arrays), network)

    assert [given is not None for given in start.arrays] == [True, True, True, False, True]
    assert "initialised at random: 3" in start.note


def test_an_untrained_head_predicts_few_objects(network):
    import_keras().utils.set_random_seed(0)
    model = build(network)

    initial_weights(network, model, None)

    bias = np.asarray(model.get_layer("conv_3").bias).reshape(2, 7)
    assert 1 / (1 + np.exp(-bias[:, 4])) == pytest.approx([0.01, 0.01])


def test_another_class_count_changes_the_text_too():
    cfg = parse_cfg(CFG, "squares.cfg")

    changed = with_classes(cfg, 5)

    assert plan(changed).outputs[0].head.classes == 5
    assert [line for line in changed.text.split("\n") if line not in cfg.text.split("\n")] == [
        "filters=20",
        "classes=5",
    ]
    assert with_classes(cfg, 2).text == cfg.text


def test_classes_that_do_not_fit_the_data_are_named_with_their_lines():
    with pytest.raises(CfgError, match=r"squares.cfg, line 42: \[yolo\] has classes=2; the dataset has 3") as caught:
        check_classes(parse_cfg(CFG, "squares.cfg"), ["a", "b", "c"])

    assert "filters=16" in str(caught.value)


def test_freezing_every_layer_is_refused(network):
    with pytest.raises(SettingsError):
        check_trainable(network, TrainSettings(freeze=5))


def test_a_training_needs_a_network():
    with pytest.raises(SettingsError, match="--cfg"):
        read_cfg_for(None, None)


WEIGHTED = """
[net]
width=32
height=32
hue=.1
[convolutional]
filters=14
size=3
stride=2
pad=1
[convolutional]
filters=14
size=3
pad=1
[shortcut]
from=-2
weights_type=per_feature
weights_normalization=relu
[convolutional]
filters=14
[yolo]
mask=0,1
anchors=4,4, 8,8
num=2
classes=2
jitter=.3
"""


def test_the_weights_of_a_shortcut_stay_as_they_are_and_are_kept():
    network = plan(parse_cfg(WEIGHTED, "weighted.cfg"))
    model = build(network)

    kept = initial_weights(network, model, None)
    freeze_layers(network, model, 1)

    assert {name: values.tolist() for name, values in kept.items()} == {"layer_2_weights": [[1], [1]]}
    names = {variable.path.split("/")[0] for variable in model.trainable_variables}
    assert names == {"conv_1", "conv_3"}
    kernel = np.asarray(model.get_layer("shortcut_2_weight_1").kernel)
    assert np.unique(kernel) == pytest.approx([0.5], abs=1e-3)


def test_untrained_and_unread_parts_are_listed():
    weighted, unread = fixed_notes(plan(parse_cfg(WEIGHTED, "weighted.cfg")), TrainSettings())

    assert "layers 2" in weighted
    assert "hue, jitter are not read" in unread
    assert fixed_notes(plan(parse_cfg(CFG, "squares.cfg")), TrainSettings()) == []


def test_shared_weights_are_refused():
    cfg = parse_cfg(
        CFG.replace(
            "[convolutional]\nfilters=14",
            "[convolutional]\nshare_index=-1\nfilters=16\nsize=3\nstride=2\n"
            "pad=1\nbatch_normalize=1\nactivation=leaky\n[convolutional]\nfilters=14",
        ),
        "shared.cfg",
    )
    with pytest.raises(CfgError, match="shares the weights"):
        check_trainable(plan(cfg), TrainSettings())
