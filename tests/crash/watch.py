"""Every call of a process that writes below a folder, seen by its parent before it happens: let go, refused or fatal.

Here: Linux's seccomp notifications, so that DuckDB's and SQLite's own calls count like ours and no compiler is needed.
Not here: what is done under watch, or where this is not permitted (``faults`` counts Python's calls then).
"""

import ctypes
import errno
import fcntl
import json
import os
import platform
import signal
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_BY_DESCRIPTOR: Final = ("write", "pwrite64", "writev", "pwritev", "fsync", "fdatasync", "ftruncate", "fallocate")
_NUMBERS: Final[dict[str, dict[str, int]]] = {
    "x86_64": {
        "write": 1, "pwrite64": 18, "writev": 20, "pwritev": 296, "fsync": 74, "fdatasync": 75, "ftruncate": 77,
        "fallocate": 285, "open": 2, "openat": 257, "mkdir": 83, "mkdirat": 258, "unlink": 87, "unlinkat": 263,
        "rename": 82, "renameat": 264, "renameat2": 316, "link": 86, "linkat": 265,
    },
    "aarch64": {
        "write": 64, "pwrite64": 68, "writev": 66, "pwritev": 70, "fsync": 82, "fdatasync": 83, "ftruncate": 46,
        "fallocate": 47, "openat": 56, "mkdirat": 34, "unlinkat": 35, "renameat": 38, "renameat2": 276, "linkat": 37,
    },
}  # fmt: skip
_PATH: Final = {
    "open": (None, 0), "mkdir": (None, 0), "unlink": (None, 0), "rename": (None, 1), "link": (None, 1),
    "openat": (0, 1), "mkdirat": (0, 1), "unlinkat": (0, 1), "renameat": (2, 3), "renameat2": (2, 3), "linkat": (2, 3),
}  # fmt: skip
"""Of a call that names a path: the arguments that hold the folder's descriptor and the (new) path."""

_FLAGS: Final = {"open": 1, "openat": 2}
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_NAMES: Final = {number: name for name, number in _NUMBERS.get(platform.machine(), {}).items()}
_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}

_LOAD, _EQUALS, _HAS, _ANSWER = 0x20, 0x15, 0x45, 0x06
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NO_NEW_PRIVILEGES, _SET_FILTER, _NEW_LISTENER, _GO_ON = 38, 1, 8, 1
_MESSAGE_MAX: Final = 4096


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


def _program() -> list[tuple[int, int, int, int]]:
    """Notify of calls that write; of those that open only where they may write or make."""
    steps = [(_LOAD, 0, 0, 0)]
    for number, name in sorted(_NAMES.items()):
        if name in _FLAGS:
            low_half = 16 + 8 * _FLAGS[name]
            opening = [(_LOAD, 0, 0, low_half), (_HAS, 0, 1, _WRITING), (_ANSWER, 0, 0, _NOTIFY)]
            steps += [(_EQUALS, 0, 4, number), *opening, (_ANSWER, 0, 0, _ALLOW)]
        else:
            steps += [(_EQUALS, 0, 1, number), (_ANSWER, 0, 0, _NOTIFY)]
    return [*steps, (_ANSWER, 0, 0, _ALLOW)]


def _install() -> int:
    """Have this process, and every thread it will start, notify of its writing calls; returns the listener."""
    libc = ctypes.CDLL(None, use_errno=True)
    steps = _program()
    filters = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
    program = _Program(len(steps), filters)
    if not _NAMES or libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        raise OSError(errno.ENOSYS, "no new privileges")
    listener = int(libc.syscall(_SECCOMP[platform.machine()], _SET_FILTER, _NEW_LISTENER, ctypes.byref(program)))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return listener


class Watched:
    """The side of the child: asks to be watched, and says which of its calls is to fail."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def begin(self) -> None:
        """Be watched from now on. Before any thread is started."""
        listener = _install()
        socket.send_fds(self._control, [b'{"watch": true}'], [listener])
        os.close(listener)
        self._control.recv(_MESSAGE_MAX)

    def arm(self, under: Path, at: int, fate: str) -> list[str]:
        """Count calls below a folder anew; the ``at``-th fails with ``fate``, an errno's name, or is never made: KILL.

        Returns the calls seen since the arming before; if the fated one was reached, it is the last.
        """
        self._control.send(json.dumps({"under": str(under), "at": at, "fate": fate}).encode())
        answer: list[str] = json.loads(self._control.recv(1 << 20))
        return answer

    def started(self) -> None:
        """Have the time that is left to this process run from now on."""
        self._control.send(b'{"started": true}')
        self._control.recv(_MESSAGE_MAX)


@dataclass
class Watch:
    """The side of the parent: answers a child, and the kernel about the child's calls."""

    pid: int
    control: socket.socket
    listener: int | None = None
    started: bool = False
    _under: str = ""
    _at: int = 0
    _fate: str = ""
    _seen: list[str] = field(default_factory=list)

    def hear(self) -> None:
        """Answer one message of the child."""
        data, descriptors, _, _ = socket.recv_fds(self.control, _MESSAGE_MAX, 1)
        if not data:
            return
        message: Mapping[str, Any] = json.loads(data)
        answer: Any = {}
        if "watch" in message:
            (self.listener,) = descriptors
        elif "started" in message:
            self.started = True
        else:
            answer, self._seen = self._seen, []
            self._under, self._at, self._fate = message["under"], message["at"], message["fate"]
        self.control.send(json.dumps(answer).encode())

    def answer(self) -> None:
        """Decide on one call."""
        data = bytearray(80)
        try:
            fcntl.ioctl(self._listener(), _RECEIVE, data)
            number, pid, _, call, _, _, *given = struct.unpack("=QIIiIQ6Q", data)
            refused = self._decide(pid, _NAMES[call], given)
            if refused is not None:
                answer = struct.pack("=QqiI", number, 0, -refused, 0 if refused else _GO_ON)
                fcntl.ioctl(self._listener(), _SEND, answer)
        except OSError as error:
            if error.errno != errno.ENOENT:  # the child was killed meanwhile
                raise

    def close(self) -> None:
        self.control.close()
        if self.listener is not None:
            os.close(self.listener)

    def _listener(self) -> int:
        assert self.listener is not None
        return self.listener

    def _decide(self, pid: int, name: str, given: list[int]) -> int | None:
        """The errno of a call that fails; 0 for one that is made; None for one that its process did not live to."""
        if not self._under:
            return 0
        path = _path(pid, name, given)
        if not path.startswith(self._under):
            return 0
        self._seen.append(f"{name} {path.removeprefix(self._under).lstrip('/')}")
        if len(self._seen) != self._at:
            return 0
        if self._fate == "KILL":
            os.kill(self.pid, signal.SIGKILL)
            return None
        return int(getattr(errno, self._fate))


def _path(pid: int, name: str, given: list[int]) -> str:
    """The file that a call is about, or nothing for one without a name."""
    try:
        if name in _BY_DESCRIPTOR:
            return str(Path(f"/proc/{pid}/fd/{given[0]}").readlink())
        folder, path = _PATH[name]
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(given[path])
            text = os.fsdecode(memory.read(_MESSAGE_MAX).split(b"\0", 1)[0])
        if text.startswith("/") or folder is None:
            return text
        descriptor = ctypes.c_int(given[folder]).value
        beside = "cwd" if descriptor < 0 else f"fd/{descriptor}"
        return str(Path(f"/proc/{pid}/{beside}").readlink() / text)
    except OSError:
        return ""
