"""Valid and invalid descriptions of heads; invalid ones are refused before they give wrong boxes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from convert.head import Head

HEAD = Head("yolo", 82, 32, ((116.0, 90.0), (156.5, 198.0)), 80)
TREE = replace(HEAD, kind="region", softmax=True, classes=3, tree=(-1, 0, 0), tree_file="9k.tree")


@pytest.mark.parametrize("head", [HEAD, TREE, replace(HEAD, scale_x_y=2.0, new_coords=True, nms_kind="diounms")])
def test_a_head_survives_json(head: Head) -> None:
    head.check()
    assert Head.from_json(json.loads(json.dumps(head.as_json()))) == head


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "yolo99"},
        {"layer": -1},
        {"layer": 1.5},
        {"layer": True},
        {"stride": 0},
        {"stride": "32"},
        {"classes": 0},
        {"classes": 10**30},
        {"anchors": []},
        {"anchors": [[float("nan"), 10]]},
        {"anchors": [[1, float("nan")]]},
        {"anchors": [[1, float("inf")]]},
        {"anchors": [[1, 1e38]]},
        {"anchors": [[1, 0]]},
        {"anchors": [[1, -2]]},
        {"anchors": [[1]]},
        {"anchors": [["a", "b"]]},
        {"anchors": [[1, 1]] * 10_001},
        {"scale_x_y": float("nan")},
        {"scale_x_y": 1e30},
        {"scale_x_y": -1},
        {"scale_x_y": "wide"},
        {"beta_nms": float("inf")},
        {"beta_nms": None},
        {"new_coords": 1},
        {"softmax": "yes"},
        {"square_root": 0},
        {"nms_kind": "cornersnms"},
        {"yolo_point": "middle"},
        {"yolo_point": ["center"]},
        {"tree": [-1, 0]},
        {"tree": [0, 0, 0]},
        {"tree": [-1, 5, 0]},
        {"tree": [-1, "a", 0]},
        {"tree": [-2, 0, 0]},
        {"tree_file": 7},
        {"colour": "red"},
    ],
    ids=str,
)
def test_values_that_no_cfg_gives_are_refused(changes: dict[str, Any]) -> None:
    data = {**TREE.as_json(), **changes}
    with pytest.raises((ValueError, TypeError, KeyError)):
        Head.from_json(data).check()
