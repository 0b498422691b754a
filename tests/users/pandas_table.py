"""A table of what is in a folder of pictures, with pandas."""

import sys
from pathlib import Path

import pandas as pd

from detector import Detector

model, folder, out = sys.argv[1:]
detector = Detector.open(model, size=(96, 96))
pictures = sorted(Path(folder).glob("*.png"))
tables: list[pd.DataFrame] = []
for path, found in zip(pictures, detector.detect(pictures), strict=True):
    tables.append(found[found.confidence > 0.5].to_dataframe().assign(picture=path.name))
table = pd.concat(tables, ignore_index=True)
table.to_csv(out, index=False)
for name in sorted(set(table["name"])):
    print(name, int((table["name"] == name).sum()))
