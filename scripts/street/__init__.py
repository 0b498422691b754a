"""Draw a cartoon street from a seed: images and clips with exact boxes."""

from scripts.street.clip import Clip
from scripts.street.render import NAMES, Shot, draw_shot
from scripts.street.stage import random_street

__all__ = ["NAMES", "Clip", "Shot", "draw_shot", "random_street"]
