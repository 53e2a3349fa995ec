"""The vault: what is sealed opens as what it was and under any key that ever was; what is concealed says nothing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import Code, CounterfoilError
from counterfoil.settings import load_settings
from counterfoil.vault import KEY_BYTES, MARK, Vault, is_sealed, new_key, vault

OLD, NEW, DIGEST = new_key(), new_key(), new_key()


def refused(vault_: Vault, sealed: bytes, about: str) -> Code:
    with pytest.raises(CounterfoilError) as error:
        vault_.open(sealed, about)
    return error.value.code


@given(st.binary(min_size=1), st.text())
def test_what_is_sealed_opens_as_what_it_was(data: bytes, about: str) -> None:
    one = vault([OLD], DIGEST)
    sealed = one.seal(data, about)
    assert is_sealed(sealed)
    assert one.open(sealed, about) == data
    assert one.seal(data, about) == sealed, "the same bytes seal to the same bytes"


@given(st.binary(min_size=1), st.data())
def test_nothing_of_it_can_be_changed(data: bytes, drawn: st.DataObject) -> None:
    one = vault([OLD], DIGEST)
    sealed = one.seal(data, "file")
    place = drawn.draw(st.integers(len(MARK), len(sealed) - 1))
    changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
    assert refused(one, changed, "file") in (Code.PAYLOAD_DAMAGED, Code.SECRET_MISSING)
    assert refused(one, sealed, "another") is Code.PAYLOAD_DAMAGED


def test_a_new_key_seals_and_old_ones_open() -> None:
    before = vault([OLD], DIGEST).seal(b"code", "file")
    both = vault([NEW, OLD], DIGEST)
    assert both.open(before, "file") == b"code"
    assert both.seal(b"code", "file") != before
    assert both.seal(b"code", "file", known=lambda sealed: sealed == before) == before, "a file that came under the old"
    assert refused(vault([NEW], DIGEST), before, "file") is Code.SECRET_MISSING


def test_texts_are_sealed_for_columns() -> None:
    one = vault([OLD], DIGEST)
    assert one.open_text(one.seal_text("W598", "voucher A:1"), "voucher A:1") == "W598"
    with pytest.raises(CounterfoilError) as error:
        one.open_text("no base64!", "voucher A:1")
    assert error.value.code is Code.SECRET_MISSING


def test_a_code_is_known_by_its_key_alone_and_shows_little() -> None:
    one = vault([OLD], DIGEST)
    assert one.conceal("W5984VRMYZB8SZYW") == vault([NEW], DIGEST).conceal("W5984VRMYZB8SZYW")
    assert one.conceal("W5984VRMYZB8SZYW") != vault([OLD], new_key()).conceal("W5984VRMYZB8SZYW")
    assert one.conceal("W5984VRMYZB8SZYW").endswith(":SZYW")
    assert one.conceal("12345678901").endswith(":"), "of a short code nothing is shown"


@pytest.mark.parametrize("keys", [[], ["00"], ["no key"], ["0" * (2 * KEY_BYTES - 2)]])
def test_what_is_no_key_is_refused_without_being_told(keys: list[str]) -> None:
    with pytest.raises(CounterfoilError) as error:
        vault(keys, DIGEST)
    assert error.value.code is Code.SECRET_MISSING
    assert not any(key and key in str(error.value).replace("no keys", "") for key in keys)


def test_keys_come_from_the_environment_or_from_private_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(tmp_path)
    assert [secret.get_secret_value() for secret in settings.voucher_secrets()] == ["", ""]
    (tmp_path / "secrets").mkdir()
    settings.voucher_keys_file.write_text(f"{NEW}\n{OLD}\n")
    settings.voucher_keys_file.chmod(0o644)
    with pytest.raises(CounterfoilError) as error:
        settings.voucher_secrets()
    assert error.value.code is Code.SECRET_EXPOSED
    settings.voucher_keys_file.chmod(0o600)
    assert settings.voucher_secrets()[0].get_secret_value().split() == [NEW, OLD]
    monkeypatch.setenv("COUNTERFOIL_VOUCHERS_KEYS", OLD)
    assert settings.voucher_secrets()[0].get_secret_value() == OLD
