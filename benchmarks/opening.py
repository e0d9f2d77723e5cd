"""What does it take to open the page? `python -m benchmarks.opening`

Requests and bytes on the wire of a first visit (a fresh browser profile: nothing is in its cache),
until something can be read, and until Compare can be pressed: its models are chosen and said to be
ready. Over a slow network as Chromium emulates it, and over none; beside an empty Gradio page in
turns, which is Gradio's own part; and once more in the same browser. `--files` lists what was
fetched. Bytes are those of responses that have ended, with their headers; the heartbeat, which does
not end, is counted as a request only, and what the browser has kept not at all. It is watched until
nothing has come for a while, and 15 s at most: a page that never stops asking shows. Not
measured: connecting and TLS, which take longer on such a network than here.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext

from benchmarks.machine import Figure, machine, write
from benchmarks.served import Served, free_port
from benchmarks.startup import PAGES
from benchmarks.watched import chromium

NETWORKS = {
    "slow": {"latency": 400, "downloadThroughput": 200_000, "uploadThroughput": 200_000},
    "none": None,
}
"""Milliseconds before each response, and bytes a second of all together."""
SEEN = {
    "app": {
        "read": ["h1"],
        "usable": [
            "#text-compare:enabled",
            "#text-state-a [data-state=ready]",
            "#text-state-b [data-state=ready]",
        ],
    },
    "empty": {"read": [".prose p"], "usable": [".prose p"]},
}
"""What has to be seen, by page."""
_QUIET = 1.5
"""Seconds without a response that ends, after which a page has been opened."""
_LONGEST = 15.0
"""Seconds for which it is waited for that, once it can be used."""
_LIMIT = 120.0
_LOOK = """(wanted) => {
  window.seen = {};
  const look = () => {
    for (const [name, selectors] of Object.entries(wanted)) {
      const there = (one) => document.querySelector(one)?.checkVisibility();
      if (!seen[name] && selectors.every(there)) seen[name] = performance.now();
    }
    if (Object.keys(seen).length < Object.keys(wanted).length) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


@dataclass(frozen=True)
class File:
    """A response."""

    path: str
    size: int | None
    """Bytes on the wire; `None` if it has not ended."""
    encoding: str

    @property
    def part(self) -> str:
        """What it belongs to."""
        first, _, rest = self.path.strip("/").partition("/")
        if first in ("assets", "static", "svelte"):
            return "scripts" if rest.endswith(".js") else "styles and others"
        return "events" if first == "gradio_api" else "page"


@dataclass(frozen=True)
class Opening:
    """One first visit. Seconds from the beginning of the navigation."""

    read: float
    usable: float
    files: list[File]

    @property
    def requests(self) -> int:
        """How many there were."""
        return len(self.files)

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(file.size or 0 for file in self.files)

    def size_of(self, part: str) -> int:
        """Bytes of one part."""
        return sum(file.size or 0 for file in self.files if file.part == part)


def first_visit(browser: Browser, name: str, server: Served, network: str) -> Opening:
    """Open a page in a profile that has never been there."""
    return visits(browser, name, server, network, times=1)[0]


def visits(
    browser: Browser, name: str, server: Served, network: str, times: int = 2
) -> list[Opening]:
    """Open a page in a profile that has never been there, and again."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found = [_visit(context, name, server, network) for _ in range(times)]
    context.close()
    return found


def _visit(context: BrowserContext, name: str, server: Served, network: str) -> Opening:
    page = context.new_page()
    cdp = context.new_cdp_session(page)
    responses: dict[str, dict[str, Any]] = {}
    sizes: dict[str, int] = {}
    remembered: set[str] = set()
    ended = time.monotonic()

    def responded(event: dict[str, Any]) -> None:
        response = event["response"]
        kept = response.get("fromDiskCache") or event["requestId"] in remembered
        if response["url"].startswith(server.url) and not kept:
            responses[event["requestId"]] = event["response"]

    def finished(event: dict[str, Any]) -> None:
        nonlocal ended
        sizes[event["requestId"]], ended = int(event["encodedDataLength"]), time.monotonic()

    cdp.on("Network.requestServedFromCache", lambda event: remembered.add(event["requestId"]))
    cdp.on("Network.responseReceived", responded)
    cdp.on("Network.loadingFinished", finished)
    cdp.send("Network.enable")
    if conditions := NETWORKS[network]:
        cdp.send("Network.emulateNetworkConditions", {"offline": False, **conditions})
    wanted = SEEN[name]
    page.add_init_script(f"({_LOOK})({wanted})")
    page.goto(server.url, wait_until="commit", timeout=1000 * _LIMIT)
    page.wait_for_function(
        "(count) => Object.keys(seen).length === count", arg=len(wanted), timeout=1000 * _LIMIT
    )
    until = time.monotonic() + _LONGEST
    while time.monotonic() - ended < _QUIET and time.monotonic() < until:
        page.wait_for_timeout(100)
    seen = page.evaluate("seen")
    page.close()
    files = [
        File(urlsplit(one["url"]).path, sizes.get(request), _header(one, "content-encoding"))
        for request, one in responses.items()
    ]
    return Opening(seen["read"] / 1000, seen["usable"] / 1000, files)


def _header(response: dict[str, Any], wanted: str) -> str:
    headers = response["headers"]
    return next((value for name, value in headers.items() if name.lower() == wanted), "")


def measure(browser: Browser, repeat: int) -> dict[str, list[Opening]]:
    """All visits, by page and network."""
    found: dict[str, list[Opening]] = {}
    ports = {name: free_port() for name in SEEN}
    with (
        Served([*PAGES["app"], str(ports["app"])], ports["app"]) as app,
        Served([*PAGES["empty"], str(ports["empty"])], ports["empty"]) as empty,
    ):
        servers = {"app": app, "empty": empty}
        for name, server in servers.items():  # what only the first visitor pays
            server.wait()
            first_visit(browser, name, server, "none")
        for n in range(repeat):
            for network in NETWORKS:
                for name in list(servers)[:: -1 if n % 2 else 1]:
                    first, again = visits(browser, name, servers[name], network)
                    found.setdefault(f"{name} {network}", []).append(first)
                    found.setdefault(f"{name} {network}, again", []).append(again)
    return found


def figures_of(found: dict[str, list[Opening]]) -> list[Figure]:
    """What was seen."""

    def middle(what: str, page: str, network: str = "slow") -> float:
        return statistics.median(getattr(one, what) for one in found[f"{page} {network}"])

    figures = [
        Figure("requests", middle("requests", "app")),
        Figure("requests, empty Gradio page", middle("requests", "empty")),
        Figure("bytes", middle("size", "app") / 1000, "KB"),
        Figure("bytes, empty Gradio page", middle("size", "empty") / 1000, "KB"),
        Figure("empty page's bytes / ours", middle("size", "empty") / middle("size", "app"), "x"),
    ]
    for part in ("page", "scripts", "styles and others", "events"):
        size = statistics.median(one.size_of(part) for one in found["app slow"])
        figures.append(Figure(f"bytes of {part}", size / 1000, "KB"))
    for network, words in (("slow", "400 ms, 200 KB/s"), ("none", "no network")):
        figures += [
            Figure(f"{words}: something to read", middle("read", "app", network), "s"),
            Figure(f"{words}: the same, empty page", middle("read", "empty", network), "s"),
            Figure(f"{words}: Compare can be pressed", middle("usable", "app", network), "s"),
        ]
    again = "slow, again"
    return [
        *figures,
        Figure("second visit: requests", middle("requests", "app", again)),
        Figure("second visit: bytes", middle("size", "app", again) / 1000, "KB"),
        Figure("second visit: something to read", middle("read", "app", again), "s"),
        Figure("second visit: Compare can be pressed", middle("usable", "app", again), "s"),
    ]


def table(files: Sequence[File]) -> str:
    """What was fetched, the largest first."""
    rows = sorted(files, key=lambda file: -(file.size or 0))
    lines = (f"{file.size or 0:>10,}  {file.encoding:<8}{file.path}" for file in rows)
    return "\n".join(lines)


def main() -> None:
    """Measure, print a line for each figure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3, help="visits per median (%(default)s)")
    parser.add_argument("--files", action="store_true", help="list what was fetched")
    asked = parser.parse_args()
    before = machine("gradio", "playwright")
    with chromium() as browser:
        before["chromium"] = browser.version
        found = measure(browser, asked.repeat)
    if asked.files:
        print(table(found["app slow"][0].files), "", sep="\n")
    figures = figures_of(found)
    print(*figures, sep="\n")
    runs = {
        name: [
            {"read": one.read, "usable": one.usable, "requests": one.requests, "size": one.size}
            for one in many
        ]
        for name, many in found.items()
    }
    files = [asdict(file) for file in found["app slow"][0].files]
    write("opening", before, figures, {"visits": runs, "files": files})


if __name__ == "__main__":
    main()
