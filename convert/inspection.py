"""Describe a .cfg, .weights or .h5 file as text, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from convert.cfg import Cfg, parse_cfg, read_cfg, unread_keys
from convert.darknet_keys import KNOWN_KEYS
from convert.diagnosis import check_weights, prefix_layers
from convert.errors import CfgError, InputError
from convert.head import Head
from convert.model_file import check_layers, read_description
from convert.names import configs_folder
from convert.network import Network, fitting_class_count, plan
from convert.recognise import check_regular, recognise
from convert.text import printable
from convert.weights import FLOAT_BYTES, Header, WeightsReader, unreadable
from convert.weights_content import damage

TINY_ANCHORS = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))


def inspect(path: Path | str, weights: Path | str | None = None) -> str:
    """Return a description of a .cfg (with `weights`, whether they fit it), a .weights file or an .h5 model.

    Raise an error of `convert.errors` for a file of another kind or a damaged one.
    """
    return "\n".join(map(printable, _lines(Path(path), weights)))


def _lines(path: Path, weights: Path | str | None) -> Iterator[str]:
    if path.suffix == ".h5":
        yield from _model(path)
    elif path.suffix == ".cfg" or weights is not None:
        network = plan(read_cfg(path))
        yield from _cfg(network)
        if weights is not None:
            with WeightsReader.open(weights) as reader:
                check_weights(network, reader)
            yield f"{weights}: fits, {network.parameter_count:,} floats"
    else:
        yield from _weights(path)


def _cfg(network: Network) -> Iterator[str]:
    cfg, picture = network.cfg, network.picture
    yield f"{cfg.path}: {len(network.layers)} layers, input {picture.width}x{picture.height}x{picture.channels}"
    yield from _table(network, Header())
    floats = network.parameter_count
    size = Header().size_bytes + floats * FLOAT_BYTES
    yield f"total: {floats:,} floats, a .weights file of {size:,} bytes; {network.flops / 1e9:.3f} GFLOP per image"
    yield from _heads(tuple(layer.head for layer in network.outputs if layer.head))
    if network.fixed_size:
        yield f"accepts only this input size ({network.fixed_size})"
    for layer in network.layers:
        if layer.note:
            yield f"note: {layer.note}"
    yield from _keys(cfg)
    if _tiny_mask_trap(network):
        yield (
            "note: the second head has mask=0,1,2. The published yolov3-tiny.weights was trained with mask=1,2,3 "
            "there; with those weights small boxes are wrong until the mask is corrected"
        )


def _table(network: Network, header: Header) -> Iterator[str]:
    yield f"{'layer':>5} {'line':>5}  {'section':16} {'output':>16} {'floats':>12} {'MFLOP':>10}  bytes in .weights"
    offset = header.size_bytes
    for layer in network.layers:
        size = layer.parameter_count * FLOAT_BYTES
        where = f"{offset}-{offset + size - 1}" if size else ""
        yield (
            f"{layer.index:5} {layer.section.line:5}  {layer.section.kind:16} {layer.shape!s:>16} "
            f"{layer.parameter_count or '':>12} {layer.flops / 1e6:10.1f}  {where}"
        ).rstrip()
        offset += size


def _heads(heads: tuple[Head, ...]) -> Iterator[str]:
    for head in heads:
        anchors = " ".join(f"{width:g}x{height:g}" for width, height in head.anchors)
        yield (
            f"head of layer {head.layer}: {head.kind}, stride {head.stride}, {head.classes} classes, "
            f"anchors {anchors}, nms {head.nms_kind}"
        )
    if not heads:
        yield "no head: a classifier or a backbone"


def _keys(cfg: Cfg) -> Iterator[str]:
    unread = unread_keys(cfg)
    unknown = {key: lines for key, lines in unread.items() if key not in KNOWN_KEYS}
    training = {key: lines for key, lines in unread.items() if key in KNOWN_KEYS}
    if unknown:
        yield f"keys unknown to Darknet, possibly typos: {_listed(unknown)}"
    if training:
        yield f"keys not needed for detection: {_listed(training)}"


def _listed(keys: Mapping[str, list[int]], most: int = 4) -> str:
    """Return each key with its lines."""
    named = []
    for key, lines in sorted(keys.items()):
        more = f" and {len(lines) - most} more" if len(lines) > most else ""
        named.append(f"{key} (line {', '.join(map(str, lines[:most]))}{more})")
    return "; ".join(named)


def _tiny_mask_trap(network: Network) -> bool:
    heads = [layer.head for layer in network.layers if layer.head]
    return [head.anchors for head in heads] == [TINY_ANCHORS[3:], TINY_ANCHORS[:3]]


def _weights(path: Path) -> Iterator[str]:
    try:
        check_regular(path)
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise unreadable(path, error) from None
    if recognise(start) == "a Darknet .cfg":
        yield from _cfg(plan(read_cfg(path)))
        return
    wrong = damage(path)
    if wrong:
        raise InputError(f"{path}: {wrong}. {_nearest(path)}".rstrip())
    with WeightsReader.open(path) as reader:
        header, floats = reader.header, reader.total
    yield (
        f"{path}: version {header.major}.{header.minor}.{header.revision}, {header.seen:,} training images seen, "
        f"{floats:,} floats after a header of {header.size_bytes} bytes"
    )
    if header.transposed:
        yield "connected layers are stored transposed (input by output)"
    fits = list(_fits(floats))
    yield from fits or ["fits no network in configs/: give its cfg as well, `yolo3 inspect CFG WEIGHTS`"]


def _known_networks() -> Iterator[Network]:
    for path in sorted(configs_folder().glob("*.cfg")):
        yield plan(read_cfg(path))


def _fits(floats: int) -> Iterator[str]:
    for network in _known_networks():
        name = Path(network.cfg.path).name
        classes = fitting_class_count(network.cfg, floats)
        prefix = prefix_layers(network, floats)
        if floats == network.parameter_count:
            yield f"fits {name}"
        elif classes is not None:
            yield f"fits {name} with {classes} classes"
        elif prefix:
            yield f"holds the first {prefix} layers of {name}: initial weights for training"
        elif network.parameter_count < floats <= network.parameter_count * 1.05:
            yield f"holds all of {name} and {floats - network.parameter_count:,} extra floats: one layer too many"


def _nearest(path: Path) -> str:
    """Return the known network whose file is only a few bytes longer."""
    size = path.stat().st_size
    for network in _known_networks():
        missing = Header().size_bytes + network.parameter_count * FLOAT_BYTES - size
        if 0 < missing < FLOAT_BYTES:
            return f"{missing} bytes missing for {Path(network.cfg.path).name}"
    return ""


def _model(path: Path) -> Iterator[str]:
    description = read_description(path)
    check_layers(path)
    if not description.cfg:
        yield f"{path}: adopted from a Keras model, {len(description.names)} classes, resize {description.resize}"
        yield from _heads(description.heads)
        return
    try:
        network = plan(parse_cfg(description.cfg, f"{path} (its cfg)"), batch_norm=description.batch_norm)
    except CfgError as error:
        yield f"{path}: its cfg cannot be parsed: {error}"
        return
    header = description.weights_header
    yield (
        f"{path}: {len(description.names)} classes ({', '.join(description.names[:5])}"
        f"{', …' if len(description.names) > 5 else ''}), resize {description.resize}, "
        f"batch normalisation of {description.batch_norm}"
    )
    if description.weights_sha256:
        yield f"converted from a cfg of SHA-256 {description.cfg_sha256} and weights of {description.weights_sha256}"
    else:
        yield f"a cfg of SHA-256 {description.cfg_sha256}; its weights were trained or adopted"
    yield (
        f"those weights: version {header.major}.{header.minor}.{header.revision}, {header.seen:,} training images seen"
    )
    yield from _cfg(network)
