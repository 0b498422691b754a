import numpy as np
import pytest

from convert.cfg import parse_cfg
from convert.errors import CfgError, WeightsError
from convert.keras_import import import_keras
from convert.network import build, get_arrays, plan
from convert.weights import write_weights
from detector.errors import SettingsError
from detector.training.begin import read_cfg_for
from detector.training.initial_weights import begin, check_classes, check_freeze, read_start, recast
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


def test_whole_weights_are_taken(network, tmp_path):
    arrays = arrays_of(network)
    start = read_start(write(tmp_path / "w.weights", arrays), network)
    model = build(network)

    begin(network, model, start)

    assert "all 4 layers" in start.note
    for given, got in zip(arrays, values(network, model), strict=True):
        for one, other in zip(given, got, strict=True):
            assert np.array_equal(one, other)


def test_a_prefix_is_taken_and_the_rest_made_anew(network, tmp_path):
    arrays = arrays_of(network)
    first_two = sum(part.size for layer in arrays[:2] for part in layer)

    start = read_start(write(tmp_path / "w.weights", arrays, first_two), network)

    assert [given is not None for given in start.arrays] == [True, True, False, False, False]
    assert "2 of 4 layers; made anew: 2, 3" in start.note


def test_weights_that_end_within_a_layer_are_refused(network, tmp_path):
    with pytest.raises(WeightsError, match="ends within layer 1"):
        read_start(write(tmp_path / "w.weights", arrays_of(network), 300), network)


def test_too_many_weights_are_refused(network, tmp_path):
    path = write(tmp_path / "w.weights", [*arrays_of(network), [np.zeros(100, np.float32)]])

    with pytest.raises(WeightsError, match="another network's"):
        read_start(path, network)


def test_another_class_count_remakes_the_heads_only(network, tmp_path):
    other = plan(recast(network.cfg, 5))
    arrays = arrays_of(other)

    start = read_start(write(tmp_path / "w.weights", arrays), network)

    assert [given is not None for given in start.arrays] == [True, True, True, False, True]
    assert "made anew: 3" in start.note


def test_an_untrained_head_expects_little(network):
    import_keras().utils.set_random_seed(0)
    model = build(network)

    begin(network, model, None)

    bias = np.asarray(model.get_layer("conv_3").bias).reshape(2, 7)
    assert 1 / (1 + np.exp(-bias[:, 4])) == pytest.approx([0.01, 0.01])


def test_recast_changes_the_text_too():
    cfg = parse_cfg(CFG, "squares.cfg")

    changed = recast(cfg, 5)

    assert plan(changed).outputs[0].head.classes == 5
    assert [line for line in changed.text.split("\n") if line not in cfg.text.split("\n")] == [
        "filters=20",
        "classes=5",
    ]
    assert recast(cfg, 2).text == cfg.text


def test_classes_that_do_not_fit_the_data_are_named_with_their_lines():
    with pytest.raises(CfgError, match=r"squares.cfg, line 42: \[yolo\] has classes=2; the data have 3") as caught:
        check_classes(parse_cfg(CFG, "squares.cfg"), ["a", "b", "c"])

    assert "filters=16" in str(caught.value)


def test_freezing_everything_is_refused(network):
    with pytest.raises(SettingsError):
        check_freeze(network, 5)


def test_a_training_needs_a_network():
    with pytest.raises(SettingsError, match="--cfg"):
        read_cfg_for(None, None)
