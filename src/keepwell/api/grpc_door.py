"""The Open Inference Protocol by gRPC (extra `grpc`): each call becomes a request to the same app, and its answer a message.

So tokens, bounds, time limits, counts and the log are those of the HTTP door; here stands only what the two say differently.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
from starlette.types import ASGIApp, Message

from keepwell.api.grpc_messages import message_class
from keepwell.api.inference import PROTOCOL
from keepwell.api.tensors import to_bytes
from keepwell.errors import ExtraMissing, SettingInvalid
from keepwell.settings import ServeSection

SERVICE = "inference.GRPCInferenceService"
CARRIED = ("authorization", "traceparent", "tracestate")  # metadata that the app reads as headers
TOLD = ("traceresponse", "retry-after")  # headers that go back as metadata
CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "RESOURCE_EXHAUSTED",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
GRACE_S = 5.0
WATCH_S = 1.0  # how often a watched health is looked at

log = logging.getLogger("keepwell.api")
_encode = msgspec.json.Encoder().encode
Answer = tuple[int, dict[str, str], bytes]


@asynccontextmanager
async def grpc_door(
    app: Callable[[], ASGIApp], serve: ServeSection, certificate: tuple[str, str] | None = None
) -> AsyncIterator[int | None]:
    """Listen while the body runs, where `[serve] grpc_port` says so. Gives the port.

    Parameters
    ----------
    app : gives what HTTP requests come to, the guard included.
    certificate : files of the certificate and its key, for TLS.

    Raises
    ------
    ExtraMissing : grpcio is not installed.
    SettingInvalid : the port cannot be had.
    """
    if serve.grpc_port is None:
        yield None
        return
    try:
        import grpc
        from grpc_health.v1 import health_pb2_grpc
    except ImportError:
        raise ExtraMissing("grpc", "Calls by gRPC") from None
    size = serve.max_body_kb * 1024
    options = [("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
    server = grpc.aio.server(options=options)
    calls = Calls(app(), {status: getattr(grpc.StatusCode, name) for status, name in CODES.items()}, grpc.StatusCode.INTERNAL)
    server.add_generic_rpc_handlers((_handlers(calls, grpc),))
    health_pb2_grpc.add_HealthServicer_to_server(Health(calls), server)
    host = f"[{serve.host}]" if ":" in serve.host else serve.host
    try:
        address = f"{host}:{serve.grpc_port}"
        port = server.add_secure_port(address, _credentials(grpc, *certificate)) if certificate else server.add_insecure_port(address)
    except RuntimeError as error:
        raise SettingInvalid("serve.grpc_port", serve.grpc_port, f"nothing can listen there: {error}", "the settings") from None
    await server.start()
    log.info("gRPC at %s:%d", host, port)
    try:
        yield port
    finally:
        await server.stop(GRACE_S)


def _credentials(grpc: Any, certificate: str, key: str) -> Any:
    return grpc.ssl_server_credentials([(Path(key).read_bytes(), Path(certificate).read_bytes())])


def _handlers(calls: Calls, grpc: Any) -> Any:
    """The service: a method of `Calls` for each call of the protocol."""
    handlers = {}
    for name in ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer", "RepositoryIndex"):
        handlers[name] = grpc.unary_unary_rpc_method_handler(
            getattr(calls, name),
            request_deserializer=message_class(f"{name}Request").FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


class Calls:
    """The calls of the protocol, named as it names them.

    Parameters
    ----------
    codes : HTTP status -> gRPC status; `other` for the rest.
    """

    def __init__(self, app: ASGIApp, codes: dict[int, Any], other: Any) -> None:
        self._app, self._codes, self._other = app, codes, other

    async def ServerLive(self, _: Any, context: Any) -> Any:  # noqa: N802 - the protocol's names
        """The process runs."""
        return message_class("ServerLiveResponse")(live=await self.is_so(context, "/v2/health/live"))

    async def ServerReady(self, _: Any, context: Any) -> Any:  # noqa: N802
        """A champion is loaded and can answer."""
        return message_class("ServerReadyResponse")(ready=await self.is_so(context, "/v2/health/ready"))

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The model, or a version of it, answers."""
        path = f"{_model(request.name, request.version)}/ready"
        return message_class("ModelReadyResponse")(ready=await self.is_so(context, path))

    async def ServerMetadata(self, _: Any, context: Any) -> Any:  # noqa: N802
        """What this server is."""
        found = await self._json(context, "GET", "/v2")
        found.pop("grpc_port", None)
        return message_class("ServerMetadataResponse")(**found)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Inputs, outputs and versions."""
        found = await self._json(context, "GET", _model(request.name, request.version))
        found.pop("parameters", None)
        return message_class("ModelMetadataResponse")(**found)

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The models here."""
        listed = await self._json(context, "POST", "/v2/repository/index")
        models = [one for one in listed if one["state"] == "READY" or not request.ready]
        return message_class("RepositoryIndexResponse")(models=models)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer tensors, durably."""
        is_raw = bool(request.raw_input_contents)
        try:
            body, length = _body_of(request, is_raw=is_raw)
        except (ValueError, OverflowError, KeyError, TypeError) as error:
            await context.abort(self._codes[400], f"The request cannot be read: {error}")
            raise
        headers = [(b"content-type", b"application/octet-stream"), (b"inference-header-content-length", str(length).encode())]
        status, told, answer = await self._ask(context, "POST", f"{_model(request.model_name, request.model_version)}/infer", headers, body)
        if status != 200:
            await self._refuse(context, status, answer)
        return _response_of(answer, told.get("inference-header-content-length"))

    # --- the app ---

    async def is_so(self, context: Any, path: str) -> bool:
        status, _, answer = await self._ask(context, "GET", path)
        if status in (401, 403, 429):
            await self._refuse(context, status, answer)
        return status == 200

    async def _json(self, context: Any, method: str, path: str) -> Any:
        status, _, answer = await self._ask(context, method, path, [(b"content-type", b"application/json")])
        if status != 200:
            await self._refuse(context, status, answer)
        return msgspec.json.decode(answer)

    async def _refuse(self, context: Any, status: int, answer: bytes) -> None:
        try:
            said = str(msgspec.json.decode(answer)["error"])
        except (msgspec.MsgspecError, KeyError, TypeError):
            said = answer.decode("utf-8", "replace")[:500]
        await context.abort(self._codes.get(status, self._other), said)

    async def _ask(self, context: Any, method: str, path: str, headers: Sequence[tuple[bytes, bytes]] = (), body: bytes = b"") -> Answer:
        """Let the app answer a request."""
        given = [(name.encode(), value.encode("latin-1")) for name, value in context.invocation_metadata() if name in CARRIED]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "2",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": quote(path).encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"grpc"), *given, *headers],
            "client": _client(context.peer()),
            "server": None,
            PROTOCOL: "grpc",
        }
        parts: list[bytes] = []
        status, told = 500, {}

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, told
            if message["type"] == "http.response.start":
                status = message["status"]
                told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]}
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        if metadata := [(name, told[name]) for name in TOLD if name in told]:
            context.set_trailing_metadata(tuple(metadata))
        return status, told, b"".join(parts)


class Health:
    """`grpc.health.v1.Health`, which orchestrators and balancers ask: is the server there, and can the protocol's service answer?"""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """SERVING when a champion is loaded and the log can be written."""
        if request.service not in ("", SERVICE):
            from grpc import StatusCode

            await context.abort(StatusCode.NOT_FOUND, f"There is no service {request.service[:100]!r} here; there is {SERVICE}.")
        return await self._state(context)

    async def List(self, _: Any, context: Any) -> Any:  # noqa: N802
        """The same of all services."""
        from grpc_health.v1.health_pb2 import HealthListResponse

        return HealthListResponse(statuses=dict.fromkeys(("", SERVICE), await self._state(context)))

    async def Watch(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The same again at each change, as long as the caller listens."""
        told = None
        while True:
            found = await self.Check(request, context)
            if found != told:
                yield (told := found)
            await asyncio.sleep(WATCH_S)

    async def _state(self, context: Any) -> Any:
        from grpc_health.v1.health_pb2 import HealthCheckResponse

        is_ready = await self._calls.is_so(context, "/v2/health/ready")
        return HealthCheckResponse(status=HealthCheckResponse.SERVING if is_ready else HealthCheckResponse.NOT_SERVING)


def _client(peer: str) -> tuple[str, int]:
    """Who asks, out of "ipv4:127.0.0.1:41234"."""
    host, _, port = peer.partition(":")[2].rpartition(":")
    return host.strip("[]").replace("%5B", "").replace("%5D", ""), int(port) if port.isdigit() else 0


def _model(name: str, version: str) -> str:
    path = f"/v2/models/{name.replace('/', '%2F')}"
    return f"{path}/versions/{version.replace('/', '%2F')}" if version else path


# --- messages and bodies --------------------------------------------------------------------------------------------------------------


def _body_of(request: Any, *, is_raw: bool) -> tuple[bytes, int]:
    """The request as HTTP has it: JSON, its length, and behind it the tensors' bytes."""
    if is_raw and len(request.raw_input_contents) != len(request.inputs):
        raise ValueError(f"there are {len(request.inputs)} inputs and {len(request.raw_input_contents)} raw contents")
    inputs, parts = [], []
    for place, tensor in enumerate(request.inputs):
        held = request.raw_input_contents[place] if is_raw else _packed(tensor)
        parts.append(held)
        parameters = _plain(tensor.parameters) | {"binary_data_size": len(held)}
        inputs.append({"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape), "parameters": parameters})
    head: dict[str, Any] = {"inputs": inputs, "parameters": _plain(request.parameters) | {"binary_data_output": is_raw}}
    if request.id:
        head["id"] = request.id
    if request.outputs:
        head["outputs"] = [{"name": one.name, "parameters": _plain(one.parameters) | {"binary_data": is_raw}} for one in request.outputs]
    encoded = _encode(head)
    return b"".join([encoded, *parts]), len(encoded)


def _packed(tensor: Any) -> bytes:
    """A tensor's typed contents as bytes."""
    if tensor.datatype not in CONTENTS:
        raise ValueError(f"input '{tensor.name[:100]}' is {tensor.datatype[:20]!r}, which has no typed contents; send raw_input_contents")
    values = getattr(tensor.contents, CONTENTS[tensor.datatype])
    if tensor.datatype == "BYTES":
        return b"".join(len(one).to_bytes(4, "little") + one for one in values)
    return to_bytes(list(values), tensor.datatype)


def _plain(parameters: Any) -> dict[str, Any]:
    return {name: getattr(one, kind) for name, one in parameters.items() if (kind := one.WhichOneof("parameter_choice"))}


def _response_of(answer: bytes, length: str | None) -> Any:
    head = msgspec.json.decode(answer if length is None else answer[: int(length)])
    at = len(answer) if length is None else int(length)
    response = message_class("ModelInferResponse")(model_name=head["model_name"], model_version=head["model_version"], id=head["id"])
    for name, value in head.get("parameters", {}).items():
        kinds = {bool: "bool_param", int: "int64_param", float: "double_param"}
        setattr(response.parameters[name], kinds.get(type(value), "string_param"), value)
    for one in head["outputs"]:
        output = response.outputs.add(name=one["name"], datatype=one["datatype"], shape=one["shape"])
        if length is not None:
            size = one["parameters"]["binary_data_size"]
            response.raw_output_contents.append(answer[at : at + size])
            at += size
        elif one["datatype"] == "BYTES":
            output.contents.bytes_contents.extend(value.encode() for value in one["data"])
        else:
            output.contents.fp64_contents.extend(np.asarray(one["data"], np.float64).tolist())
    return response
