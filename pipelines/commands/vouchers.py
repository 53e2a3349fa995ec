"""``counterfoil vouchers``: the catalogue, orders and where they stand, what nobody has got yet, and the keys of codes.

No code is ever shown here: a voucher's letter alone reveals it.
"""

from typing import Annotated

import polars as pl
import typer

from counterfoil.clock import local_date
from counterfoil.errors import Code, UsageError
from counterfoil.files import write_durably
from counterfoil.landing.mail_records import LetterState
from counterfoil.ledger import catalogue, voucher_dues, voucher_letters
from counterfoil.masking import masked_address
from counterfoil.money import decimal_texts
from counterfoil.steps.voucher_mail import recover as recover_all
from counterfoil.steps.voucher_mail import undelivered
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    emit_frame,
    emit_json,
    parse_day,
    require_known,
    stdout,
)
from pipelines.wiring import desk_at, existing

DateOption = Annotated[str | None, typer.Option("--date", help="What is in force on this date; today by default.")]

SHOWN_OF_PRODUCTS = (
    "product", "name", "supplier", "type", "supply", "currency", "denominations", "points_per_unit", "quantity_max",
    "in_stock",
)  # fmt: skip
SHOWN_OF_ORDERS = (
    "reference", "company", "product", "denomination", "currency", "quantity", "points", "status", "refund_due", "due",
)  # fmt: skip
"""Columns that people see; machines get all, and amounts in minor units."""


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(
        help="Vouchers: the catalogue, orders, undelivered ones, and the keys their codes are kept under."
    )
    group.command("list")(show_catalogue)
    group.command("orders")(show_orders)
    group.command("undelivered")(show_undelivered)
    group.command("recover")(recover)
    group.command("rotate")(rotate)
    app.add_typer(group, name="vouchers")


def show_catalogue(date: DateOption = None, home: HomeOption = None, output: FormatOption = Format.TABLE) -> None:
    """What can be ordered: products with their denominations, prices, limits and terms."""
    with desk_at(home) as desk, desk.book.reading() as book:
        day = parse_day("--date", date) or local_date(desk.now(), desk.settings.zone)
        frame = catalogue.products(book, day)
    if output is Format.JSON:
        rows = frame.with_columns(pl.col("denominations").str.split(" ").cast(pl.List(pl.Int64)))
        emit_json(rows.to_dicts())
        return
    emit_frame(_in_major(frame).select(SHOWN_OF_PRODUCTS), output, title=f"Vouchers on offer on {day}")


def show_orders(
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            help="Only these: pending, paid, issued, delivered, redeemed, expired, cancelled or refunded.",
        ),
    ] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Orders and where each stands; explain REFERENCE tells the whole story of one."""
    require_known("--status", [status], voucher_dues.STATUSES)
    with desk_at(home) as desk, desk.book.reading() as book:
        frame = voucher_dues.orders(book)
    if status is not None:
        frame = frame.filter(pl.col("status") == status)
    if output is Format.TABLE:
        codes = frame["currency"].unique()
        amount = decimal_texts(pl.col("denomination"), pl.col("currency"), codes).alias("denomination")
        frame = frame.with_columns(amount).select(SHOWN_OF_ORDERS)
    emit_frame(frame, output, title="Orders of vouchers")


def show_undelivered(home: HomeOption = None, output: FormatOption = Format.TABLE) -> None:
    """Orders whose vouchers are issued and did not leave, or came back, oldest first, addresses masked."""
    with desk_at(home) as desk:
        day = local_date(desk.now(), desk.settings.zone)
        frame = undelivered(desk, bounced=True).filter(pl.col("letter").ne_missing(LetterState.SENT.value))
    masked = pl.when(pl.col("recipient").is_not_null()).then(masked_address("recipient"))
    waited = (pl.lit(day) - pl.col("issued_on")).dt.total_days()
    shown = frame.with_columns(masked, days=waited).select(voucher_letters.UNDELIVERED)
    emit_frame(shown, output, title="Undelivered vouchers")


def recover(
    unsure: Annotated[
        bool, typer.Option("--unsure", help="Letters of which it is not known whether they have gone as well.")
    ] = False,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make codes that a crash kept from being made, and ask again for letters that were refused, not for ones that wait
    or came back."""
    with desk_at(home) as desk:
        refs, settled = recover_all(desk, local_date(desk.now(), desk.settings.zone), unsure=unsure)
    postings = [posted.n for posted in settled.postings]
    if output is Format.JSON:
        emit_json({"sent_again": refs, "postings": postings})
        return
    stdout.print(
        f"Asked for letters of {len(refs):,} orders again: they leave with the next run, or counterfoil mail send"
    )


def rotate(home: HomeOption = None) -> None:
    """Make a new key that codes are sealed under from now on; older ones still open what they sealed.

    The first time it also makes the key of the digests, which never changes.
    """
    # Imported here: no other verb needs cryptography.
    from counterfoil.vault import new_key, vault  # noqa: PLC0415

    settings = existing(home)
    keys, digest = (secret.get_secret_value() for secret in settings.voucher_secrets())
    if keys:
        vault(keys.split(), digest)  # what is there must be whole before anything is put before it
    if keys and not settings.voucher_keys_file.exists():
        raise UsageError(
            Code.SETTINGS_INVALID,
            "COUNTERFOIL_VOUCHERS_KEYS",
            found="keys that the environment gives",
            expected="keys in a file, which can be written",
            remedy="Put a new key of 128 hexadecimal digits before the others where the environment comes from",
        )
    if not digest:
        write_durably(settings.voucher_digest_file, f"{new_key()}\n".encode(), private=True)
    kept = "".join(f"{key}\n" for key in (new_key(), *keys.split()))
    write_durably(settings.voucher_keys_file, kept.encode(), private=True)
    stdout.print(
        f"{len(keys.split()) + 1} keys in {settings.voucher_keys_file}; keep a copy where the backups are not",
        soft_wrap=True,
    )


def _in_major(products: pl.DataFrame) -> pl.DataFrame:
    """Denominations as people write them."""
    faces = products.select("product", "currency", minor=pl.col("denominations").str.split(" ")).explode("minor")
    amount = decimal_texts(pl.col("minor").cast(pl.Int64), pl.col("currency"), faces["currency"].unique())
    told = faces.with_columns(amount.alias("face")).group_by("product").agg(pl.col("face").str.join(", "))
    return products.join(told, on="product", maintain_order="left").with_columns(denominations="face")
