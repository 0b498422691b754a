"""How the service is run: one frozen dataclass, checked before anything is opened."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from detector.errors import SettingsError

TOKEN_VARIABLE = "YOLO3_TOKEN"
"""The environment variable that holds the bearer token."""

_SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class Limits:
    """What a client may ask for; everything beyond is refused."""

    picture_bytes: int = 20 << 20
    """Of one picture, counted while it arrives."""
    picture_pixels: int = 32_000_000
    """Of one picture, known before it is decoded."""
    shared_bytes: int = 256 << 20
    """Of all uploads of more than 1 MiB that are in memory at one time."""
    header_seconds: float = 20.0
    """For the head of a request to arrive."""
    body_seconds: float = 30.0
    """For a request without a video to arrive."""
    video_bytes: int = 2 << 30
    video_seconds: float = 3600.0
    """How long an uploaded video may last."""
    video_pixels: int = 4096 * 2304
    video_body_seconds: float = 1800.0
    """For a video to arrive."""
    queue: int = 64
    """Pictures that wait for one model; more are answered 503 at once."""
    connections: int = 512
    jobs: int = 20
    """Video jobs that wait or run."""
    classify_models: int = 4
    """Models that one request may ask."""


@dataclass(frozen=True)
class ServiceSettings:
    """What to serve, where, and to whom. Raises `SettingsError`."""

    models: Path
    """The folder of `.h5` files; their names without the suffix are the models' names."""
    host: str = "127.0.0.1"
    port: int = 8000
    allow_urls: bool = False
    """Whether pictures may be fetched by address."""
    cameras: Path | None = None
    data: Path = Path("runs/serve")
    """Where video jobs are kept."""
    keep_hours: float = 24.0
    """Results of video jobs are deleted after so long."""
    root_path: str = ""
    """The path under which a proxy shows the service."""
    token: str | None = None
    insecure: bool = False
    """Whether a host that others can reach may be served without a token."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names under which a service without a token answers."""
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"port {self.port} is out of range; expected 0 to 65535")
        if not 0 < self.keep_hours <= 24 * 365:
            raise SettingsError(f"--keep-hours {self.keep_hours:g} is out of range; expected up to 8760")
        if not self.models.is_dir():
            raise SettingsError(f"{self.models}: no such folder; expected one with models made by yolo3 convert")
        if self.root_path and (not self.root_path.startswith("/") or self.root_path.endswith("/")):
            raise SettingsError(f"--root-path {self.root_path!r} is no path; expected one such as /yolo3")
        if self.token is not None and (len(self.token) < _SHORTEST_TOKEN or not self.token.isascii()):
            raise SettingsError(
                f"{TOKEN_VARIABLE} must hold at least {_SHORTEST_TOKEN} ASCII characters; make one with: "
                'python -c "import secrets; print(secrets.token_urlsafe(32))"'
            )
        if self.token is None and not self.insecure and not is_loopback(self.host):
            raise SettingsError(
                f"--host {self.host} can be reached by others; set {TOKEN_VARIABLE} to a secret that clients must "
                "send, or pass --insecure to serve everyone"
            )

    @staticmethod
    def token_of(environment: Mapping[str, str] = os.environ) -> str | None:
        """The token in the environment; None where there is none."""
        return environment.get(TOKEN_VARIABLE, "").strip() or None

    @property
    def hosts(self) -> frozenset[str] | None:
        """The names that a request may be addressed to, in lower case; None for any.

        A page of another site can make a browser send requests to this machine under that site's own name. A token
        keeps it out; without one the names are checked.
        """
        if self.token is not None or self.insecure:
            return None
        own = {"localhost", "127.0.0.1", "[::1]", f"[{self.host}]" if ":" in self.host else self.host}
        return frozenset(name.lower() for name in own | set(self.allowed_hosts))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
