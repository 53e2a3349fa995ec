"""The whole journey over OpenSSH's own server, twice: the second night posts nothing and writes the same bytes."""

from datetime import UTC, datetime
from pathlib import Path

import yaml

from tests.plugins.homes import MONDAY, RATES, Office, opening, skybridge_handback, skybridge_requests
from tests.plugins.servers import OpenSsh


def produced(home: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(home)): path.read_bytes() for path in sorted((home / "out").rglob("*")) if path.is_file()
    }


def served(root: Path) -> None:
    """What the partners put on the server."""
    files = {
        f"opening/opening_{MONDAY:%Y%m%d}.csv": opening(MONDAY, [("1111111111", 1_000)]),
        f"rates/rates_{MONDAY:%Y%m%d}.csv": RATES,
        f"skybridge/outgoing/SKYBRIDGE_{MONDAY:%Y%m%d}.txt": skybridge_requests(MONDAY, [("1", 100), ("2", 200)]),
        f"skybridge/incoming/SKYBRIDGE_{MONDAY:%Y%m%d}.HANDBACK.txt": skybridge_handback(
            MONDAY, [("1", 100, "0000"), ("2", 200, "0003"), ("9", 5, "0000")]
        ),
    }
    for folder in ("northstar/incoming", "northstar/outgoing"):
        (root / folder).mkdir(parents=True)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def connect(home: Path, openssh: OpenSsh, root: Path) -> None:
    """Pin the server's key and keep the client's in the secrets folder."""
    home.mkdir(parents=True)
    place = {
        "host": openssh.host,
        "port": openssh.port,
        "user": openssh.user,
        "host_keys": [openssh.host_keys["ed25519"].line.strip()],
        "root": str(root),
    }
    (home / "counterfoil.yaml").write_text(
        yaml.safe_dump({"start_date": MONDAY, "connections": {"inbox": {"sftp": place}}})
    )
    (home / "secrets").mkdir(mode=0o700)
    key = home / "secrets/inbox.key"
    key.write_bytes(openssh.key.path.read_bytes())
    key.chmod(0o600)


def test_two_nights_over_openssh(openssh: OpenSsh, tmp_path: Path) -> None:
    root = tmp_path / "served"
    served(root)
    office = Office(tmp_path / "home", now=datetime(2026, 11, 17, 6, tzinfo=UTC))
    connect(office.home, openssh, root)
    night = office.run(MONDAY)
    assert not night.failures
    assert [posted.n for posted in night.postings] == [1, 2, 3, 4]
    assert (root / "skybridge/incoming/archive" / f"SKYBRIDGE_{MONDAY:%Y%m%d}.HANDBACK.txt").exists()
    first, heads = produced(office.home), office.heads()
    assert {name.split("/")[1] for name in first} == {"crm", "gl", "reports"}
    again = office.run(MONDAY)
    assert not again.postings
    assert not again.batches
    assert not again.failures
    assert produced(office.home) == first
    assert office.heads() == heads
