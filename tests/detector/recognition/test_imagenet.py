import hashlib
import json

from detector.recognition.imagenet import darknet_names, keras_names, keras_synsets

KERAS_CLASS_INDEX_MD5 = "c2c37ea517e94d9795004a39431a14cb"
"""Of imagenet_class_index.json, which Keras fetches; keras/src/applications/imagenet_utils.py."""


def class_index():
    """Keras's file of classes, made of the names that are shipped here."""
    pairs = zip(keras_synsets(), keras_names(), strict=True)
    return {str(index): [synset, name.replace(" ", "_")] for index, (synset, name) in enumerate(pairs)}


def test_the_order_of_keras_to_the_byte():
    assert hashlib.md5(json.dumps(class_index()).encode()).hexdigest() == KERAS_CLASS_INDEX_MD5


def test_the_order_of_darknet():
    names = darknet_names()

    assert (names[0], names[23], names[999]) == ("kit fox", "African elephant", "dumbbell")
    assert sorted(names) == sorted(keras_names())


def test_the_names_are_those_of_the_material(shared):
    published = (shared / "assets" / "names" / "imagenet.names").read_text("utf-8").splitlines()

    assert list(darknet_names()) == published[:1000]
