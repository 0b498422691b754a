"""A cartoon street from a seed: pictures and clips whose every box is known exactly."""

from detector.training.street.clip import Clip
from detector.training.street.render import NAMES, Shot, draw_shot
from detector.training.street.stage import random_street

__all__ = ["NAMES", "Clip", "Shot", "draw_shot", "random_street"]
