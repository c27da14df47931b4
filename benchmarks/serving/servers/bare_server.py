"""What this HTTP server can do at most: uvicorn with a raw ASGI route. Arguments: folder, port, "echo" or "durable".

echo answers a fixed body. durable reads the Open Inference Protocol's body, asks LightGBM by its single-row C call, writes a record with
group commit and fdatasync, and answers then: no checks by name, no metrics, no token, no versions. It bounds; it is no product.
"""

import asyncio
import ctypes
import os
import sys
import threading
from pathlib import Path

import joblib
import msgspec
import uvicorn

FOLDER, PORT, WHAT = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
HEADERS = [(b"content-type", b"application/json")]


class Tensor(msgspec.Struct):
    """One input."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Body(msgspec.Struct):
    """The request."""

    inputs: list[Tensor]


READ = msgspec.json.Decoder(Body).decode
WRITE = msgspec.json.Encoder().encode


async def say(send, body):
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


async def echo(scope, receive, send):
    if scope["type"] == "http":
        await receive()
        await say(send, b'{"outputs":[{"name":"probability","datatype":"FP64","shape":[1],"data":[0.123456789]}]}')


class Log:
    """Records that wait are written together, with one fdatasync."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.waiting, self.some = [], threading.Condition()
        threading.Thread(target=self.run, daemon=True).start()

    def append(self, record, loop, future):
        with self.some:
            self.waiting.append((record, loop, future))
            self.some.notify()

    def run(self):
        while True:
            with self.some:
                while not self.waiting:
                    self.some.wait()
                taken, self.waiting = self.waiting, []
            os.write(self.file, b"".join(record for record, _, _ in taken))
            os.fdatasync(self.file)
            taken[0][1].call_soon_threadsafe(lambda taken=taken: [future.set_result(None) for _, _, future in taken])


def durable():
    import lightgbm.basic

    booster = joblib.load(FOLDER / "model.joblib").booster_
    api = ctypes.PyDLL(lightgbm.basic._LIB._name)
    config, length, found = ctypes.c_void_p(), ctypes.c_int64(), ctypes.c_double()
    row = (ctypes.c_double * booster.num_feature())()
    sizes = (ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(-1), ctypes.c_int(1), ctypes.c_int32(booster.num_feature()))
    api.LGBM_BoosterPredictForMatSingleRowFastInit(booster._handle, *sizes, b"num_threads=1", ctypes.byref(config))
    log = Log(FOLDER / "bare.log")

    async def answer(scope, receive, send, booster=booster):  # the handle lives as long as the booster
        if scope["type"] != "http":
            return
        body = (await receive())["body"]
        row[:] = READ(body).inputs[0].data
        api.LGBM_BoosterPredictForMatSingleRowFast(config, row, ctypes.byref(length), ctypes.byref(found))
        outputs = [{"name": "probability", "datatype": "FP64", "shape": [1], "data": [found.value]}]
        reply = WRITE({"model_name": "bare", "id": os.urandom(16).hex(), "outputs": outputs})
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        log.append(body + reply + b"\n", loop, future)
        await future
        await say(send, reply)

    return answer


if __name__ == "__main__":
    app = echo if WHAT == "echo" else durable()
    uvicorn.run(app, host="127.0.0.1", port=PORT, loop="uvloop", http="httptools", access_log=False, log_level="warning", lifespan="off")
