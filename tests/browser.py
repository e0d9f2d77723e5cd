"""The Chromium that the tests drive: found, or else installed.

python -m tests.browser      makes sure that there is one; `make test` calls it
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
# As root, in a container, without a network: no call home and no shared memory.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
# Without them the 23 languages are drawn as boxes.
FONTS = ("fonts-noto-core", "fonts-noto-cjk", "fonts-noto-color-emoji")

SLOWDOWN = max(1.0, float(os.environ.get("PHI_BROWSER_SLOWDOWN") or 1))
"""How many times slower than it can a page's scripts run."""
PATIENCE = 60 * SLOWDOWN
"""Seconds that a test waits for what must come."""


def executable() -> str | None:
    """An installed Chromium or Chrome; `None` leaves the choice to Playwright."""
    found = (shutil.which(name) for name in NAMES)
    there = (place for place in PLACES if Path(place).exists())
    return next(filter(None, found), None) or next(there, None)


def main() -> int:
    """Find a browser, or download Playwright's, or install the system's package."""
    if can_use_apt() and not draws_chinese():
        apt_install(*FONTS)
    if executable() or has_playwrights_own():
        return 0
    print("No Chromium here: getting one for the tests.", flush=True)
    if run(sys.executable, "-m", "playwright", "install", "chromium"):
        return 0
    if can_use_apt() and apt_install("chromium") and executable():
        return 0
    print("The tests need Chromium or Chrome. On Debian: sudo apt install chromium")
    return 1


def has_playwrights_own() -> bool:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


def draws_chinese() -> bool:
    if not shutil.which("fc-list"):
        return False
    return bool(subprocess.run(["fc-list", ":lang=zh"], capture_output=True).stdout.strip())


def can_use_apt() -> bool:
    if not shutil.which("apt-get"):
        return False
    return os.geteuid() == 0 or run("sudo", "-n", "true")


def apt_install(*packages: str) -> bool:
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    options = ["install", "--yes", "--quiet=2", "--no-install-recommends"]
    run(*sudo, "apt-get", "update", "--quiet=2")
    return run(*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options, *packages)


def run(*command: str) -> bool:
    """Run a command that asks nothing and shows nothing; whether it went well."""
    if not shutil.which(command[0]):
        return False
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
