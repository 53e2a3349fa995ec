"""A process that has imported everything and computed nothing, and forks a child for each thing to try.

Here: reading a request, forking, killing in time, telling how the child ended. Not here: what is done (``acts``), or
who asks (``tests.plugins.crash``).

A request is a line of JSON on standard input: ``{"act": name, "given": {…}, "kill_after": seconds or null}``; the
answer is one line: ``result`` of the act, ``error`` (an expected one: code, permanent, text), ``raised`` (any other, a
traceback), ``signal`` (what ended it) or ``exit`` (its status, where it ended without a word), and ``lasted``, the
seconds it took.
"""

import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

LATE: Final = (
    "_strptime",
    "counterfoil.schemas.models",
    "hypothesis.strategies",
    "numpy.ma",
    "pandera.api.extensions",
    "pandera.backends.polars.builtin_checks",
    "pandera.backends.polars.container",
    "pandera.backends.register_checks",
    "parsers.reader",
    "pyarrow.compute",
    "pyarrow.dataset",
)
"""What posting imports only once it is needed. Imported here, a child need not."""


def serve() -> None:
    """Answer requests until standard input ends."""
    for name in LATE:
        importlib.import_module(name)
    from tests.crash import acts  # noqa: PLC0415 - after the above, of which it must compute nothing

    acts.warm()
    threads = {(task / "comm").read_text().strip() for task in Path("/proc/self/task").glob("*")}
    assert "polars-0" not in threads, "a child of a process that has computed with Polars waits for ever"
    _tell("ready")
    for line in sys.stdin:
        request = json.loads(line)
        act: Callable[..., Any] = acts.ACTS[request["act"]]
        _tell(_tried(act, request["given"], request.get("kill_after")))


def _tell(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _tried(act: Callable[..., Any], given: dict[str, Any], kill_after: float | None) -> dict[str, Any]:
    from tests.crash import watch  # noqa: PLC0415

    reading, writing = os.pipe()
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        ours.close()
        _child(act, given, writing, theirs)
    os.close(writing)
    theirs.close()
    observer = watch.Watch(pid, ours)
    told, lasted = _attended(observer, reading, kill_after)
    status = os.waitpid(pid, 0)[1]
    observer.close()
    return {**_ended(status, told), "lasted": lasted}


def _ended(status: int, told: bytes) -> dict[str, Any]:
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    answer: dict[str, Any] = json.loads(told) if told else {"exit": os.WEXITSTATUS(status)}
    return answer


def _attended(observer: Any, reading: int, kill_after: float | None) -> tuple[bytes, float]:
    """Serve a child until it ends; kill it some seconds after it said that it has started."""
    told = b""
    began = deadline = None
    while True:
        if observer.started and began is None:
            began = time.monotonic()
            deadline = None if kill_after is None else began + kill_after
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        heard = [reading, observer.control, *([] if observer.listener is None else [observer.listener])]
        ready, _, _ = select.select(heard, [], [], left)
        if deadline is not None and time.monotonic() >= deadline:
            os.kill(observer.pid, signal.SIGKILL)
            deadline = None
        if observer.listener in ready:
            observer.answer()
        if observer.control in ready:
            observer.hear()
        if reading in ready:
            piece = os.read(reading, 1 << 20)
            told += piece
            if not piece:
                os.close(reading)
                return told, 0.0 if began is None else time.monotonic() - began


def _child(act: Callable[..., Any], given: dict[str, Any], writing: int, control: socket.socket) -> None:
    """Do one thing and end; never returns."""
    from counterfoil.errors import CounterfoilError  # noqa: PLC0415
    from tests.crash import acts  # noqa: PLC0415

    os.dup2(2, 1)  # what the act prints is no answer
    answer: dict[str, Any]
    try:
        acts.CONTROL.append(control)
        answer = {"result": act(**given)}
    except CounterfoilError as error:
        answer = {"error": {"code": error.code, "permanent": error.permanent, "text": str(error)}}
    except BaseException:  # noqa: BLE001 - told to whoever asked
        answer = {"raised": traceback.format_exc()}
    data = json.dumps(answer).encode()
    while data:
        data = data[os.write(writing, data) :]
    os._exit(0)


if __name__ == "__main__":
    serve()
