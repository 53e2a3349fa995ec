"""What mail servers report: one letter, several recipients, a delay, and what is no report at all."""

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.bounces import Report, read_report
from tests.plugins.mail import bounce

ID = "0123456789abcdef0123456789abcdef"


def test_a_report_names_the_letter_and_why_it_failed() -> None:
    assert read_report(bounce(f"<{ID}@programme.example>", "gone@acme.example")) == [
        Report(ID, "gone@acme.example", "failed", "5.1.1")
    ]


def test_a_report_may_return_headers_alone_or_nothing() -> None:
    headers = bounce(f"<{ID}@programme.example>", "gone@acme.example", returned="text/rfc822-headers")
    assert read_report(headers)[0].message == ID
    assert read_report(bounce("", "gone@acme.example", returned="")) == [
        Report(None, "gone@acme.example", "failed", "5.1.1")
    ]


def test_the_address_that_was_written_to_counts() -> None:
    fields = "Original-Recipient: rfc822; Gone@acme.example\r\n"
    (report,) = read_report(bounce("", "elsewhere@other.example", more=fields))
    assert report.recipient == "gone@acme.example"


def test_a_delay_is_no_failure_and_an_unknown_action_is() -> None:
    delayed = read_report(bounce("", "slow@acme.example", action="Delayed", status="4.4.7 (time-out)"))
    assert delayed == [Report(None, "slow@acme.example", "delayed", "4.4.7")]
    (strange,) = read_report(bounce("", "slow@acme.example", action="vanished", status="?"))
    assert (strange.action, strange.status) == ("failed", "")


def test_each_recipient_is_a_report_of_its_own() -> None:
    more = "\r\nFinal-Recipient: rfc822;two@acme.example\r\nAction: failed\r\nStatus: 5.2.2\r\n"
    assert [(one.recipient, one.status) for one in read_report(bounce("", "one@acme.example", after=more))] == [
        ("one@acme.example", "5.1.1"),
        ("two@acme.example", "5.2.2"),
    ]


def test_what_is_no_report_says_nothing() -> None:
    for data in (b"", b"Subject: out of office\r\n\r\nUndeliverable: Action: failed", b"\x00\xff" * 50):
        assert read_report(data) == []


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(noise: bytes) -> None:
    whole = bounce(f"<{ID}@programme.example>", "gone@acme.example")
    read_report(noise)
    for at in (0, len(whole) // 3, len(whole) // 2, len(whole)):
        for report in read_report(whole[:at] + noise + whole[at:]):
            assert report.action in {"failed", "delayed", "delivered", "relayed", "expanded"}
