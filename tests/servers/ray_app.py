"""A Ray Serve application that hands the OpenAI protocol on to servers behind it, by model.

python -m tests.servers.ray_app PORT MODEL=ADDRESS ...
"""

import sys
from typing import Any

import httpx2 as httpx
import ray
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from ray import serve
from starlette.background import BackgroundTask


def application(servers: dict[str, str]) -> Any:
    """The application: one deployment, whose answers are handed on piece by piece."""
    app = FastAPI()

    @serve.deployment(max_ongoing_requests=100)
    @serve.ingress(app)
    class Router:
        def __init__(self) -> None:
            self._client = httpx.AsyncClient(timeout=None, trust_env=False)

        @app.get("/v1/models")
        async def models(self) -> dict[str, Any]:
            rows = [{"id": name, "object": "model", "owned_by": "ray"} for name in servers]
            return {"object": "list", "data": rows}

        @app.post("/v1/chat/completions")
        async def chat(self, request: Request) -> Response:
            body = await request.json()
            server = servers.get(body.get("model"))
            if server is None:
                error = {"message": f"The model `{body.get('model')}` does not exist."}
                return JSONResponse({"error": error}, status_code=404)
            sent = self._client.build_request("POST", f"{server}/v1/chat/completions", json=body)
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
