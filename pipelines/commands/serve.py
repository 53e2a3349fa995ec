"""``counterfoil sftp-server``: the embedded SFTP server, for trying things out on this machine."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.common import stdout


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("sftp-server")(sftp_server)


def sftp_server(
    root: Annotated[Path, typer.Option("--root", help="The folder that is served; made if absent.")],
    port: Annotated[int, typer.Option("--port", help="A free port by default.")] = 0,
    user: Annotated[str, typer.Option("--user")] = "partner",
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="Holds the password; else one is made and shown.")
    ] = None,
) -> None:
    """Serve a folder over SFTP on loopback until Ctrl-C. The host key is kept beside the folder."""
    # Imported here: paramiko takes half a second, and no other verb serves.
    from connectors.sftp_server import EmbeddedServer  # noqa: PLC0415

    root.mkdir(parents=True, exist_ok=True)
    password = password_file.read_text().strip() if password_file else secrets.token_urlsafe(12)
    state = root.parent / f"{root.name}.sftp-server"
    with EmbeddedServer(root=root, state=state, user=user, password=password, port=port) as server:
        stdout.print(f"Serving {root} at 127.0.0.1, port {server.port}, user {user}. Ctrl-C stops it.", soft_wrap=True)
        if password_file is None:
            stdout.print(f"Password: {password}", highlight=False, markup=False)
        stdout.print("Pin this host key in counterfoil.yaml:", soft_wrap=True)
        stdout.print(server.host_key_line, soft_wrap=True, highlight=False, markup=False)
        try:
            server.wait()
        except KeyboardInterrupt:
            stdout.print("Stopped.")
