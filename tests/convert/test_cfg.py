"""A .cfg is read as Darknet's C code reads it, and every error names its line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.cfg import ALIASES, Cfg, Section, parse_cfg, read_cfg, unread_keys
from convert.errors import CfgError
from convert.layers import KINDS
from convert.network import plan

HEADER = "[net]\nwidth=64\nheight=64\n"
"""Three lines, so the next one is line 4."""


def first_layer(*lines: str) -> Section:
    return parse_cfg("[net]\n[convolutional]\n" + "\n".join(lines)).layers[0]


def options(section: Section) -> dict[str, str]:
    return {key: option.value for key, option in section.options.items()}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[net]\nwidth=64\n[maxpool]\nsize=2\n", id="plain"),
        pytest.param("[net]\nwidth=64\n[maxpool]\nsize=2", id="no line end at the end"),
        pytest.param("[net]\r\nwidth=64\r\n[maxpool]\r\nsize=2\r\n", id="CRLF"),
        pytest.param("  [ net ]\t\n\twidth = 6 4 \n [maxpool]\nsi ze\t=\t2\n", id="white space anywhere"),
        pytest.param("# a\n; b\n[net]\n #width=1\n\t;width=2\nwidth=64\n\n[maxpool]\nsize=2\n", id="comments"),
        pytest.param("[network]\nwidth=64\n[max]\nsize=2\n", id="aliases"),
        pytest.param("[net]\nwidth=64\nwidth=1\n[maxpool]\nsize=2\nsize=9\n", id="first of two equal keys"),
    ],
)
def test_spellings_of_the_same_network(text: str) -> None:
    cfg = parse_cfg(text)
    assert options(cfg.net) == {"width": "64"}
    assert [(layer.kind, options(layer)) for layer in cfg.layers] == [("maxpool", {"size": "2"})]
    assert cfg.text == text


def test_a_key_ends_at_the_first_equals_sign() -> None:
    assert options(first_layer("key=a=b")) == {"key": "a=b"}


@pytest.mark.parametrize(("alias", "kind"), ALIASES.items())
def test_an_alias_is_resolved_to_its_section(alias: str, kind: str) -> None:
    sections = [parse_cfg("[net]\n" * (kind != "net") + f"[{name}]\n[dropout]\n") for name in (alias, kind)]
    short, long = ([section.kind for section in (cfg.net, *cfg.layers)] for cfg in sections)
    assert short == long
    assert alias not in short


def test_darknets_own_short_names_are_all_known() -> None:
    expected = "network conv max avg conn soft local_avg lrn deconv silence".split()
    assert sorted(ALIASES) == sorted(expected)


def test_sections_and_options_keep_their_lines() -> None:
    cfg = parse_cfg("\n# note\n[net]\n\nwidth=64\n[convolutional]\nfilters=1\n\nsize=3\n")
    layer = cfg.layers[0]
    assert (cfg.net.line, cfg.net.options["width"].line) == (3, 5)
    assert (layer.line, layer.options["filters"].line, layer.options["size"].line) == (6, 7, 9)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("12", 12, id="plain"),
        pytest.param("-3", -3, id="negative"),
        pytest.param("+3", 3, id="plus"),
        pytest.param("007", 7, id="leading zeros are not octal"),
        pytest.param("255#3*(80+5)", 255, id="comment after it"),
        pytest.param("255 # 3", 255, id="spaced comment"),
        pytest.param("3.9", 3, id="cut at the point"),
        pytest.param("1e3", 1, id="no exponents"),
        pytest.param("64x64", 64, id="letters after it"),
        pytest.param("2147483647", 2**31 - 1, id="largest int"),
        pytest.param("-2147483647", -(2**31) + 1, id="smallest int"),
    ],
)
def test_integers_are_read_as_by_atoi(value: str, expected: int) -> None:
    assert first_layer(f"key={value}").integer("key", 99) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("0.5", 0.5, id="plain"),
        pytest.param(".1", 0.1, id="no digit before the point"),
        pytest.param("5.", 5.0, id="no digit after the point"),
        pytest.param("-1.5", -1.5, id="negative"),
        pytest.param("1e-3", 0.001, id="exponent"),
        pytest.param("2E2", 200.0, id="capital exponent"),
        pytest.param("3e", 3.0, id="unfinished exponent"),
        pytest.param("1.05#old:1.1", 1.05, id="comment after it"),
        pytest.param("1.2.3", 1.2, id="second point"),
    ],
)
def test_numbers_are_read_as_by_atof(value: str, expected: float) -> None:
    assert first_layer(f"key={value}").number("key", 99) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("1,2,3", (1, 2, 3), id="plain"),
        pytest.param("-1, 61", (-1, 61), id="spaced"),
        pytest.param("4", (4,), id="one"),
        pytest.param("1,2,", (1, 2), id="trailing comma"),
        pytest.param("1,,2", (1, 2), id="empty item"),
        pytest.param("1,2#,3", (1, 2), id="comment ends it"),
        pytest.param("", (), id="empty"),
    ],
)
def test_lists(value: str, expected: tuple[int, ...]) -> None:
    section = first_layer(f"key={value}")
    assert section.integers("key") == expected
    assert section.numbers("key") == tuple(map(float, expected))


def test_absent_keys_have_their_defaults() -> None:
    section = first_layer()
    assert section.text("key", "word") == "word"
    assert section.integer("key", 7) == 7
    assert section.number("key", 0.7) == 0.7
    assert section.flag("key") is False
    assert section.flag("key", True) is True
    assert section.choice("key", ["a", "b"], "b") == "b"
    assert section.integers("key") == section.numbers("key") == ()
    assert "key" not in section
    assert "key" in first_layer("key=1")


@pytest.mark.parametrize(("value", "expected"), [("0", False), ("1", True), ("-1", True), ("2", True), ("00", False)])
def test_a_flag_is_any_integer_but_0(value: str, expected: bool) -> None:
    assert first_layer(f"key={value}").flag("key") is expected


def test_a_choice_accepts_only_its_words() -> None:
    section = first_layer("size=3", "activation=leeky")
    with pytest.raises(CfgError, match=r"^cfg, line 4: \[convolutional\] activation=leeky .*expected one of a, leaky$"):
        section.choice("activation", ["leaky", "a"], "a")
    assert section.choice("activation", ["leeky"], "a") == "leeky"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("width=4\n[net]\n[maxpool]\n", 1, "width= stands before the first section", id="key first"),
        pytest.param("\n[maxpool]\nsize=2\n", 2, r"the first section is \[maxpool\]; expected \[net\]", id="no [net]"),
        pytest.param("[net]\nwidth\n[maxpool]\n", 2, r"'width' is neither \[section\] nor key=value", id="no equals"),
        pytest.param("[net]\n=4\n[maxpool]\n", 2, "'=4' is neither", id="no key"),
        pytest.param("[net]\n\n[maxpool\nsize=2\n", 3, r"'\[maxpool' is not a section header", id="unclosed section"),
        pytest.param("[net]\n# x\n" + "y" * 90 + "\n", 3, "'y{59}…' is neither", id="long line is shortened"),
    ],
)
def test_invalid_text_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(CfgError, match=f"^my.cfg, line {line}: {words}"):
        parse_cfg(text, "my.cfg")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "has no sections", id="empty"),
        pytest.param("# only\n\n; comments\n", "has no sections", id="comments only"),
        pytest.param("[net]\nwidth=4\n", r"has no layer after its \[net\] section", id="no layers"),
    ],
)
def test_a_text_without_a_network_is_refused(text: str, words: str) -> None:
    with pytest.raises(CfgError, match=f"^my.cfg: {words}"):
        parse_cfg(text, "my.cfg")


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        pytest.param(["[convolutonal]"], 4, r"section \[convolutonal\] is not supported; known are", id="section"),
        pytest.param(["[net]"], 4, r"section \[net\] is not supported", id="second [net]"),
        pytest.param(["[]"], 4, r"section \[\] is not supported", id="nameless section"),
        pytest.param(["[convolutional]", "size=3", "activation=leeky"], 6, "activation=leeky", id="activation"),
        pytest.param(["[convolutional]", "filters=many"], 5, "filters=many is not an integer", id="not a number"),
        pytest.param(["[convolutional]", "filters="], 5, "filters= is not an integer", id="nothing"),
        pytest.param(["[convolutional]", "filters=٣"], 5, "filters=٣ is not an integer", id="digits atoi cannot read"),
        pytest.param(["[convolutional]", "filters=0"], 5, "filters=0 is too small; expected at least 1", id="zero"),
        pytest.param(["[convolutional]", "stride=-1"], 5, "stride=-1 is too small", id="negative"),
        pytest.param(["[convolutional]", "size=3000000000"], 5, "size=3000000000 is too large", id="beyond int"),
        pytest.param(["[convolutional]", f"size={'9' * 19}"], 5, "size=9+ is not an integer", id="beyond long"),
        pytest.param(["[upsample]", "scale=x"], 5, "scale=x is not a number", id="not a float"),
        pytest.param(["[upsample]", "scale=1e999"], 5, "scale=1e999 is too large", id="infinity"),
        pytest.param(["[upsample]", "scale=nan"], 5, "scale=nan is not a number", id="nan"),
        pytest.param(["[route]", "layers=0,x"], 5, "layers=x is not an integer", id="not a number in a list"),
    ],
)
def test_a_wrong_section_or_value_is_refused_with_its_line(lines: list[str], line: int, words: str) -> None:
    with pytest.raises(CfgError, match=f"^my.cfg, line {line}: .*{words}"):
        plan(parse_cfg(HEADER + "\n".join(lines), "my.cfg"))


@pytest.mark.parametrize(
    ("net", "line", "words"),
    [
        pytest.param("[net]\nheight=64", 1, r"\[net\] has no width=", id="no width"),
        pytest.param("\n[net]\nwidth=64", 2, r"\[net\] has no height=", id="no height"),
        pytest.param("[net]\nheight=0\nwidth=64", 2, "height=0 is too small", id="no height to speak of"),
        pytest.param("[net]\nheight=64\nwidth=99999", 3, "width=99999 is too large", id="slip of the pen"),
        pytest.param("[net]\nheight=64\nwidth=64\nchannels=0", 4, "channels=0 is too small", id="no channels"),
    ],
)
def test_a_wrong_net_section_is_refused_with_its_line(net: str, line: int, words: str) -> None:
    with pytest.raises(CfgError, match=f"^my.cfg, line {line}: .*{words}"):
        plan(parse_cfg(f"{net}\n[maxpool]\n", "my.cfg"))


def test_an_error_about_an_absent_key_names_the_sections_line() -> None:
    section = first_layer("filters=3")
    assert str(section.error("is odd", "size")) == "cfg, line 2: [convolutional] is odd"
    assert str(section.error("is odd", "filters")) == "cfg, line 3: [convolutional] is odd"


def test_unread_keys_are_listed_with_their_lines() -> None:
    cfg = parse_cfg(HEADER + "momentum=0.9\n[convolutional]\nsize=3\nfoo=1\n[convolutional]\nfoo=2\npad=1\n")
    plan(cfg)
    assert unread_keys(cfg) == {"momentum": [4], "foo": [7, 9]}


def test_a_file_is_read_with_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "my.cfg"
    data = "\ufeff[net]\r\n# Größe\r\nwidth=64\r\n[maxpool]\r\n".encode()
    path.write_bytes(data)
    cfg = read_cfg(path)
    assert cfg.path == str(path)
    assert options(cfg.net) == {"width": "64"}
    assert cfg.text == "[net]\r\n# Größe\r\nwidth=64\r\n[maxpool]\r\n"
    assert cfg.sha256 == hashlib.sha256(data).hexdigest()


def test_comments_in_another_encoding_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "my.cfg"
    path.write_bytes("# Größe\n[net]\nwidth=64\n[maxpool]\n".encode("latin-1"))
    assert options(read_cfg(path).net) == {"width": "64"}


def test_a_missing_cfg_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "my.cfg"
    with pytest.raises(CfgError, match=r"my\.cfg: no such file; expected a Darknet \.cfg"):
        read_cfg(path)


def test_a_folder_is_not_a_cfg(tmp_path: Path) -> None:
    with pytest.raises(CfgError, match=r"cannot be read \(Is a directory\)"):
        read_cfg(tmp_path)


def test_a_binary_file_is_not_a_cfg(tmp_path: Path) -> None:
    path = tmp_path / "my.weights"
    path.write_bytes(b"\x01\x02\x00\x00")
    with pytest.raises(CfgError, match=r"my\.weights: a binary file, .*offset 2\).*weights swapped\?"):
        read_cfg(path)


TWO_HEADS = """\
[net]
width=64
height=64
[convolutional]
filters=255
[yolo]
mask=0,1,2
num=6
anchors=1,1, 2,2, 3,3, 4,4, 5,5, 6,6
classes=80
[convolutional]
filters=170
[yolo]
num=2
anchors=1,1, 2,2
classes=80
"""


def class_counts(cfg: Cfg) -> list[tuple[int, int]]:
    convolutions, heads = cfg.layers[0::2], cfg.layers[1::2]
    return [
        (before.integer("filters", 0), head.integer("classes", 0))
        for before, head in zip(convolutions, heads, strict=True)
    ]


def test_another_class_count_changes_each_head_and_the_filters_before_it() -> None:
    cfg = parse_cfg(TWO_HEADS)
    other = cfg.with_classes(4)
    assert class_counts(other) == [(3 * 9, 4), (2 * 9, 4)]
    plan_counts = [layer.head.classes for layer in plan(other).layers if layer.head]
    assert plan_counts == [4, 4]
    assert class_counts(cfg) == [(255, 80), (170, 80)]  # the original is as it was
    assert class_counts(cfg.with_classes(80)) == class_counts(cfg)


@given(st.text())
def test_no_text_raises_anything_but_a_cfg_error(text: str) -> None:
    try:
        plan(parse_cfg(text))
    except CfgError as error:
        assert "\n" not in str(error)


WORDS = st.sampled_from(sorted(KINDS) + sorted(ALIASES) + ["net", "sam", ""])
KEYS = st.sampled_from(
    """
    width height channels filters size stride stride_x stride_y pad padding groups dilation batch_normalize activation
    layers from mask num anchors classes scale probability temperature scale_x_y nms_kind weights_type antialiasing
    """.split()
)
VALUES = st.one_of(
    st.integers(-2, 9).map(str),
    st.sampled_from(["255", "2147483647", "-2147483648", "-1,0", "0,1,2", "1,1,2,2", "linear", "leaky", "1e9", ".5"]),
    st.text(max_size=6),
)
LINES = st.one_of(WORDS.map("[{}]".format), st.builds("{}={}".format, KEYS, VALUES))


@settings(max_examples=300)
@given(st.lists(LINES, max_size=20))
def test_no_mixture_of_sections_and_keys_raises_anything_but_a_cfg_error(lines: list[str]) -> None:
    try:
        network = plan(parse_cfg("[net]\nwidth=32\nheight=32\n" + "\n".join(lines)))
    except CfgError:
        return
    for layer in network.layers:
        assert 0 <= layer.parameter_count <= 2**31
        assert min(layer.shape.height, layer.shape.width, layer.shape.channels) >= 1
