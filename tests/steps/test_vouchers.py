"""Codes through crashes: made once, sealed wherever they lie, and no voucher lost or doubled by dying in between."""

import gzip
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from typer.testing import CliRunner

from connectors.mail import EmlFolder
from counterfoil import journey
from counterfoil.errors import Code, PermanentError, TransientError
from counterfoil.files import sha256_bytes
from counterfoil.ledger.voucher_letters import letters_of
from counterfoil.protocols import Answer
from counterfoil.steps import arrive, mailing, unwrap, vouchers
from counterfoil.steps.desk import Desk
from counterfoil.vault import FILE
from parsers.registry import LayoutReader
from pipelines.commands.app import app
from pipelines.wiring import desk_at
from tests.plugins.commands import Nights, OpenNights, home
from tests.plugins.homes import MONDAY, OPENING_HEADER, RATES, every_row
from tests.plugins.keys import Keyring

CATALOGUE = (
    "productId,name,currencyCode,valueDenominations,pointsPerUnit,orderQuantityLimit,voucherType,supply,expiryDays,"
    "expiryMonths,termsAndConditionsInstructions,redemptionInstructions,validFrom\n"
    "TREAT,Programme treat,EUR,10,100,10,code,generated,,12,,,2026-11-01\n"
    "BOOKS,Marigold Books,EUR,25,100,5,codePin,stock,90,,,,2026-11-01\n"
)
ORDERS = "poNumber,productId,denomination,quantity,memberId,email,points,orderDate\n"
PAYMENTS = "poNumber,paymentReferenceId,points,amount,currency,date\n"
FULFILMENT = "poNumber,productId,denomination,type,status,voucherCode,pin,cancelledQuantity,validity,date\n"
SECRET = "BOOK-0001-AAAA-7731"


class Killed(BaseException):
    """The process is gone."""


def die(*_: object, **__: object) -> NoReturn:
    raise Killed


def dying_once_landed(post: Callable[..., Any]) -> Callable[..., Any]:
    """Posts nothing of what the program has landed itself: it dies."""

    def act(desk: Desk, day: date) -> Any:
        return die() if desk.index.pending(feed="vouchers") else post(desk, day)

    return act


@pytest.fixture
def nights(open_nights: OpenNights, root: Path) -> Iterator[Nights]:
    contracts = root / "data/contracts/partners"
    with open_nights([contracts / "marigold", contracts / "thistle"]) as opened:
        opened.at(MONDAY, "20:00:00")
        yield opened


def send(nights: Nights, name: str, text: str) -> None:
    nights.put(name, text)
    nights.put(f"{name}.done", "")


def sell(nights: Nights, quantity: int = 3) -> None:
    """A catalogue, a member with points, and an order that is paid the same day."""
    nights("vouchers", "rotate", json_wanted=False)
    rates = f"{RATES}marigold,EUR,1,1,2026-11-01\nthistle,EUR,1,1,2026-11-01\n"
    nights.put(f"rates/rates_{MONDAY:%Y%m%d}.csv", rates)
    nights.put(
        f"opening/opening_{MONDAY:%Y%m%d}.csv",
        f"{OPENING_HEADER}balance,member,T-1,thistle,,20000,{MONDAY}\n",
    )
    send(nights, f"marigold/catalogue/marigold_catalogue_{MONDAY:%Y%m%d}.csv", CATALOGUE)
    send(
        nights,
        f"thistle/orders/thistle_orders_{MONDAY:%Y%m%d}_000001.csv",
        f"{ORDERS}PO-1,TREAT,10.00,{quantity},T-1,ada@thistle.example,{1000 * quantity},{MONDAY}\n",
    )
    send(
        nights,
        f"thistle/payments/thistle_payments_{MONDAY:%Y%m%d}_000001.csv",
        f"{PAYMENTS}PO-1,PAY-1,{1000 * quantity},,,{MONDAY}\n",
    )


def stock(nights: Nights, number: int = 1) -> str:
    name = f"marigold/outgoing/marigold_fulfilment_{MONDAY:%Y%m%d}_{number:06d}.csv"
    send(nights, name, f"{FULFILMENT},BOOKS,25.00,codePin,delivered,{SECRET},4711,,,{MONDAY}\n")
    return name


@pytest.mark.parametrize("where", ["settle", "land_own"])
def test_dying_between_payment_and_vouchers_loses_and_doubles_none(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    sell(nights)
    with monkeypatch.context() as patch:
        if where == "land_own":  # the payment is posted, no code is made
            patch.setattr(vouchers, "land_own", die)
        else:  # codes have landed and are not posted
            patch.setattr(vouchers, "_post", dying_once_landed(vouchers._post))
        with pytest.raises(Killed), desk_at(None) as desk:
            journey.run(desk, MONDAY)
    assert [one["status"] for one in nights("vouchers", "orders")] == ["paid"]
    nights.run(MONDAY)
    assert [(one["status"], one["delivered"]) for one in nights("vouchers", "orders")] == [("delivered", 3)]
    with desk_at(None) as desk, desk.book.reading() as book:
        (letter,) = letters_of(book, 0, book.last_posting()).to_dicts()
    with desk_at(None) as desk:
        assert vouchers.reveal(desk, letter["vouchers"], [])["code"].n_unique() == 3
    assert nights("audit", "verify")["findings"] == []
    nights("replay", "--into", tmp_path / "again")
    assert every_row(tmp_path / "again/book.duckdb") == every_row(home("book.duckdb"))


def statuses(nights: Nights) -> dict[str, str]:
    return {one["reference"]: one["status"] for one in nights("vouchers", "orders")}


def release_held(nights: Nights) -> None:
    (held,) = nights("held")
    nights("release", held["payload_sha"], "--reason", "The sender forgot a row")
    assert nights("held") == []


def test_a_payment_that_comes_before_its_order_pays_it(nights: Nights) -> None:
    sell(nights)
    early = f"{PAYMENTS}PO-2,PAY-2,1000,,,{MONDAY}\n"
    send(nights, f"thistle/payments/thistle_payments_{MONDAY:%Y%m%d}_000002.csv", early)
    nights.run(MONDAY)
    assert [one["code"] for one in nights("breaks")] == ["B03"]
    late = f"{ORDERS}PO-2,TREAT,10.00,1,T-1,ada@thistle.example,1000,{MONDAY}\n"
    send(nights, f"thistle/orders/thistle_orders_{MONDAY:%Y%m%d}_000002.csv", late)
    nights.run(MONDAY)
    assert statuses(nights) == {"PO-1": "delivered", "PO-2": "delivered"}
    assert nights("breaks") == []
    assert nights("audit", "verify")["findings"] == []


def test_a_file_of_other_content_under_its_number_can_be_released(nights: Nights, tmp_path: Path) -> None:
    sell(nights)
    more = f"{ORDERS}PO-2,TREAT,10.00,1,T-1,ada@thistle.example,1000,{MONDAY}\n"
    send(nights, f"thistle/orders/thistle_orders_{MONDAY:%Y%m%d}_000002.csv", more)
    nights.run(MONDAY)
    both = f"{PAYMENTS}PO-1,PAY-1,3000,,,{MONDAY}\nPO-2,PAY-2,1000,,,{MONDAY}\n"
    send(nights, f"thistle/payments/thistle_payments_{MONDAY:%Y%m%d}_000001.csv", both)
    nights("run", "--date", MONDAY, exit_code=1, json_wanted=False)
    assert statuses(nights) == {"PO-1": "delivered", "PO-2": "pending"}
    release_held(nights)
    nights.run(MONDAY)
    assert statuses(nights) == {"PO-1": "delivered", "PO-2": "delivered"}
    assert [one["code"] for one in nights("breaks")] == ["B07"], "what was told before is told again"
    assert nights("audit", "verify")["findings"] == []
    nights("replay", "--into", tmp_path / "again")
    assert every_row(tmp_path / "again/book.duckdb") == every_row(home("book.duckdb"))


def test_amounts_are_those_of_their_currency(nights: Nights) -> None:
    sell(nights)
    more = (
        'DINAR,Dinar treat,KWD,"1,10",1000,10,code,generated,,12,,,2026-11-01\n'
        "YEN,Yen treat,JPY,1000,1,10,code,generated,,12,,,2026-11-01\n"
    )
    send(nights, f"marigold/catalogue/marigold_catalogue_{MONDAY:%Y%m%d}.csv", CATALOGUE + more)
    rows = (
        f"PO-K,DINAR,10.00,1,T-1,ada@thistle.example,0,{MONDAY}\n"
        f"PO-Y,YEN,1000.00,2,T-1,ada@thistle.example,0,{MONDAY}\n"
        f"PO-Z,YEN,10.50,1,T-1,ada@thistle.example,0,{MONDAY}\n"
    )
    send(nights, f"thistle/orders/thistle_orders_{MONDAY:%Y%m%d}_000002.csv", ORDERS + rows)
    money = (
        f"PO-K,PAY-K,,10.00,KWD,{MONDAY}\nPO-Y,PAY-Y,,2000.00,JPY,{MONDAY}\n"
        f"PO-Q,PAY-Q,,10.50,JPY,{MONDAY}\n"  # no whole yen: quarantined
    )
    send(nights, f"thistle/payments/thistle_payments_{MONDAY:%Y%m%d}_000002.csv", PAYMENTS + money)
    nights.run(MONDAY)
    found = {one["reference"]: (one["denomination"], one["status"]) for one in nights("vouchers", "orders")}
    assert found == {"PO-1": (1000, "delivered"), "PO-K": (10_000, "delivered"), "PO-Y": (1000, "delivered")}
    texts = " ".join(path.read_text() for path in home("out/mail").glob("*.eml"))
    assert "10.000 KWD" in texts
    assert "1,000 JPY" in texts or "1000 JPY" in texts


def test_codes_made_for_payments_that_came_late_live_from_the_day_they_are_made(nights: Nights) -> None:
    sell(nights)
    one_day = CATALOGUE.replace("code,generated,,12", "code,generated,1,")
    send(nights, f"marigold/catalogue/marigold_catalogue_{MONDAY:%Y%m%d}.csv", one_day)
    payments = home(f"inbox/thistle/payments/thistle_payments_{MONDAY:%Y%m%d}_000001.csv")
    late = payments.rename(home(payments.name))
    for days in range(2):
        nights.run(MONDAY + timedelta(days))
    nights.at(MONDAY + timedelta(2), "12:00:00")
    late.rename(payments)
    nights("run", "--date", MONDAY, json_wanted=False)
    with desk_at(None) as desk, desk.book.reading() as book:
        (letter,) = letters_of(book, 0, book.last_posting()).to_dicts()
    assert letter["expires"] == MONDAY + timedelta(3), "the day after the one on which the codes were made"


def clear_files() -> list[str]:
    """Files of the home, but for the inbox, that hold the code."""
    return [
        path.relative_to(home(".")).parts[0]
        for path in home(".").rglob("*")
        if path.is_file() and "inbox" not in path.parts and SECRET.encode() in path.read_bytes()
    ]


def test_dying_before_a_supplier_file_is_recorded_is_mended_by_the_next_look(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights("vouchers", "rotate", json_wanted=False)
    stock(nights)
    with monkeypatch.context() as patch:
        patch.setattr(unwrap, "_all_sealed", die)
        with pytest.raises(Killed), desk_at(None) as desk:
            journey.arrive(desk, "inbox", patient=False)
    assert clear_files() == ["landing"], "a process that is killed cannot tidy up"
    with desk_at(None) as desk:
        journey.arrive(desk, "inbox", patient=False)
    assert clear_files() == []


def test_a_supplier_file_that_comes_again_is_seen_to_under_any_key(nights: Nights) -> None:
    sell(nights)
    stock(nights)
    nights.run(MONDAY)
    nights("vouchers", "rotate", json_wanted=False)
    name = stock(nights)
    nights.at(MONDAY, "23:00:00")
    with desk_at(None) as desk:
        (again,) = journey.arrive(desk, "inbox", patient=False).delivered
    assert (again.name, str(again.verdict)) == (Path(name).name, "replay")


def test_without_keys_no_supplier_file_is_fetched_and_all_else_goes_on(nights: Nights) -> None:
    stock(nights)
    send(nights, f"marigold/catalogue/marigold_catalogue_{MONDAY:%Y%m%d}.csv", CATALOGUE)
    nights.at(MONDAY, "23:00:00")
    with desk_at(None) as desk:
        received = journey.arrive(desk, "inbox", patient=False)
    assert [error.code for error in received.troubles] == ["SECRET_MISSING"]
    assert [one.feed for one in received.delivered] == ["marigold_catalogue"]
    assert clear_files() == []


def test_nobody_can_send_what_only_the_program_does(nights: Nights) -> None:
    forged = f"step,ref,unit,code,sealed,valid_until,value_date\nlapse,PO-1,,,,,{MONDAY}\n"
    nights.put(f"vouchers/vouchers_{MONDAY:%Y%m%d}_0a1b2c3d.csv", forged)
    with desk_at(None) as desk:
        for _ in range(2):
            received = journey.arrive(desk, "inbox", patient=False)
            assert (received.delivered, received.waiting, received.troubles) == ([], [], [])
            nights.at(MONDAY, "21:00:00")


def test_a_supplier_file_can_be_checked_without_keys_and_shows_no_code(nights: Nights) -> None:
    name = home("inbox") / stock(nights)
    result = CliRunner().invoke(app, ["check", str(name)])
    assert result.exit_code == 0, result.output
    assert "1 accepted" in result.output
    assert SECRET not in result.output
    assert "4711" not in result.output


def takes(nights: Nights, *, arrival: str = "", wrappers: str = "", ending: str = "") -> None:
    """Have the supplier's files come with something beside them, or in wrappers."""
    layout = nights.folder / "data/partners/marigold/marigold_fulfilment/layout.yaml"
    text = layout.read_text().replace("afterwards: delete}", f"afterwards: delete{arrival}}}")
    name = r"  name: marigold_fulfilment_(?P<day>[0-9]{8})_(?P<number>[0-9]{6})\.csv"
    assert name in text
    layout.write_text(text.replace(name, name + ending) + (f"wrappers: {wrappers}\n" if wrappers else ""))


def put(nights: Nights, name: str, data: bytes) -> None:
    """What the supplier packed."""
    send(nights, name, "")
    (nights.folder / "home/inbox" / name).write_bytes(data)


def come(nights: Nights, hour: int = 21) -> list[Any]:
    """All that is there arrives; each file's delivery."""
    nights.at(MONDAY, f"{hour}:00:00")
    with desk_at(None) as desk:
        return journey.arrive(desk, "inbox", patient=False).delivered


CODES = f"{FULFILMENT},BOOKS,25.00,codePin,delivered,{SECRET},4711,,,{MONDAY}\n".encode()
NAME = f"marigold/outgoing/marigold_fulfilment_{MONDAY:%Y%m%d}_000001.csv"
SUMS = ", companions: [{suffix: .sha256, holds: sha256}]"


def test_a_supplier_file_that_is_refused_is_kept_sealed(nights: Nights) -> None:
    nights("vouchers", "rotate", json_wanted=False)
    takes(nights, arrival=SUMS)
    put(nights, NAME, CODES)
    nights.put(f"{NAME}.sha256", "0" * 64 + "\n")
    (refused,) = come(nights)
    assert (str(refused.verdict), refused.code, clear_files()) == ("rejected", "COMPANION_DIFFERS", [])
    with desk_at(None) as desk:
        sealed = desk.landing.verify(refused.payload_sha).read_bytes()
        assert desk.vault().open(sealed, FILE) == CODES, "what came can still be shown to the supplier"


@pytest.mark.parametrize("cut", [0, 4])
def test_neither_a_wrapper_that_comes_off_nor_one_that_does_not_leaves_a_code_in_the_clear(
    nights: Nights, cut: int
) -> None:
    nights("vouchers", "rotate", json_wanted=False)
    takes(nights, wrappers="[{type: gzip}]", ending=r"\.gz")
    packed = gzip.compress(CODES, 0)
    assert SECRET.encode() in packed, "packed without being compressed"
    put(nights, f"{NAME}.gz", packed[: len(packed) - cut])
    (delivery,) = come(nights)
    assert (str(delivery.verdict), clear_files()) == ("rejected" if cut else "new", [])


def test_of_a_message_that_is_only_signed_nothing_is_kept_as_it_came(nights: Nights, keys: Keyring) -> None:
    nights("vouchers", "rotate", json_wanted=False)
    pinned = keys.fingerprint("Signer")
    takes(nights, wrappers=f"[{{type: pgp, encrypted: false, signed_by: [{pinned}]}}]", ending=r"\.pgp")
    folder = nights.folder / "data/partners/marigold/keys"
    folder.mkdir()
    (folder / "signer.asc").write_bytes(keys.public("Signer"))
    message = keys.message(CODES, by="Signer")
    put(nights, f"{NAME}.pgp", message)
    (delivery,) = come(nights)
    assert (str(delivery.verdict), delivery.received_sha) == ("new", "")
    with desk_at(None) as desk:
        assert not desk.landing.path(sha256_bytes(message)).exists()


def test_a_refusal_takes_nothing_away_that_an_earlier_file_stands_on(nights: Nights, keys: Keyring) -> None:
    nights("vouchers", "rotate", json_wanted=False)
    takes(nights, arrival=SUMS, wrappers="[{type: pgp}]", ending=r"\.pgp")
    secret = home("secrets/inbox.asc")
    secret.write_bytes(keys.private("Ours"))
    secret.chmod(0o600)
    message = keys.message(CODES, to="Ours")
    verdicts = []
    for hour, told in ((21, sha256_bytes(message)), (22, "0" * 64)):
        put(nights, f"{NAME}.pgp", message)
        nights.put(f"{NAME}.pgp.sha256", told)
        verdicts += [str(delivery.verdict) for delivery in come(nights, hour)]
    assert verdicts == ["new", "rejected"]
    with desk_at(None) as desk:
        first, _ = desk.index.deliveries(feed="marigold_fulfilment")
        assert first.received_sha == sha256_bytes(message)
        desk.landing.verify(first.received_sha)


def test_an_archive_holds_codes_or_other_things_and_not_both(nights: Nights) -> None:
    arrival, folder = re.compile("^arrival: .*$", re.M), nights.folder / "data/partners/marigold"
    shared = (
        "arrival: {folder: marigold/outgoing, ready: stable, stable_s: 0}\nwrappers: [{type: zip, name: 'all.zip'}]"
    )
    for feed in ("marigold_fulfilment", "marigold_deliveries"):
        layout = folder / feed / "layout.yaml"
        layout.write_text(arrival.sub(lambda _: shared, layout.read_text()))
    with pytest.raises(PermanentError, match="for secrets and for other things"):
        LayoutReader(nights.folder / "data")


def test_what_keeps_a_supplier_file_from_being_recorded_leaves_no_code_here(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights("vouchers", "rotate", json_wanted=False)
    put(nights, NAME, CODES)
    lost = TransientError(Code.CONNECTION_LOST, "inbox", found="a drop", expected="a connection", remedy="Again")
    with monkeypatch.context() as patch:
        patch.setattr(arrive, "read_companions", Raising(lost))
        assert come(nights) == []
    assert clear_files() == []
    (delivery,) = come(nights, 22)
    assert str(delivery.verdict) == "new"


class Raising:
    """Fails each time."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise self._error


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], Any]:
    """``answers(Answer.REFUSED)``: what comes of each letter from now on."""

    def says(answer: Answer) -> None:
        monkeypatch.setattr(EmlFolder, "hand_over", lambda *_a, **_k: (answer, "550 5.1.1"))

    return says


def mails(nights: Nights) -> None:
    """Letters go; whatever is told of them."""
    CliRunner().invoke(app, ["mail", "send"])


def stands(nights: Nights) -> list[tuple[str, str]]:
    return [(one["reference"], one["letter"]) for one in nights("vouchers", "undelivered")]


def test_a_letter_that_is_refused_is_asked_for_again_as_often_as_somebody_asks_and_until_it_arrives(
    nights: Nights, answers: Callable[[Answer], Any]
) -> None:
    sell(nights)
    answers(Answer.REFUSED)
    CliRunner().invoke(app, ["run", "--date", str(MONDAY)])
    postings = []
    for answer in (Answer.REFUSED, Answer.SENT):
        assert stands(nights) == [("PO-1", "refused")]
        said = nights("vouchers", "recover")
        assert said["sent_again"] == ["PO-1"]
        postings += said["postings"]
        assert stands(nights) == [("PO-1", "waiting")]
        assert nights("vouchers", "recover") == {"sent_again": [], "postings": []}, "it goes by itself"
        answers(answer)
        mails(nights)
    assert len(set(postings)) == 2
    assert stands(nights) == []
    for day in range(2):
        nights.at(MONDAY + timedelta(day), "22:00:00")
        assert nights("vouchers", "recover")["sent_again"] == [], "the letter in its place has arrived"
    assert [one["state"] for one in nights("mail", "list")] == ["refused", "refused", "sent"]


def test_codes_that_are_made_in_recovering_leave_in_one_letter(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    sell(nights)
    with monkeypatch.context() as patch:
        patch.setattr(vouchers, "land_own", die)
        with pytest.raises(Killed), desk_at(None) as desk:
            journey.run(desk, MONDAY)
    said = nights("vouchers", "recover")
    assert (said["sent_again"], len(said["postings"])) == ([], 1)
    mails(nights)
    assert [one["state"] for one in nights("mail", "list")] == ["sent"]


def test_a_letter_that_may_have_gone_is_asked_for_again_only_if_somebody_says_so(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(nights)

    def cut(_postman: EmlFolder, _letter: object, *, leaving: Callable[[], None]) -> NoReturn:
        leaving()
        raise TransientError(Code.CONNECTION_LOST, "mail", found="a drop", expected="an answer", remedy="Again")

    with monkeypatch.context() as patch:
        patch.setattr(EmlFolder, "hand_over", cut)
        CliRunner().invoke(app, ["run", "--date", str(MONDAY)])
    assert stands(nights) == [("PO-1", "unsure")]
    assert nights("vouchers", "recover") == {"sent_again": [], "postings": []}
    assert nights("vouchers", "recover", "--unsure")["sent_again"] == ["PO-1"]
    mails(nights)
    assert stands(nights) == []


def test_a_copy_that_a_person_sent_counts_in_place_of_its_letter(
    nights: Nights, answers: Callable[[Answer], Any]
) -> None:
    sell(nights)
    answers(Answer.REFUSED)
    CliRunner().invoke(app, ["run", "--date", str(MONDAY)])
    (key,) = (one["letter_key"] for one in nights("mail", "list"))
    for number, answer in enumerate([Answer.REFUSED, Answer.SENT], start=2):
        answers(answer)
        assert nights("mail", "resend", key, "--reason", "Asked for it")["letter_key"] == f"{key}#{number}"
        mails(nights)
        assert stands(nights) == ([("PO-1", "refused")] if answer is Answer.REFUSED else [])


def test_a_damaged_file_of_codes_keeps_its_own_letters_and_no_other(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(nights)
    with monkeypatch.context() as patch:
        patch.setattr(mailing, "send_letters", lambda *_: None)
        CliRunner().invoke(app, ["run", "--date", str(MONDAY)])
        for number in (2, 3):
            order = f"PO-{number},TREAT,10.00,1,T-1,ada@thistle.example,1000,{MONDAY}\n"
            send(nights, f"thistle/orders/thistle_orders_{MONDAY:%Y%m%d}_{number:06d}.csv", ORDERS + order)
            paid = f"PO-{number},PAY-{number},1000,,,{MONDAY}\n"
            send(nights, f"thistle/payments/thistle_payments_{MONDAY:%Y%m%d}_{number:06d}.csv", PAYMENTS + paid)
            CliRunner().invoke(app, ["run", "--date", str(MONDAY)])
    with desk_at(None) as desk:
        path = desk.landing.path(desk.index.deliveries(feed="vouchers", day=MONDAY)[0].payload_sha)
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(whole[:-3] + b"x\n")
    told = nights("mail", "send", exit_code=1)
    assert [one["code"] for one in told["failures"]] == ["PAYLOAD_DAMAGED"]
    assert stands(nights) == [("PO-1", "waiting")]
    path.write_bytes(whole)
    mails(nights)
    assert stands(nights) == []


def test_a_supplier_file_that_came_before_its_layout_is_taken_once_and_stays_as_it_came(nights: Nights) -> None:
    sell(nights)
    folder = nights.folder / "data/partners/marigold"
    (folder / "marigold_fulfilment").rename(nights.folder / "away")
    layout = folder / "marigold_deliveries/layout.yaml"
    text = layout.read_text()
    layout.write_text(text.replace("folder: marigold/deliveries", "folder: marigold/outgoing"))
    nights.put(NAME, CODES.decode())
    for hour in (21, 22):
        come(nights, hour)
    assert [one["code"] for one in nights("held")] == ["FILE_UNCLAIMED"]
    layout.write_text(text)
    (nights.folder / "away").rename(folder / "marigold_fulfilment")
    for _ in range(2):
        nights.run(MONDAY)
    assert [(one["product"], one["in_stock"]) for one in nights("vouchers", "list") if one["supply"] == "stock"] == [
        ("BOOKS", 1)
    ]
    assert nights("audit", "verify")["findings"] == []
