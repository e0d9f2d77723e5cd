"""Starts the page: `python app.py`, then open the address it prints. Or runs a command: `ask` …"""

import argparse
import errno
import os
import socket
import sys
from ipaddress import ip_network

from playground.commands.__main__ import COMMANDS, summary
from playground.commands.__main__ import main as run_command


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(
        description="Phi Playground: compare Microsoft's small language models side by side.",
        epilog=summary(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_visitors(parser)
    add_proxy(parser)
    add_log(parser)
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    return parser.parse_args()


def add_visitors(parser: argparse.ArgumentParser) -> None:
    """Who may come, by which address."""
    on_space = "SPACE_ID" in os.environ
    parser.add_argument(
        "--host",
        default="0.0.0.0" if on_space else "127.0.0.1",
        help="the address to listen on (%(default)s: "
        + ("every network)" if on_space else "only this computer)"),
    )
    parser.add_argument("--port", type=port, default=7860, help="the port (%(default)s)")
    parser.add_argument(
        "--public",
        action="store_true",
        default=on_space,
        help="for a page that strangers visit: no downloads, none of your own servers, smaller "
        "limits (always so on a Hugging Face Space)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name under which browsers reach this page: behind a proxy, a forwarded port, "
        "in Codespaces (may be given more than once)",
    )
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="also serve the page's public endpoints as tools of the Model Context Protocol "
        "(needs an extra package, and says which)",
    )


def add_proxy(parser: argparse.ArgumentParser) -> None:
    """What stands before the page."""
    parser.add_argument(
        "--behind-proxy",
        action="append",
        type=network,
        metavar="ADDRESS",
        help="the address (or network, 172.18.0.0/16) of a proxy that tells who a visitor is, in "
        "X-Forwarded-For; nobody else is believed (may be given more than once)",
    )
    parser.add_argument(
        "--root-path",
        default="",
        metavar="PATH",
        help="where a proxy shows this page: /phi for https://school.example/phi/",
    )


def add_log(parser: argparse.ArgumentParser) -> None:
    """What is told of how it is doing."""
    parser.add_argument(
        "--metrics",
        type=listener,
        metavar="[HOST:]PORT",
        help="numbers for Prometheus, at a port of their own (HOST: 127.0.0.1)",
    )
    parser.add_argument(
        "--json-log",
        action="store_true",
        help="the log in lines of JSON, with one for each answer: never a prompt or a key",
    )


def port(text: str) -> int:
    """A number that can be a port. Raises `ValueError`."""
    if not 0 < (number := int(text)) < 65_536:
        raise ValueError
    return number


def network(text: str) -> str:
    """An address, or a network of addresses. Raises `ValueError`."""
    return str(ip_network(text, strict=False))


def listener(text: str) -> tuple[str, int]:
    """A host to listen at, this computer's own if none is told, and a port. Raises `ValueError`."""
    host, _, number = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", port(number)


def can_open_browser() -> bool:
    """Whether there is a screen to open a browser on."""
    screen = sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ
    return screen and sys.stdout.isatty()


def taken(host: str, port: int) -> bool:
    """Whether somebody listens at an address already."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: a port that was left a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        try:
            probe.bind((host, port))
        except OSError as error:  # another one is said when the page is served
            return error.errno == errno.EADDRINUSE
    return False


def main() -> None:
    """Start the page and print its address."""
    asked = arguments()
    # Before Gradio is imported: nothing is sent anywhere that the visitor did not ask for.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if asked.behind_proxy:  # Uvicorn reads it
        # For clients of MCP, Gradio asks its own page, and says who they are.
        believed = [*asked.behind_proxy, *(["127.0.0.1"] if asked.mcp else [])]
        os.environ["FORWARDED_ALLOW_IPS"] = ",".join(believed)
    from backends import REGISTRY
    from playground.limits import LOCAL, PUBLIC
    from playground.proxies import name_this_machine, no_proxies

    for backend in REGISTRY.values():
        backend.start()
    with no_proxies():  # lest Gradio's import fails
        from ui.api import mcp_missing
        from ui.page import Serving, serve
    if asked.mcp and (missing := mcp_missing()):
        sys.exit(missing)
    if asked.mcp:  # for its clients, Gradio asks its own page, all the time
        name_this_machine()
    if taken(asked.host, asked.port):
        sys.exit(
            f"Port {asked.port} is in use, perhaps by another Phi Playground. "
            f"Close that one, or choose another port: python app.py --port {asked.port + 1}"
        )
    shown = "localhost" if asked.host in ("0.0.0.0", "::") else asked.host
    shown = f"[{shown}]" if ":" in shown else shown
    print(f"Phi Playground: http://{shown}:{asked.port}  (Ctrl+C to stop)", flush=True)
    try:
        serve(
            PUBLIC if asked.public else LOCAL,
            Serving(
                asked.host,
                asked.port,
                open_browser=not asked.no_browser and can_open_browser(),
                allow=asked.allow_host,
                mcp=asked.mcp,
                root_path=asked.root_path,
                json_log=asked.json_log,
                metrics=asked.metrics,
            ),
        )
    except (OSError, ValueError) as error:  # no such address here, or no name
        sys.exit(f"Phi Playground cannot be served at {asked.host}: {error}")


if __name__ == "__main__":
    try:
        if sys.argv[1:2] and sys.argv[1] in COMMANDS:
            sys.exit(run_command(sys.argv[1:]))
        main()
    except KeyboardInterrupt:  # before the page was up
        sys.exit(130)
