"""The 1000 classes of ImageNet (ILSVRC 2012), in the two orders that published networks use.

Darknet numbers them as the competition did; Keras sorts them by WordNet synset. `configs/imagenet.names` and
`configs/imagenet.synsets` hold names and synsets in Darknet's order.
"""

from __future__ import annotations

from functools import cache

from convert.names import configs_folder, read_names

CLASSES = 1000


@cache
def darknet_names() -> tuple[str, ...]:
    """Class names in Darknet's order."""
    return read_names(configs_folder() / "imagenet.names", CLASSES)


@cache
def keras_names() -> tuple[str, ...]:
    """Class names in the order of `keras.applications`."""
    return tuple(name for _, name in _sorted_by_synset())


@cache
def keras_synsets() -> tuple[str, ...]:
    """WordNet synsets in the order of `keras.applications`, such as n02099601."""
    return tuple(synset for synset, _ in _sorted_by_synset())


@cache
def _sorted_by_synset() -> tuple[tuple[str, str], ...]:
    synsets = read_names(configs_folder() / "imagenet.synsets", CLASSES)
    return tuple(sorted(zip(synsets, darknet_names(), strict=True)))
