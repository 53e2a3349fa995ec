"""How letters leave this installation: into a folder, or by a mail server.

Here: the ``mail`` block of ``counterfoil.yaml``. Not here: what letters say (``campaigns``), or sending them.
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from counterfoil.contract import Contract

PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}

Host = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:-]+$")]
Link = Annotated[str, StringConstraints(max_length=2_000, pattern=r"^https?://[^\s]+$")]
Domain = Annotated[str, StringConstraints(max_length=253, pattern=r"^([a-z0-9-]+\.)+[a-z0-9-]+$")]


class Smtp(Contract):
    """A mail server. With ``user``, the password is the secret of this ``alias``, as a connection's is."""

    host: Host
    port: int | None = Field(default=None, ge=1, le=65535)
    """By default 587, 465 with ``tls``, 25 with ``none``."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """``none`` only to a server on this machine."""
    user: Annotated[str, StringConstraints(min_length=1, max_length=254, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = None
    alias: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = "mail"
    """What its secret is called."""
    ca_file: Path | None = None
    """Certificates that sign the server's, where they are not among the system's; relative to the home folder."""

    @model_validator(mode="after")
    def _nothing_readable_leaves(self) -> Self:
        if self.security == "none" and (self.user or not self._is_here()):
            raise ValueError("security none is for a server on this machine (127.0.0.1, ::1, localhost) without user")
        return self

    @property
    def at_port(self) -> int:
        """The port, given or by kind."""
        return self.port or PORTS[self.security]

    def _is_here(self) -> bool:
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class MailSettings(Contract):
    """Where letters go. Without ``smtp`` each becomes an ``.eml`` file in ``folder``."""

    folder: Path = Path("out/mail")
    """Relative to the home folder."""
    smtp: Smtp | None = None
    domain: Domain = "counterfoil.invalid"
    """Ends the id of each message; a domain of yours."""
    links: dict[Literal["points", "register", "alert"], Link] = Field(default_factory=dict)
    """Where the letters of a kind lead: to balances, to registration, to budgets."""
    letters_a_run: int = Field(default=10_000, ge=1)
    """Letters that one run hands over; the others wait for the next one."""

    @model_validator(mode="after")
    def _ids_are_ours(self) -> Self:
        if self.smtp is not None and self.domain.endswith(".invalid"):
            raise ValueError("domain: name one of yours where letters leave by smtp")
        return self
