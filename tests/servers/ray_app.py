"""A Ray Serve application that hands the OpenAI protocol on to servers behind it, by model.

python -m tests.servers.ray_app PORT MODEL=ADDRESS ...
"""

import sys
from typing import Any

import httpx2
import ray
from ray import serve
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

CHAT = "/v1/chat/completions"


def application(servers: dict[str, str]) -> Any:
    """The application: one deployment, which hands answers on as they come."""

    @serve.deployment(max_ongoing_requests=100)
    class Router:
        def __init__(self) -> None:
            self._client = httpx2.AsyncClient(timeout=None, trust_env=False)

        async def __call__(self, request: Request) -> Response:
            if request.url.path != CHAT:
                rows = [{"id": name, "object": "model", "owned_by": "ray"} for name in servers]
                return JSONResponse({"object": "list", "data": rows})
            body = await request.json()
            if body["model"] not in servers:
                error = {"message": f"The model `{body['model']}` does not exist."}
                return JSONResponse({"error": error}, status_code=404)
            url = f"{servers[body['model']]}{CHAT}"
            sent = self._client.build_request("POST", url, json=body)
            answer = await self._client.send(sent, stream=True)
            return StreamingResponse(
                answer.aiter_bytes(),
                answer.status_code,
                media_type=answer.headers.get("content-type"),
                background=BackgroundTask(answer.aclose),
            )

    return Router.bind()


def main(port: str, *servers: str) -> None:
    """Serve until the process is told to end."""
    ray.init(include_dashboard=False, num_cpus=2, object_store_memory=100_000_000)
    serve.start(http_options=serve.HTTPOptions(host="127.0.0.1", port=int(port)))
    named = dict(server.split("=", 1) for server in servers)
    serve.run(application(named), route_prefix="/", blocking=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
