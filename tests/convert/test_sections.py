"""Every section kind and key: the Keras layers against the plain NumPy pass, through the .h5 and back to bytes."""

import subprocess
import sys

import numpy as np
import pytest

from convert.cfg import parse_cfg
from convert.conversion import convert
from convert.errors import CfgError, VerificationError, WeightsError
from convert.export import export_weights
from convert.layers import KINDS
from convert.layers.activation import ACTIVATIONS
from convert.model_file import check_layers, read_description
from convert.network import plan
from convert.reference import forward
from convert.weights import Header

NET = "[net]\nwidth=12\nheight=8\nchannels=3\n"
CONV = "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"
ONE = "[avgpool]\n[softmax]\n"
TREE = "a -1\nb -1\nc 0\nd 0\ne 1\nf 1\ng 1\nh 5\n"


def conv(**options):
    lines = {"filters": 8, "size": 3, "pad": 1, "activation": "linear"} | options
    return "[convolutional]\n" + "".join(f"{key}={value}\n" for key, value in lines.items())


CASES = {
    **{f"activation {word}": conv(activation=word) + ONE for word in ACTIVATIONS},
    "activation section": CONV + "[activation]\nactivation=mish\n",
    "activation of one channel": conv(filters=1, activation="normalize_channels_softmax_maxval"),
    "stride 2": conv(stride=2, batch_normalize=1),
    "two strides": conv(stride_x=2, stride_y=1),
    "even kernel": conv(size=2, pad=0, padding=1),
    "depthwise": CONV + conv(groups=8, stride=2),
    "depthwise, two filters each": CONV + conv(groups=8, filters=16),
    "depthwise, two strides": CONV + conv(groups=8, stride_x=2),
    "grouped": CONV + conv(groups=4, filters=12),
    "dilation": conv(dilation=2),
    "dilation with stride": conv(dilation=2, stride=2),
    "cbn": conv(cbn=1),
    "blurred": conv(antialiasing=1, stride=2),
    "blurred by means": conv(antialiasing=2, stride=2, batch_normalize=1),
    "shared weights": CONV + conv(batch_normalize=1) + conv(batch_normalize=1, dilation=2, share_index=-1),
    "maxpool 3/2": CONV + "[maxpool]\nsize=3\nstride=2\n",
    "maxpool without padding": CONV + "[maxpool]\nsize=3\nstride=2\npadding=0\n",
    "maxpool 5/1": CONV + "[maxpool]\nsize=5\nstride=1\n",
    "maxpool, two strides": CONV + "[maxpool]\nsize=2\nstride_x=2\nstride_y=1\n",
    "maxpool blurred": CONV + "[maxpool]\nsize=2\nstride=2\nantialiasing=1\n",
    "maxpool over channels": CONV + "[maxpool]\nmaxpool_depth=1\nout_channels=2\n",
    "maxpool over uneven channels": CONV + "[maxpool]\nmaxpool_depth=1\nout_channels=3\n",
    "local_avgpool 2/2": CONV + "[local_avgpool]\nsize=2\nstride=2\n",
    "local_avgpool 3/2": CONV + "[local_avgpool]\nsize=3\nstride=2\n",
    "local_avgpool 3/1": CONV + "[local_avg]\nsize=3\nstride=1\n",
    "upsample": CONV + "[upsample]\nstride=2\nscale=0.5\n",
    "upsample shrinks": CONV + "[upsample]\nstride=-2\n",
    "reorg": CONV + "[reorg]\nstride=2\n",
    "reorg of stride 1": CONV + "[reorg]\nstride=1\n",
    "reorg reverse": CONV + "[reorg]\nstride=2\nreverse=1\n",
    "reorg extra": CONV + "[reorg]\nstride=1\nextra=2\n[softmax]\n",
    "reorg3d": CONV + "[reorg3d]\nstride=2\n",
    "route": CONV + conv(filters=4) + "[route]\nlayers=-1,-2\n",
    "route of groups": CONV + conv(filters=4) + "[route]\nlayers=-1,0\ngroups=2\ngroup_id=1\n",
    "shortcut": CONV + conv() + "[shortcut]\nfrom=-2\nactivation=swish\n",
    "shortcut of three": CONV + conv() + conv() + "[shortcut]\nfrom=-2,-3\n",
    "shortcut of fewer channels": conv(filters=5) + conv() + "[shortcut]\nfrom=-2\n",
    "shortcut of more channels": conv(filters=9) + conv() + "[shortcut]\nfrom=-2\n",
    "shortcut of a larger map, pjreddie": CONV + conv(stride=2, filters=12) + "[shortcut]\nfrom=-2\n",
    "shortcut of a larger map, AlexeyAB": CONV + conv(stride=2, filters=12) + "[shortcut]\nfrom=-2\n[cost]\n",
    "shortcut of a smaller map, AlexeyAB": conv(stride=2) + "[upsample]\n" + "[shortcut]\nfrom=-2\n[cost]\n",
    **{
        f"shortcut {kind} {normalization}": CONV
        + conv()
        + conv()
        + f"[shortcut]\nfrom=-2,-3\nweights_type={kind}\nweights_normalization={normalization}\n"
        for kind in ("per_feature", "per_channel")
        for normalization in ("none", "relu", "softmax")
    },
    "scale_channels": CONV + "[avgpool]\n" + conv(size=1, activation="logistic") + "[scale_channels]\nfrom=0\n",
    "scale_channels by cell": CONV + conv(filters=1) + "[scale_channels]\nfrom=0\nscale_wh=1\nactivation=relu\n",
    "sam": CONV + conv() + "[sam]\nfrom=0\nactivation=logistic\n",
    "batchnorm": CONV + "[batchnorm]\n",
    "connected": CONV + "[dropout]\n[connected]\noutput=7\nactivation=ramp\n[softmax]\n[cost]\n",
    "connected, normalised": CONV + "[connected]\noutput=7\nbatch_normalize=1\nactivation=relu\n",
    "connected after avgpool": CONV + "[avgpool]\n[connected]\noutput=5\nactivation=linear\n",
    "local": CONV + "[local]\nfilters=4\nsize=3\nstride=1\npad=1\nactivation=leaky\n",
    "local without padding": CONV + "[local]\nfilters=4\nsize=2\nstride=2\n",
    "softmax of a map": CONV + "[softmax]\ntemperature=2\n",
    "softmax of cells": CONV + "[softmax]\nspatial=1\n",
    "softmax of groups": CONV + "[avgpool]\n[softmax]\ngroups=4\n",
    "softmax of a tree": CONV + "[avgpool]\n[softmax]\ntree=classes.tree\n",
    "crop": "[crop]\ncrop_width=8\ncrop_height=7\n" + CONV,
    "crop without adjusting": "[crop]\ncrop_width=8\ncrop_height=8\nnoadjust=1\n" + CONV,
    "implicit_add": CONV + "[implicit_add]\nfilters=8\n[silence]\n[scale_channels]\nfrom=0\n",
    "implicit of atoms": CONV + "[implicit_mul]\nfilters=8\natoms=3\n",
    "yolo": conv(filters=16) + "[yolo]\nclasses=3\nnum=3\nmask=0,2\nanchors=1,2,3,4,5,6\nnew_coords=1\n",
    "Gaussian_yolo": conv(filters=12) + "[Gaussian_yolo]\nclasses=3\nnum=1\nanchors=1,2\nyolo_point=left_top\n",
    "region": conv(filters=16) + "[region]\nclasses=3\nnum=2\nanchors=1,2,3,4\nsoftmax=1\n",
    "region of a tree": conv(filters=13) + "[region]\nclasses=8\nnum=1\nanchors=1,2\nsoftmax=1\ntree=classes.tree\n",
    "detection": CONV
    + "[connected]\noutput=52\nactivation=linear\n[detection]\nclasses=3\ncoords=4\nside=2\nnum=2\nsqrt=1\n",
    "detection of a map": conv(stride=4, filters=13) + "[detection]\nclasses=3\ncoords=4\nside=2\nnum=2\n",
}
CASES["detection of a map"] = CASES["detection of a map"].replace("side=2\nnum=2", "side=1\nnum=15")


def written(folder, text, header=None, seed=1):
    """The cfg and random weights that fit it."""
    (folder / "classes.tree").write_text(TREE)
    cfg, weights = folder / "net.cfg", folder / "net.weights"
    cfg.write_text(NET + text)
    network = plan(parse_cfg(NET + text, str(cfg)))
    values = np.random.default_rng(seed).uniform(0.3, 1.3, network.parameter_count)
    signs = np.random.default_rng(seed + 1).choice([-1, 1], network.parameter_count)
    at = 0
    for layer in network.layers:
        for parameter in layer.parameters:
            if parameter.name in ("variance", "scales"):
                signs[at : at + parameter.count] = 1
            at += parameter.count
    weights.write_bytes((header or Header()).pack() + (values * signs).astype("<f4").tobytes())
    return cfg, weights


@pytest.mark.parametrize("name", CASES)
def test_keras_computes_what_plain_numpy_does(tmp_path, name):
    cfg, weights = written(tmp_path, CASES[name])
    model = tmp_path / "net.h5"

    convert(cfg, weights, model, verify=True)

    check_layers(model)
    export_weights(model, tmp_path / "back.cfg", tmp_path / "back.weights")
    assert (tmp_path / "back.weights").read_bytes() == weights.read_bytes()


STRANGER = """
import sys
import keras
import numpy as np

folder, *names = sys.argv[1:]
picture = np.load(f"{folder}/picture.npy")
for name in names:
    model = keras.models.load_model(f"{folder}/{name}.h5", compile=False, safe_mode=True)
    outputs = model(picture)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    np.savez(f"{folder}/{name}.npz", *[np.asarray(output) for output in outputs])
"""


@pytest.mark.slow
def test_every_kind_gives_the_same_when_another_process_loads_it(tmp_path):
    """Keras reads some options from an .h5 differently than it wrote them, which only a second process shows."""
    picture = np.random.default_rng(9).uniform(0, 1, (3, 8, 12)).astype(np.float32)
    np.save(tmp_path / "picture.npy", picture.transpose(1, 2, 0)[None])
    chosen, seen = {}, set()
    for text in (CASES["softmax of a map"], *CASES.values()):  # each kind once, and the map
        kinds = {section.kind for section in parse_cfg(NET + text).layers}
        if not kinds <= seen:
            seen |= kinds
            chosen[f"net{len(chosen)}"] = text
    assert seen | {"implicit", "empty"} >= set(KINDS)
    expected = {}
    for name, text in chosen.items():
        cfg, weights = written(tmp_path, text)
        network = convert(cfg, weights, tmp_path / f"{name}.h5", verify=False).network
        floats = np.fromfile(weights, "<f4", offset=Header().size_bytes)
        maps = forward(network.cfg, floats, picture, darknet=network.darknet)
        expected[name] = [(layer, maps[layer.index]) for layer in network.outputs]
    subprocess.run([sys.executable, "-I", "-c", STRANGER, str(tmp_path), *chosen], check=True, capture_output=True)
    for name, text in chosen.items():
        found = np.load(tmp_path / f"{name}.npz")
        for (layer, wanted), got in zip(expected[name], (found[key] for key in found.files), strict=True):
            if layer.head and layer.head.kind == "detection":
                continue  # its numbers are in another order on purpose
            if got.ndim == 4:
                got = got.transpose(0, 3, 1, 2)
            np.testing.assert_allclose(got.ravel(), wanted.ravel(), rtol=1e-3, atol=1e-4, err_msg=text)


def test_transposed_connected_layers(tmp_path):
    cfg, weights = written(tmp_path, CASES["connected, normalised"], Header(major=0, minor=1002, revision=0))

    convert(cfg, weights, tmp_path / "net.h5", verify=True)

    export_weights(tmp_path / "net.h5", tmp_path / "back.cfg", tmp_path / "back.weights")
    assert (tmp_path / "back.weights").read_bytes() == weights.read_bytes()


def test_a_transposed_file_is_another_network(tmp_path):
    import keras

    outputs = []
    for header in (Header(), Header(minor=1002)):
        cfg, weights = written(tmp_path, CASES["connected"], header)
        convert(cfg, weights, tmp_path / "net.h5", verify=False)
        model = keras.models.load_model(tmp_path / "net.h5", compile=False)
        outputs.append(model.predict_on_batch(np.full((1, 8, 12, 3), 0.5, np.float32)))
    assert np.abs(outputs[0] - outputs[1]).max() > 0.01


def test_the_formula_of_pjreddies_cpu(tmp_path):
    cfg, weights = written(tmp_path, conv(batch_normalize=1))
    convert(cfg, weights, tmp_path / "net.h5", batch_norm="pjreddie", verify=True)
    assert read_description(tmp_path / "net.h5").batch_norm == "pjreddie"
    export_weights(tmp_path / "net.h5", tmp_path / "back.cfg", tmp_path / "back.weights")
    assert (tmp_path / "back.weights").read_bytes() == weights.read_bytes()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("[lstm]\n", 5, "recurrent", id="lstm"),
        pytest.param("[conv_lstm]\n", 5, "recurrent", id="conv_lstm"),
        pytest.param("[deconvolutional]\n", 5, "transposed", id="deconvolutional"),
        pytest.param("[convolutionel]\n", 5, "not supported", id="a slip"),
        pytest.param("[convolutional]\nxnor=1\n", 6, "binary", id="xnor"),
        pytest.param("[convolutional]\nactivation=leeky\n", 6, "leeky", id="unknown activation"),
        pytest.param("[convolutional]\nactivation=stair\n", 6, "stair", id="stair"),
        pytest.param("[convolutional]\nfilters=3\nantialiasing=3\n", 7, "antialiasing", id="unknown blur"),
        pytest.param("[route]\nlayers=-1\n", 6, "layers", id="route to nothing"),
        pytest.param(CONV + "[route]\nlayers=0\ngroups=2\ngroup_id=2\n", 13, "group_id", id="group outside"),
        pytest.param(CONV + "[softmax]\ntree=no.tree\n", 11, "no.tree", id="softmax without its tree"),
        pytest.param(CONV + "[reorg]\nstride=3\n", 11, "stride", id="reorg does not divide"),
        pytest.param(CONV + "[shortcut]\nfrom=0\nweights_type=per_cell\n", 12, "per_cell", id="weights_type"),
        pytest.param(CONV + "[region]\nclasses=3\nnum=1\nanchors=1,2\n", 10, "softmax", id="region without softmax"),
        pytest.param(CONV + "[scale_channels]\nfrom=0\n", 11, "1x1x8", id="scale_channels of a map"),
    ],
)
def test_unknown_sections_are_refused_with_their_line(text, line, words):
    with pytest.raises(CfgError, match=f"line {line}: .*{words}"):
        plan(parse_cfg(NET + text))


def test_a_region_without_its_tree_is_converted_and_says_so(tmp_path):
    cfg, weights = written(tmp_path, CASES["region of a tree"])
    (tmp_path / "classes.tree").unlink()

    conversion = convert(cfg, weights, tmp_path / "net.h5")

    assert any("classes.tree was not found" in note for note in conversion.notes)
    assert read_description(tmp_path / "net.h5").heads[0].tree == ()


def test_a_fixed_size_is_explained(tmp_path):
    cfg, weights = written(tmp_path, CASES["reorg"])
    convert(cfg, weights, tmp_path / "net.h5")
    assert "permutation" in read_description(tmp_path / "net.h5").fixed_size


def test_a_wrong_conversion_is_caught_and_nothing_written(tmp_path, monkeypatch):
    cfg, weights = written(tmp_path, CASES["activation leaky"])
    monkeypatch.setitem(ACTIVATIONS, "leaky", ACTIVATIONS["relu"])

    with pytest.raises(VerificationError, match="layer 0 "):
        convert(cfg, weights, tmp_path / "net.h5")
    assert not (tmp_path / "net.h5").exists()


def test_too_few_weights_name_the_layer(tmp_path):
    cfg, weights = written(tmp_path, CASES["connected"])
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(WeightsError, match=r"layer 2 \[connected\]"):
        convert(cfg, weights, tmp_path / "net.h5")
