"""The Darknet family against Darknet's own C code: outputs, and the bytes there and back."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest

from convert.conversion import convert
from convert.export import export_weights
from convert.model_file import check_layers, read_description
from convert.weights import Header

sys.path.insert(0, str(Path(__file__).parent))
from family import as_darknet, difference, make_weights, reference_input, reference_outputs

EXACT = 2e-4
"""Of the output's range, with the formula of the Darknet that made the reference."""

OTHER_FORMULA = 5e-3
"""The same where pjreddie's CPU code normalises a batch by another formula than all GPU code."""

QUICK = """
    alexeyab__tiny alexeyab__yolov2-tiny-voc alexeyab__yolov3-tiny alexeyab__yolov3-tiny-prn
    alexeyab__yolov3-tiny_3l alexeyab__yolov4-tiny alexeyab__yolov4-tiny-3l alexeyab__yolov7-tiny hank-ai__yolov4-tiny
    pjreddie__cifar pjreddie__yolov2-tiny
""".split()
SLOW = """
    alexeyab__efficientnet_b0
    alexeyab__Gaussian_yolov3_BDD alexeyab__alexnet alexeyab__csdarknet53-omega alexeyab__csresnext50-panet-spp
    alexeyab__darknet53 alexeyab__enet-coco alexeyab__yolov2 alexeyab__yolov3 alexeyab__yolov3-openimages
    alexeyab__yolov3-spp alexeyab__yolov3-voc alexeyab__yolov4 alexeyab__yolov4-csp alexeyab__yolov4-csp-swish
    pjreddie__darknet19 pjreddie__densenet201 pjreddie__extraction pjreddie__resnet50 pjreddie__resnext50
    pjreddie__yolov1-tiny pjreddie__yolov2 pjreddie__yolov3 pjreddie__yolov3-tiny
""".split()
NAMES = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def test_the_lists_contain_every_network(shared):
    there = {path.stem for path in (shared / "reference" / "family").glob("*.cfg")}
    assert there == {*QUICK, *SLOW}


@pytest.mark.parametrize("name", NAMES)
def test_the_network_computes_what_darknet_does(shared, tmp_path, name):
    cfg = shared / "reference" / "family" / f"{name}.cfg"
    reference = dict(np.load(cfg.with_suffix(".npz")))
    weights = make_weights(shared, cfg, tmp_path / "net.weights")
    pjreddie = name.startswith("pjreddie__")
    model = tmp_path / "net.h5"
    if pjreddie:
        assert _difference(cfg, weights, model, reference, "alexeyab", pjreddie=True) <= OTHER_FORMULA
    own = "pjreddie" if pjreddie else "alexeyab"
    assert _difference(cfg, weights, model, reference, own, pjreddie=pjreddie) <= EXACT

    back = tmp_path / "back.weights"
    export_weights(model, tmp_path / "back.cfg", back)
    header = Header().size_bytes
    assert back.read_bytes()[header:] == weights.read_bytes()[header:]
    assert (tmp_path / "back.cfg").read_bytes() == cfg.read_bytes()


def _difference(cfg, weights, model, reference, batch_norm, *, pjreddie):
    import keras

    convert(cfg, weights, model, batch_norm=batch_norm)
    check_layers(model)
    heads = read_description(model).heads
    outputs = keras.models.load_model(model, compile=False).predict_on_batch(reference_input(reference))
    keras.backend.clear_session()
    gc.collect()
    expected = reference_outputs(reference)
    if not heads:
        (only,) = expected.values()
        assert outputs.shape == (1, len(only))
        assert abs(outputs.sum() - 1) < 1e-4
        return difference(as_darknet(outputs, None, pjreddie=pjreddie), only)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return max(
        difference(as_darknet(output[0], head, pjreddie=pjreddie), expected[head.layer])
        for output, head in zip(outputs, heads, strict=True)
    )
