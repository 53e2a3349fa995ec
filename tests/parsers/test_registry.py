"""Recognition: exactly one layout claims a file, by place, name, first line and date."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed, FeedKind
from counterfoil.protocols import Marks, Reader
from parsers.layout import Layout
from parsers.registry import LayoutReader

HANDBACK = b"Transfer date,Amount,Reference number,Outcome code\n2026-11-18,100,R-1,0000\n"
NAME = "SKYBRIDGE_20261120.HANDBACK.txt"

MakeReader = Callable[..., LayoutReader]


@pytest.fixture
def make_reader(root: Path, tmp_path: Path) -> MakeReader:
    """``make_reader({"file.yaml": changes, …})``: a reader over versions of Skybridge's hand-back."""
    (source,) = (root / "data").glob("partners/*/skybridge_handback/layout.yaml")

    def build(files: dict[str, dict[str, Any]]) -> LayoutReader:
        for place, changes in files.items():
            document = yaml.load(source.read_text("utf-8"), Loader=yaml.BaseLoader) | changes
            path = tmp_path / "data/partners" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(document))
        return LayoutReader(tmp_path / "data")

    return build


@pytest.fixture
def payload(tmp_path: Path) -> Callable[[bytes], Path]:
    """``payload(content)``: bytes as they lie in the landing store."""

    def write(content: bytes) -> Path:
        path = tmp_path / "payload"
        path.write_bytes(content)
        return path

    return write


Payload = Callable[[bytes], Path]


def claim(reader: LayoutReader, payload: Path, **changes: str) -> Feed:
    place = {"connection": "inbox", "folder": "skybridge/incoming", "name": NAME} | changes
    return reader.claim(**place, payload=payload)


def refused(reader: LayoutReader, payload: Path, **changes: str) -> PermanentError:
    with pytest.raises(PermanentError) as failure:
        claim(reader, payload, **changes)
    return failure.value


def test_the_protocol_is_kept(reader: LayoutReader) -> None:
    kept: Reader = reader
    assert [feed.feed for feed in kept.feeds()] == sorted(feed.feed for feed in kept.feeds())
    assert len(kept.feeds()) == 16


def test_the_same_name_goes_out_and_comes_back(reader: LayoutReader, payload: Payload, sponsor_file: Any) -> None:
    path = payload(sponsor_file([{}]).bytes())
    back = reader.claim(connection="inbox", folder="northstar/incoming", name="NSTR0011", payload=path)
    out = reader.claim(connection="inbox", folder="/northstar/outgoing/", name="NSTR0011", payload=path)
    assert (back.feed, out.feed) == ("northstar_handback", "northstar_requests")


def test_candidates_need_no_bytes(reader: LayoutReader) -> None:
    def names(folder: str, name: str, connection: str = "inbox") -> list[str]:
        return [feed.feed for feed in reader.candidates(connection=connection, folder=folder, name=name)]

    assert names("northstar/incoming", "NSTR0011") == ["northstar_handback"]
    assert names("northstar/incoming", "NSTR0011", "elsewhere") == []
    assert names("northstar/incoming", "NSTR00110") == []
    assert names("skybridge/incoming", f"{NAME}\n") == []
    assert names("skybridge/incoming", f"../{NAME}") == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"folder": "skybridge/outgoing"}, "skybridge_handback v2: it is expected in folder skybridge/incoming"),
        ({"connection": "other"}, "skybridge_handback v2: it is expected on connection inbox"),
        (
            {"name": "SKYBRIDGE.txt"},
            "skybridge_handback v2: its name does not fit; approvals v1: its name does not fit, and it is expected in",
        ),
    ],
)
def test_unclaimed(reader: LayoutReader, payload: Payload, changes: dict[str, str], reason: str) -> None:
    error = refused(reader, payload(HANDBACK), **changes)
    assert error.code == Code.FILE_UNCLAIMED
    assert error.found.split("nearest: ")[1].startswith(reason)


def test_a_name_is_shown_harmlessly(reader: LayoutReader, payload: Payload) -> None:
    message = str(refused(reader, payload(HANDBACK), name="../../etc/x\nALL WELL"))
    assert "\n" not in message


def test_first_line_tells_layouts_apart(make_reader: MakeReader, payload: Payload) -> None:
    other = {"feed": "other", "recognise": {"name": r"SKY.*_(?P<date>[0-9]{8})\..*", "first_line": "^Date"}}
    mine = {"recognise": {"name": r"SKY.*_(?P<date>[0-9]{8})\..*", "first_line": "Transfer"}}
    reader = make_reader({"skybridge/other/layout.yaml": other, "skybridge/skybridge_handback/layout.yaml": mine})
    assert claim(reader, payload(b"\xef\xbb\xbf" + HANDBACK)).feed == "skybridge_handback"
    error = refused(reader, payload(HANDBACK[1:]))
    assert "other v1: its first line does not fit; skybridge_handback v1: its first line does not fit" in error.found
    assert refused(reader, payload(b"")).code == Code.FILE_UNCLAIMED


def test_two_claims(make_reader: MakeReader, payload: Payload) -> None:
    reader = make_reader(
        {"skybridge/other/layout.yaml": {"feed": "other"}, "skybridge/skybridge_handback/layout.yaml": {}}
    )
    error = refused(reader, payload(HANDBACK))
    assert (error.code, error.found) == (
        Code.FILE_AMBIGUOUS,
        "a file that 2 layouts claim: other v1, skybridge_handback v1",
    )


@pytest.fixture
def two_versions(make_reader: MakeReader) -> LayoutReader:
    """A feed whose second version is in force from 20 November 2026."""
    folder = "skybridge/skybridge_handback"
    second = {"version": "2", "effective_from": "2026-11-20", "encoding": "latin-1"}
    return make_reader({f"{folder}/layout.yaml": {}, f"{folder}/layout-v2.yaml": second})


@pytest.mark.parametrize(("day", "version"), [("20200101", 1), ("20261119", 1), ("20261120", 2), ("20271231", 2)])
def test_the_business_date_picks_the_version(
    two_versions: LayoutReader, payload: Payload, day: str, version: int
) -> None:
    assert claim(two_versions, payload(HANDBACK), name=NAME.replace("20261120", day)).version == version
    assert [feed.version for feed in two_versions.feeds()] == [2]


def test_versions_when_no_date_can_be_told(two_versions: LayoutReader, payload: Payload) -> None:
    """A damaged file goes to the newest version: reading it says what is wrong. One before all versions has none."""
    assert claim(two_versions, payload(b"no header")).version == 2
    assert claim(two_versions, payload(b"")).version == 2
    error = refused(two_versions, payload(HANDBACK), name=NAME.replace("20261120", "20191231"))
    assert "no version was in force on its business date" in error.found


def test_layout_bytes_come_back_as_the_same_feed(two_versions: LayoutReader, payload: Payload) -> None:
    feed = claim(two_versions, payload(HANDBACK), name=NAME.replace("20261120", "20261101"))
    content = two_versions.layout_bytes(feed)
    assert two_versions.feed_from_bytes(content) == feed
    assert two_versions.read(two_versions.feed_from_bytes(content), name=NAME, payload=payload(HANDBACK)).records == 1
    with pytest.raises(PermanentError, match="NOTHING_FOUND"):
        two_versions.layout_bytes(feed.model_copy(update={"version": 9}))


def test_the_contract_alone_finds_its_layout(
    reader: LayoutReader, layouts: dict[str, Layout], payload: Payload
) -> None:
    """What the core keeps of a layout is enough to read by it."""
    contract = Feed.model_validate(layouts["skybridge_handback"].model_dump(include=set(Feed.model_fields)))
    assert reader.read(contract, name=NAME, payload=payload(HANDBACK)).accepted["ref"].to_list() == ["R-1"]


def test_inspect(reader: LayoutReader, layouts: dict[str, Layout], payload: Payload, sponsor_file: Any) -> None:
    path = payload(sponsor_file([{}], sequence=12).bytes())
    marks = reader.inspect(layouts["northstar_handback"], name="NSTR0012", payload=path)
    assert marks == Marks(business_date=date(2026, 11, 20), epoch="NSTR", sequence=12, empty=False)
    header_only = payload(HANDBACK.splitlines(keepends=True)[0])
    marks = reader.inspect(layouts["skybridge_handback"], name=NAME, payload=header_only)
    assert marks == Marks(business_date=date(2026, 11, 20), epoch="", sequence=None, empty=True)


@pytest.mark.parametrize(
    ("feed", "name", "day"),
    [
        ("skybridge_handback", NAME, date(2026, 11, 20)),
        ("skybridge_handback", NAME.replace("1120", "1399"), None),
        ("skybridge_handback", "other.txt", None),
        ("northstar_handback", "NSTR0011", None),
        ("rates", "rates.csv", None),
    ],
)
def test_named_day(reader: LayoutReader, layouts: dict[str, Layout], feed: str, name: str, day: date | None) -> None:
    assert reader.named_day(layouts[feed], name=name) == day


def test_own_files_need_no_date_in_their_name(reader: LayoutReader, payload: Payload) -> None:
    path = payload(b"basis,currency,minor,per_points,effective_from\n")
    for name, day in [("rates.csv", None), ("RATES_20260101.csv", date(2026, 1, 1))]:
        feed = reader.claim(connection="inbox", folder="rates", name=name, payload=path)
        assert feed.kind is FeedKind.RATES
        assert reader.inspect(feed, name=name, payload=path).business_date == day


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"skybridge/elsewhere/layout.yaml": {}}, "feed skybridge_handback of skybridge in the folder of elsewhere"),
        ({"other/skybridge_handback/layout.yaml": {}}, "in the folder of skybridge_handback of other"),
        (
            {"skybridge/skybridge_handback/layout.yaml": {}, "skybridge/skybridge_handback/layout-b.yaml": {}},
            "a feed's version is given twice",
        ),
        (
            {
                "skybridge/skybridge_handback/layout.yaml": {},
                "skybridge/skybridge_handback/layout-v2.yaml": {"version": "2"},
            },
            "a later version that is not effective later",
        ),
        ({"skybridge/skybridge_handback/layout.yaml": {"kind": "x"}}, "kind: Input should be"),
    ],
)
def test_data_folder_that_contradicts_itself(
    make_reader: MakeReader, files: dict[str, dict[str, Any]], complaint: str
) -> None:
    with pytest.raises(PermanentError) as failure:
        make_reader(files)
    assert failure.value.code == Code.LAYOUT_INVALID
    assert complaint in failure.value.found


def test_no_layouts_at_all(tmp_path: Path, payload: Payload) -> None:
    reader = LayoutReader(tmp_path)
    assert reader.feeds() == []
    assert refused(reader, payload(HANDBACK)).found.endswith("nearest: none")


def test_an_opening_is_read_by_the_version_whose_columns_it_has(reader: LayoutReader, payload: Payload) -> None:
    for header, version in ((b"", 1), (b",expires", 2)):
        path = payload(b"entry,account,owner,partner,ref,points,value_date" + header + b"\n")
        feed = reader.claim(connection="inbox", folder="opening", name="opening_20261116.csv", payload=path)
        assert (feed.feed, feed.version) == ("opening", version)
