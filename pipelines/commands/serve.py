"""``counterfoil sftp-server``: the embedded SFTP server, for trying things out on this machine."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from counterfoil.errors import Code, UsageError
from counterfoil.settings import INBOX, Settings, Sftp, load_settings
from pipelines.commands.common import HomeOption, stdout


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("sftp-server")(sftp_server)


@dataclass(frozen=True)
class Service:
    """What is served, to whom, and whether the password must be shown because it was made just now."""

    root: Path
    port: int
    user: str
    password: str
    shown: bool


def sftp_server(
    root: Annotated[Path | None, typer.Option("--root", help="A folder to serve; made if absent.")] = None,
    port: Annotated[int, typer.Option("--port", help="With --root: a free port by default.")] = 0,
    user: Annotated[str, typer.Option("--user", help="With --root: who may log in.")] = "partner",
    home: HomeOption = None,
) -> None:
    """Serve a folder over SFTP on loopback until Ctrl-C: the one named, or the server of a demo's home."""
    # Imported here: paramiko takes half a second, and no other verb but demo serves.
    from connectors.sftp_server import EmbeddedServer  # noqa: PLC0415

    if root is not None:
        root.mkdir(parents=True, exist_ok=True)
        service = Service(root.absolute(), port, user, secrets.token_urlsafe(12), shown=True)
    else:
        service = _of_demo(load_settings(home))
    state = service.root.with_name(f"{service.root.name}-state")
    with EmbeddedServer(
        root=service.root, state=state, user=service.user, password=service.password, port=service.port
    ) as server:
        stdout.print(
            f"Serving {service.root} at 127.0.0.1, port {server.port}, user {service.user}. Ctrl-C stops it.",
            soft_wrap=True,
        )
        if service.shown:
            stdout.print(f"Password: {service.password}")
            stdout.print("Pin this host key in counterfoil.yaml:", soft_wrap=True)
            stdout.print(server.host_key_line.strip(), soft_wrap=True)
        try:
            server.wait()
        except KeyboardInterrupt:
            stdout.print("Stopped.")


def _of_demo(settings: Settings) -> Service:
    """The server that the demo's settings name, with its own port, user, password and host key."""
    place = settings.connection(INBOX)
    root = settings.home.root / "server"
    password = settings.credentials(INBOX).password if isinstance(place, Sftp) else None
    if not isinstance(place, Sftp) or password is None or not root.is_dir():
        raise UsageError(
            Code.SETTINGS_INVALID,
            str(settings.home.root),
            found="no server of a demo",
            expected="the home of counterfoil demo, or --root",
            remedy="Run counterfoil demo first, or name a folder with --root",
        )
    return Service(root, place.port, place.user, password.get_secret_value(), shown=False)
