"""Real networks on real photos, against what Darknet itself prints for them."""

import itertools
import json

import numpy as np
import pytest

from convert import convert
from detector import Detector
from detector.heads.boxes import iou

NETWORKS = ["yolo-fastest-1.1-xl", "MobileNetV2-YOLOv3-Nano-coco", "yoloface-50k", "yolov3-tiny-grocery"]

BEYOND_THE_DECODER = {
    # Two faces overlap by IoU 0.4498 here and by more than 0.45 there: the last rounding of the JPEG's cosines.
    ("yoloface-50k", "stretch", "elephant.jpg"): 1,
}
"""Boxes of ours that Darknet does not have, and why."""


@pytest.fixture(scope="module")
def models(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    names = {"yolov3-tiny-grocery": "grocery", "yoloface-50k": "face"}
    for network in NETWORKS:
        source = shared / "assets" / "weights" / network
        convert(
            source.with_name(network + ".cfg"),
            source.with_name(network + ".weights"),
            folder / f"{network}.h5",
            names=shared / "assets" / "names" / f"{names.get(network, 'coco')}.names",
        )
    return folder


@pytest.mark.parametrize(
    ("network", "resize"),
    [
        pytest.param(*both, marks=pytest.mark.slow if both == ("yolo-fastest-1.1-xl", "stretch") else [])
        for both in itertools.product(NETWORKS, ["stretch", "letterbox"])
    ],
)
def test_every_box_of_darknets_is_ours_and_no_other(shared, models, network, resize):
    expected = json.loads((shared / "reference" / "darknet_detections.json").read_text())["models"][network][resize]
    detector = Detector.open(models / f"{network}.h5", resize=resize, interpolation="darknet")
    for name, rows in expected.items():
        path = next(path for path in (shared / "assets").glob(f"*/{name}"))
        picture = detector.read(path)
        height, width = picture.shape[:2]
        ours = detector.detect(picture)
        theirs = np.array(rows, object)
        centre, size = theirs[:, 3:5].astype(np.float32), theirs[:, 5:7].astype(np.float32)
        edges = np.clip(np.hstack([centre - size / 2, centre + size / 2]), 0, 1) * [width, height, width, height]
        classes, confidence = theirs[:, 0].astype(int), theirs[:, 2].astype(float)

        partner = np.array(
            [
                (ours.class_id == class_id)
                & (iou(edge[None].astype(np.float32), ours.xyxy) >= 0.95)
                & (abs(ours.confidence - score) <= 0.03)
                for edge, class_id, score in zip(edges, classes, confidence, strict=True)
            ]
        )
        missing = (confidence >= 0.3) & ~partner.any(axis=1)
        extra = (ours.confidence >= 0.3) & ~partner.any(axis=0)
        assert not missing.any(), (name, theirs[missing])
        assert extra.sum() <= BEYOND_THE_DECODER.get((network, resize, name), 0), (name, ours[extra])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "least_ap50"), [("yolo-fastest-1.1-xl", 0.44), ("MobileNetV2-YOLOv3-Nano-coco", 0.37)]
)
def test_average_precision_on_coco_pictures(shared, models, network, least_ap50):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    folder = shared / "assets" / "coco_val2017_128"
    truth = COCO(folder / "instances_val2017_128.json")
    detector = Detector.open(models / f"{network}.h5", resize="stretch", confidence=0.005)
    categories = sorted(truth.getCatIds())
    results = []
    for image in truth.loadImgs(truth.getImgIds()):
        for (left, top, right, bottom), confidence, class_id, _ in detector.detect(
            folder / "images" / image["file_name"]
        ):
            box = [float(left), float(top), float(right - left), float(bottom - top)]
            results.append(
                {"image_id": image["id"], "category_id": categories[class_id], "bbox": box, "score": confidence}
            )
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()

    assert evaluation.stats[1] >= least_ap50
