"""Proxies that the environment or the system names: none stands before this machine itself."""

import os
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager

_NO_PROXY = ("NO_PROXY", "no_proxy")
"""Variables with the hosts that are asked without a proxy; programs differ in which they read."""
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


@contextmanager
def no_proxies() -> Generator[None]:
    """Hide all proxies for a while.

    Gradio makes a client of HTTP as it is imported, which fails if it cannot use a proxy that is
    named; and it asks its own page whether it is up, through a proxy that does not know that.
    """
    before = {name: os.environ[name] for name in _NO_PROXY if name in os.environ}
    os.environ.update(dict.fromkeys(_NO_PROXY, "*"))
    try:
        yield
    finally:
        for name in _NO_PROXY:
            os.environ.pop(name, None)
        os.environ.update(before)


def name_this_machine() -> None:
    """Add this machine to `NO_PROXY`, for libraries that would ask a proxy even for that.

    Only where the environment names a proxy: else `NO_PROXY` would hide those of the system.
    """
    if proxies := urllib.request.getproxies_environment():
        hosts = ",".join([*filter(None, [proxies.get("no")]), *_THIS_MACHINE])
        os.environ.update(dict.fromkeys(_NO_PROXY, hosts))


__all__ = ["name_this_machine", "no_proxies"]
