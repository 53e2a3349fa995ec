"""Run-time proofs that stay on in production, unlike ``assert``. Only for what our own code guarantees."""

from counterfoil.errors import Code, PermanentError


def require(holds: bool, what: str, *, code: Code = Code.POSTING_UNPROVED) -> None:
    """Raise a permanent error that names the broken invariant unless it holds."""
    if not holds:
        raise PermanentError(
            code,
            "invariant",
            found=f"this does not hold: {what}",
            expected="it to hold always",
            remedy="Nothing was changed; report this with the run's log",
        )
