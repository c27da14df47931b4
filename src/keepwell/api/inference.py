"""The Open Inference Protocol, version 2, over HTTP: health, metadata, and inference with JSON or binary tensors."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.types import Scope, Send

from keepwell.api.batching import Answered, Whose
from keepwell.api.bodies import NO_TIME
from keepwell.api.door import whose_of
from keepwell.api.failures import v2_error
from keepwell.api.replies import Reply, header_of, sent
from keepwell.api.service import Service
from keepwell.api.sharing import ask
from keepwell.api.tensors import Request, datatype_of, read, to_bytes
from keepwell.api.tracing import ended, started
from keepwell.errors import InputInvalid, KeepwellError, MediaTypeUnknown, ModelNotFound, VersionNotFound
from keepwell.serving import Ready, Row

LONGEST = 200  # characters of an entity's name
PROTOCOL = "keepwell.protocol"  # where a scope says by which protocol it came, when not by HTTP
IDS = "prediction_id"  # the output that names what was kept
EXTENSIONS = ["binary_tensor_data", "model_repository"]
TYPES = ("application/json", "application/octet-stream")  # some clients send JSON under the second name
LENGTH = b"inference-header-content-length"

_encode = msgspec.json.Encoder().encode


class Inference:
    """Answers of the protocol for the model of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._name = service.project.name
        self.output = "probability" if service.project.context.outline.task == "binary" else "prediction"

    def known(self, name: str, version: str | None = None) -> Ready:
        """What answers for the model; another model is refused, and a version that does not answer now.

        Raises
        ------
        ModelNotFound, NotReady
        VersionNotFound : only the version that answers can be asked.
        """
        if name != self._name:
            raise ModelNotFound(name, [self._name])
        ready = self._service.champion.ready()
        if version is not None and version != str(ready.number):
            raise VersionNotFound(name, version[:50], [ready.number])
        return ready

    def metadata(self, ready: Ready) -> dict[str, Any]:
        """Inputs, outputs and versions of the model; -1 stands for the number of rows."""
        inputs = [{"name": name, "datatype": datatype_of(kind), "shape": [-1, 1]} for name, kind in ready.signature.kinds.items()]
        outputs = [{"name": self.output, "datatype": "FP64", "shape": [-1]}, {"name": IDS, "datatype": "BYTES", "shape": [-1]}]
        facts = ready.predictor.version.facts
        return {
            "name": self._name,
            "versions": [str(ready.number)],
            "platform": f"keepwell_{ready.predictor.version.format}",
            "inputs": inputs,
            "outputs": outputs,
            "parameters": {
                "runtime": ready.agreement.as_dict(),
                "log": self._service.project.settings.serve.log,
                "log_share": self._service.project.settings.serve.log_share,
                "takes_missing": ready.takes_missing,
                "entity_input": self._service.project.context.outline.entity,  # texts under this name, instead of features
                "one_tensor": ready.signature.is_numeric,  # all features as one tensor of shape [-1, features]
                "latency_ms_when_built": facts.get("latency_ms"),
            },
        }

    async def infer(self, headers: Sequence[tuple[bytes, bytes]], body: bytes, version: str | None = None, protocol: str = "v2") -> Reply:
        """Answer an inference request; what cannot be answered is refused in the protocol's form."""
        begin = time.perf_counter()
        service = self._service
        try:
            ready = self.known(self._name, version)
            kind = header_of(headers, b"content-type").split(b";")[0].strip().lower().decode("latin-1")
            if kind not in ("", *TYPES):
                raise MediaTypeUnknown("content type", kind, TYPES)
            since = started()
            request, values = read(body, _json_bytes(headers))
            wanted = self.wanted(request)
            ended("features", since)
            answered, parameters = await self._answer(ready, request, values, is_named=version is not None)
        except KeepwellError as error:
            service.meter.refuse(protocol, type(error).__name__)
            return v2_error(error)
        answer = self._reply(request, wanted, answered, parameters)
        service.meter.answer(protocol, ready.number, len(answered.ids), time.perf_counter() - begin, answered.counted)
        return answer

    async def _answer(self, ready: Ready, request: Request, values: list[list[Any]], *, is_named: bool) -> tuple[Answered, dict[str, Any]]:
        """Answers to a request and its values, and the parameters that go with them: how old the data of a look-up is."""
        parameters = request.parameters or {}
        whose: list[Whose] | None
        if entities := self._entities(ready, request, values):
            held = await self._service.recent.find(ready, entities, datetime.now(UTC))
            rows, whose = [one.row for one in held], [one.whose for one in held]
            # Of the oldest row: parameters hold no lists.
            told = self._service.recent.freshness.told(min(one.time for one in held), datetime.now(UTC))
        else:
            rows, told = self._rows(ready, request, values), {}
            whose = _named(ready, parameters, len(rows))
        if is_named:  # who asks for a version gets that one
            return await self._service.batcher.ask(ready, rows, whose), told
        return await ask(self._service, ready, rows, whose, is_whole=True), told

    async def route(self, scope: Scope, body: bytes, send: Send) -> bool:
        """The same as a quick route."""
        answer = await self.infer(scope["headers"], body, protocol=scope.get(PROTOCOL, "v2"))
        await sent(send, answer, header_of(scope["headers"], b"accept-encoding"))
        return True

    def _entities(self, ready: Ready, request: Request, values: list[list[Any]]) -> list[str]:
        """Entities that are named instead of features: by an input of texts with the entity's name, or by the parameter `entity` alone."""
        column, named = self._service.project.context.outline.entity, (request.parameters or {}).get("entity")
        if not request.inputs and isinstance(named, str):
            return [named]
        if [one.name for one in request.inputs] != [column] or column in ready.signature.place:
            return []
        if request.inputs[0].datatype != "BYTES" or not all(isinstance(value, str) for value in values[0]):
            raise InputInvalid(f"Input '{column}' names entities and is {request.inputs[0].datatype}", "Send texts (BYTES).")
        self._count(len(values[0]))
        return values[0]

    def _rows(self, ready: Ready, request: Request, values: list[list[Any]]) -> list[Row]:
        signature = ready.signature
        names = [tensor.name for tensor in request.inputs]
        if len(set(names)) != len(names):
            raise InputInvalid("Two inputs have the same name", "Send each once.")
        width = len(signature.names)
        if len(names) == 1 and len(shape := request.inputs[0].shape) == 2 and (width > 1 or names[0] not in signature.place):
            if not signature.is_numeric:
                raise InputInvalid(
                    "The model has texts among its features, which one tensor of numbers cannot hold", "Send one input for each."
                )
            if shape[1] != width:
                hint = f"The features are {', '.join(signature.names)}."
                raise InputInvalid(f"Input '{names[0][:100]}' has {shape[1]} columns where the model has {width} features", hint)
            return signature.from_matrix(values[0], self._count(shape[0]))
        if unknown := [name[:50] for name in names if name not in signature.place]:
            hint = f"The inputs are {', '.join(signature.names)}."
            raise InputInvalid(f"There is no input {', '.join(unknown[:5])}", hint)
        sizes = {tensor.shape[0] for tensor in request.inputs}
        for tensor in request.inputs:
            if len(tensor.shape) > 2 or tensor.shape[1:] not in ([], [1]):
                raise InputInvalid(f"Input '{tensor.name}' has shape {str(tensor.shape)[:100]}", "It is [rows] or [rows, 1].")
        if len(sizes) > 1:
            raise InputInvalid(f"The inputs have {min(sizes)} and {max(sizes)} rows", "Send as many for each.")
        n = self._count(next(iter(sizes), 0))
        return signature.checked(dict(zip(names, values, strict=True)), n)

    def _count(self, n: int) -> int:
        if not n:
            raise InputInvalid("There is no row to answer", "Send at least one.")
        if n > (most := self._service.project.settings.serve.max_rows):
            raise InputInvalid(f"{n} rows are more than {most}", "Send fewer at once, or raise serve.max_rows.")
        return n

    def wanted(self, request: Request) -> list[tuple[str, bool]]:
        """(output, is it wanted as bytes)."""
        as_bytes = bool((request.parameters or {}).get("binary_data_output"))
        if not request.outputs:
            return [(self.output, as_bytes), (IDS, as_bytes)]
        for one in request.outputs:
            if one.name not in (self.output, IDS):
                raise InputInvalid(f"There is no output '{one.name[:100]}'", f"The outputs are {self.output}, {IDS}.")
            if (one.parameters or {}).get("classification"):
                raise InputInvalid("The classification extension is not spoken here", f"Ask for '{self.output}' itself.")
        return [(one.name, bool((one.parameters or {}).get("binary_data", as_bytes))) for one in request.outputs]

    def _reply(self, request: Request, wanted: list[tuple[str, bool]], answered: Answered, parameters: dict[str, Any]) -> Reply:
        outputs, parts = [], []
        parameters = {**parameters, **self._service.log_told}
        for name, as_bytes in wanted:
            # Where only a share is kept, the id of what is not is empty.
            datatype, values = ("BYTES", [one or "" for one in answered.ids]) if name == IDS else ("FP64", answered.values)
            output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": [len(values)]}
            if as_bytes:
                parts.append(to_bytes(values, datatype))
                output["parameters"] = {"binary_data_size": len(parts[-1])}
            else:
                output["data"] = values
            outputs.append(output)
        content = _encode(
            {
                "model_name": self._name,
                "model_version": str(answered.version),
                "id": request.id or uuid.uuid4().hex,
                "outputs": outputs,
                **({"parameters": parameters} if parameters else {}),
            }
        )
        if not parts:
            return Reply(200, content)
        return Reply(200, b"".join([content, *parts]), b"application/octet-stream", ((LENGTH, str(len(content)).encode()),))


def _named(ready: Ready, parameters: dict[str, Any], n: int) -> list[Whose] | None:
    """Whose rows they are, where the parameters `entity` and `time` say so."""
    entity, time = parameters.get("entity"), parameters.get("time")
    if entity is None and time is None:
        return None
    if any(value is not None and not isinstance(value, str) for value in (entity, time)) or len(entity or "") > LONGEST:
        raise InputInvalid("The parameters 'entity' and 'time' are no texts", f"Texts of at most {LONGEST} characters are needed.")
    whose = whose_of(ready, entity, time)
    if whose is None:
        raise InputInvalid(f"The parameter 'time' is {time!r:.60}", NO_TIME)
    return [whose] * n


def _json_bytes(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    told = header_of(headers, LENGTH)
    if not told:
        return None
    if not told.isdigit():
        raise InputInvalid(f"Inference-Header-Content-Length is {told[:20].decode('latin-1')!r}", "Send the length of the JSON part.")
    return int(told[:20])
