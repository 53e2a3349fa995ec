"""Files that come encrypted or signed: only a pinned key counts, and a missing key of ours loses nothing."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from counterfoil import journey
from counterfoil.errors import Code
from counterfoil.files import sha256_bytes
from counterfoil.identity import Verdict
from counterfoil.landing.records import Delivery
from pipelines.commands.app import app
from tests.plugins.homes import MONDAY
from tests.plugins.keys import Keyring
from tests.plugins.wrapped import ANSWERS, PLAIN_NAME, PackedOffice, gzipped

NAME = f"{PLAIN_NAME}.pgp"
ENDING = r"\.pgp"

Signed = Callable[..., PackedOffice]


@pytest.fixture
def signed(packed_office: Callable[..., PackedOffice], keys: Keyring) -> Signed:
    """``signed(signed_by=["Signer"])``: a home whose partner's answers come so, with the keys that it needs."""

    def made(
        *, by: tuple[str, ...] = ("Signer",), encrypted: bool = True, around: str = "", passphrase: str = ""
    ) -> PackedOffice:
        pinned = ", ".join(keys.fingerprint(name) for name in by)
        wrapper = f"{{type: pgp, encrypted: {str(encrypted).lower()}, signed_by: [{pinned}]}}"
        office = packed_office(f"[{wrapper}{around}]", ending=ENDING)
        folder = office.data / "partners/skybridge/keys"
        folder.mkdir()
        for name in by:
            (folder / f"{name.lower()}.asc").write_bytes(keys.public(name))
        give(office, "inbox.asc", keys.private("Ours"))
        return office

    return made


def give(office: PackedOffice, name: str, content: bytes) -> Path:
    path = office.home / "secrets" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def arrive(office: PackedOffice) -> list[Delivery]:
    office.look()
    with office.desk() as desk:
        received = journey.arrive(desk, "inbox", patient=False)
        assert (received.troubles, received.waiting) == ([], [])
        return received.delivered


def refused(office: PackedOffice, message: bytes) -> str | None:
    office.send(NAME, message)
    (delivery,) = arrive(office)
    assert delivery.verdict is Verdict.REJECTED, delivery
    with office.desk() as desk:
        assert desk.landing.path(delivery.payload_sha).read_bytes() == message, "kept as it came"
    return delivery.code


def test_a_signed_and_encrypted_file_posts_as_what_is_in_it(signed: Signed, keys: Keyring) -> None:
    office = signed()
    office.begin()
    office.ask(MONDAY, ("1", 100))
    message = keys.message(ANSWERS, to="Ours", by="Signer")
    office.send(NAME, message)
    night = office.run(MONDAY)
    assert night.exit_status == 0, [str(error) for _, error in night.failures]
    (delivery,) = [one for one in night.delivered if one.feed == "skybridge_handback"]
    assert (delivery.payload_sha, delivery.received_sha) == (sha256_bytes(ANSWERS), sha256_bytes(message))
    assert (delivery.wrapped, delivery.signer) == ("pgp", keys.fingerprint("Signer"))
    office.send(NAME, keys.message(ANSWERS, to="Ours", by="Signer"))
    assert [one.verdict for one in arrive(office)] == [Verdict.REPLAY], "encrypted again it is the same file"


def test_wrappers_come_off_in_order(signed: Signed, keys: Keyring) -> None:
    office = signed(around=", {type: gzip}")
    office.send(NAME, keys.message(gzipped(ANSWERS), to="Ours", by="Signer"))
    assert [(one.verdict, one.wrapped) for one in arrive(office)] == [(Verdict.NEW, "pgp gzip")]


def test_a_file_may_be_signed_alone_or_encrypted_alone(signed: Signed, keys: Keyring) -> None:
    office = signed(encrypted=False)
    office.send(NAME, keys.message(ANSWERS, by="Signer"))
    assert [one.verdict for one in arrive(office)] == [Verdict.NEW]


def test_what_must_only_be_encrypted_may_be_signed_by_anybody(signed: Signed, keys: Keyring) -> None:
    office = signed(by=())
    office.send(NAME, keys.message(ANSWERS, to="Ours"))
    assert [(one.verdict, one.signer) for one in arrive(office)] == [(Verdict.NEW, "")]
    office.send(NAME, keys.message(ANSWERS, to="Ours", by="Stranger"))
    assert [one.verdict for one in arrive(office)] == [Verdict.REPLAY]


@pytest.mark.parametrize("by", ["Signer", "Stranger"])
def test_two_keys_may_be_pinned_while_one_takes_over(signed: Signed, keys: Keyring, by: str) -> None:
    office = signed(by=("Signer", "Stranger"))
    office.send(NAME, keys.message(ANSWERS, to="Ours", by=by))
    assert [(one.verdict, one.signer) for one in arrive(office)] == [(Verdict.NEW, keys.fingerprint(by))]


def test_no_signature_or_anothers_is_refused(signed: Signed, keys: Keyring) -> None:
    office = signed()
    assert refused(office, keys.message(ANSWERS, to="Ours")) == Code.SIGNATURE_MISSING
    assert refused(office, keys.message(ANSWERS, to="Ours", by="Stranger")) == Code.SIGNER_UNTRUSTED


def test_a_key_that_lies_here_and_is_not_pinned_counts_for_nothing(signed: Signed, keys: Keyring) -> None:
    office = signed()
    (office.data / "partners/skybridge/keys/stranger.asc").write_bytes(keys.public("Stranger"))
    assert refused(office, keys.message(ANSWERS, to="Ours", by="Stranger")) == Code.SIGNER_UNTRUSTED


def test_a_message_that_is_damaged_cut_or_none_is_refused(signed: Signed, keys: Keyring) -> None:
    office = signed()
    whole = keys.message(ANSWERS, to="Ours", by="Signer")
    middle = len(whole) // 2
    turned = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    assert refused(office, turned) in {Code.DECRYPTION_FAILED, Code.PACKING_DAMAGED}
    assert refused(office, whole[:-20]) in {Code.DECRYPTION_FAILED, Code.PACKING_DAMAGED}
    assert refused(office, ANSWERS) == Code.PACKING_DAMAGED
    assert refused(office, b"") == Code.PACKING_DAMAGED
    assert refused(office, keys.message(ANSWERS, by="Signer")) == Code.PACKING_DAMAGED, "signed, not encrypted"
    assert refused(office, keys.message(ANSWERS, to="Stranger", by="Signer")) == Code.DECRYPTION_FAILED


def test_a_signed_text_that_was_changed_is_refused(signed: Signed, keys: Keyring) -> None:
    office = signed(encrypted=False)
    clear = keys.run("--local-user", "Signer", "--compress-algo", "none", "--sign", "--output", "-", given=ANSWERS)
    place = clear.index(b"0000")
    assert refused(office, clear[:place] + b"0001" + clear[place + 4 :]) == Code.SIGNATURE_INVALID


def test_a_key_that_has_expired_is_ours_to_renew_and_nothing_is_lost(signed: Signed, keys: Keyring) -> None:
    office = signed(by=("Lapsed",))
    office.send(NAME, keys.message(ANSWERS, to="Ours", by="Lapsed", at="20261102T000000!"))
    office.look()
    with office.desk() as desk:
        received = journey.arrive(desk, "inbox", patient=False)
    assert (received.delivered, [error.code for error in received.troubles]) == ([], [Code.PGP_KEY_MISSING])
    assert (office.home / "inbox/skybridge/incoming" / NAME).exists(), "it waits where it is"


def test_an_expired_key_that_is_not_pinned_is_a_strangers(signed: Signed, keys: Keyring) -> None:
    office = signed()
    (office.data / "partners/skybridge/keys/lapsed.asc").write_bytes(keys.public("Lapsed"))
    message = keys.message(ANSWERS, to="Ours", by="Lapsed", at="20261102T000000!")
    assert refused(office, message) == Code.SIGNER_UNTRUSTED


def test_a_missing_key_of_ours_holds_up_this_file_alone(signed: Signed, keys: Keyring) -> None:
    office = signed()
    ours = give(office, "inbox.asc", keys.private("Ours"))
    ours.unlink()
    office.ask(MONDAY, ("1", 100))
    office.send(NAME, keys.message(ANSWERS, to="Ours", by="Signer"))
    office.look()
    with office.desk() as desk:
        received = journey.arrive(desk, "inbox", patient=False)
    assert [one.feed for one in received.delivered] == ["skybridge_requests"]
    assert [error.code for error in received.troubles] == [Code.PGP_KEY_MISSING]
    give(office, "inbox.asc", keys.private("Ours"))
    with office.desk() as desk:
        received = journey.arrive(desk, "inbox", patient=False)
    assert [one.verdict for one in received.delivered] == [Verdict.NEW], "with the key there the next run takes it"


def test_without_gpg_the_file_waits(signed: Signed, keys: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    office = signed()
    office.send(NAME, keys.message(ANSWERS, to="Ours", by="Signer"))
    office.look()
    monkeypatch.setenv("PATH", "/nowhere")
    with office.desk() as desk:
        received = journey.arrive(desk, "inbox", patient=False)
    assert [error.code for error in received.troubles] == [Code.GPG_UNUSABLE]


def test_a_private_key_may_have_a_passphrase(
    packed_office: Callable[..., PackedOffice], keys: Keyring, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("p")
    home.chmod(0o700)
    own = Keyring(home)
    own.make("Guarded", passphrase="a long one")
    office = packed_office("[{type: pgp}]", ending=ENDING)
    give(office, "inbox.asc", own.private("Guarded", "a long one"))
    give(office, "inbox.passphrase", b"a long one\n")
    office.send(NAME, own.message(ANSWERS, to="Guarded"))
    assert [one.verdict for one in arrive(office)] == [Verdict.NEW]
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)


def test_the_contract_that_is_shipped_is_received_as_its_golden_says(tmp_path: Path, root: Path, keys: Keyring) -> None:
    """Its sample, compressed, signed and encrypted, with the check sum of that beside it."""
    contract = root / "data/contracts/partners/quarry"
    (sample,) = (one for one in contract.glob("*/samples/*") if one.suffix == ".pgp")
    data = tmp_path / "data"
    shutil.copytree(root / "data", data)
    shutil.copytree(contract, data / "partners/quarry")
    layout = data / "partners/quarry/quarry_handback/layout.yaml"
    layout.write_text(re.sub(r"\[[0-9A-F]{40}\]", f"[{keys.fingerprint('Signer')}]", layout.read_text()))
    (data / "partners/quarry/keys").mkdir()
    (data / "partners/quarry/keys/signer.asc").write_bytes(keys.public("Signer"))
    office = PackedOffice(tmp_path / "home", data=data)
    give(office, "inbox.asc", keys.private("Ours"))
    message = keys.message(gzipped(sample.read_bytes()), to="Ours", by="Signer")
    office.put(f"quarry/incoming/{sample.name}", message)
    office.put(f"quarry/incoming/{sample.name}.sha256", f"{sha256_bytes(message)}  {sample.name}\n".encode())
    (delivery,) = arrive(office)
    golden = json.loads(sample.with_name(f"{sample.name}.golden.json").read_bytes())
    assert (delivery.verdict, delivery.wrapped, delivery.signer) == (
        Verdict.NEW, "pgp gzip", keys.fingerprint("Signer"),
    )  # fmt: skip
    assert (delivery.sequence, str(delivery.business_date)) == (
        golden["marks"]["sequence"], golden["marks"]["business_date"],
    )  # fmt: skip
    with office.desk() as desk:
        (feed,) = (one for one in desk.reader.feeds() if one.feed == "quarry_handback")
        parsed = desk.reader.read(feed, name=sample.name, payload=desk.landing.path(delivery.payload_sha))
    assert parsed.accepted["ref"].to_list() == [row["ref"] for row in golden["accepted"]]
    checked = CliRunner().invoke(app, ["check", str(sample), "--layout", str(layout), "--unwrapped"])
    assert checked.exit_code == 0, checked.output
