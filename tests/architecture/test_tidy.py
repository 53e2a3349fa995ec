"""Style as a unit test: what a reader of this code may rely on, checked on every file."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

# Put together from parts, so that this file is not its own first finding.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
INDEX_HOSTS = re.compile(
    "|".join(["py" + r"pi\.org", "python" + r"hosted\.org", "--" + "index-url", "--find" + "-links"])
)
MACHINE_PATHS = re.compile(
    r"(?<![\w.$}/-])/(" + "|".join(["ro" + "ot", "wo" + "rk", "op" + "t", "Us" + "ers"]) + r")/\w"
)
ERRORS = {"PermanentError", "UsageError", "TransientError"}
PRIVATE = {"member", "passphrase", "password", "raw", "row", "secret"}
TIME_OF_DAY = {
    "datetime.now", "datetime.today", "datetime.utcnow", "date.today", "time.time", "time.time_ns", "time.localtime",
    "time.gmtime", "dt.datetime.now", "datetime.datetime.now", "datetime.date.today",
}  # fmt: skip
ENVIRONMENT = {"os.environ", "os.getenv", "os.environb", "os.putenv"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def nodes(paths: list[Path], *kinds: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Every node of a kind with ``folder/module.py:line``."""
    for path in paths:
        for node in ast.walk(tree(path)):
            if isinstance(node, kinds):
                yield f"{path.parent.name}/{path.name}:{getattr(node, 'lineno', 0)}", node


def matches(paths: list[Path], pattern: re.Pattern[str]) -> list[str]:
    """``file:line`` of every match in files that are text."""
    found = []
    for path in paths:
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        lines = enumerate(text.splitlines(), 1)
        found += [f"{path.parent.name}/{path.name}:{number}" for number, line in lines if pattern.search(line)]
    return found


def dotted(paths: list[Path], names: set[str]) -> list[str]:
    """Where one of the dotted names is used, or its last part imported from its module."""
    uses = [where for where, node in nodes(paths, ast.Attribute) if ast.unparse(node) in names]
    imports = [
        where
        for where, node in nodes(paths, ast.ImportFrom)
        if isinstance(node, ast.ImportFrom) and any(f"{node.module}.{alias.name}" in names for alias in node.names)
    ]
    return uses + imports


def test_there_is_something_to_check(product_modules: list[Path], own_files: list[Path]) -> None:
    assert len(product_modules) > 5
    assert len(own_files) > len(product_modules)


def test_every_module_opens_by_saying_what_belongs_here(modules: list[Path]) -> None:
    assert [str(path) for path in modules if not ast.get_docstring(tree(path))] == []


def test_package_files_are_empty(own_files: list[Path]) -> None:
    assert [str(path) for path in own_files if path.name == "__init__.py" and path.stat().st_size] == []


def test_modules_stay_short(product_modules: list[Path]) -> None:
    lengths = {str(path): len(path.read_text("utf-8").splitlines()) for path in product_modules}
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES_MAX} == {}


def test_functions_stay_short(modules: list[Path]) -> None:
    long = [
        f"{where} {node.name}"
        for where, node in nodes(modules, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == []


def test_product_code_proves_with_require(product_modules: list[Path]) -> None:
    """``assert`` is gone under ``python -O``."""
    assert [where for where, _ in nodes(product_modules, ast.Assert)] == []


def test_no_error_is_caught_unseen(product_modules: list[Path]) -> None:
    """A bug must not look like bad data. ``except BaseException`` may clean up if it raises again at its end."""
    found = []
    for where, node in nodes(product_modules, ast.ExceptHandler):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = set() if node.type is None else {ast.unparse(part) for part in ast.walk(node.type)}
        last = node.body[-1]
        raises_again = isinstance(last, ast.Raise) and last.exc is None
        if node.type is None or "Exception" in caught or ("BaseException" in caught and not raises_again):
            found.append(where)
    assert found == []


def test_only_the_clock_knows_the_time(product_modules: list[Path]) -> None:
    assert dotted([path for path in product_modules if path.name != "clock.py"], TIME_OF_DAY) == []


def test_only_the_settings_read_the_environment(product_modules: list[Path]) -> None:
    assert dotted([path for path in product_modules if path.name != "settings.py"], ENVIRONMENT) == []


def test_data_is_not_a_package(modules: list[Path]) -> None:
    """An editable install would make ``import data`` work here and nowhere else."""
    imports = [
        where
        for where, node in nodes(modules, ast.Import, ast.ImportFrom)
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "data" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "data")
    ]
    assert imports == []


def test_nothing_is_left_for_later(own_files: list[Path]) -> None:
    assert matches([path for path in own_files if path.name not in {"LICENSE", "pyproject.toml"}], UNFINISHED) == []


def test_nothing_points_at_an_index_or_a_machine(own_files: list[Path]) -> None:
    """``make lock`` names the option that keeps indexes out; nothing else needs one."""
    assert matches([path for path in own_files if path.name != "Makefile"], INDEX_HOSTS) == []
    assert matches(own_files, MACHINE_PATHS) == []


def test_messages_read_as_sentences(product_modules: list[Path]) -> None:
    """``CODE where: found. Expected …. What to do.`` The form adds the stops, so the parts have none."""
    found = []
    for where, node in nodes(product_modules, ast.Call):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func).rsplit(".", 1)[-1] in ERRORS):
            continue
        parts = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if not any(keyword.arg is None for keyword in node.keywords) and not {"found", "expected", "remedy"} <= set(
            parts
        ):
            found.append(f"{where} lacks found, expected or remedy")
        found += [f"{where} {name} ends in a stop" for name, value in parts.items() if last_letter(value) == "."]
        found += [f"{where} shows {name}" for value in parts.values() for name in PRIVATE & shown(value)]
        if first_letter(parts.get("remedy")).islower():
            found.append(f"{where} remedy does not begin a sentence")
    assert found == []


def test_every_code_can_be_met(root: Path, product_modules: list[Path]) -> None:
    """The runbook explains each code; one that nothing raises would be a promise about nothing."""
    used = {node.attr for _, node in nodes(product_modules, ast.Attribute) if isinstance(node, ast.Attribute)}
    codes = [
        target.id
        for statement in ast.walk(tree(root / "counterfoil" / "errors.py"))
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    ]
    assert codes
    assert [code for code in codes if code not in used] == []


def shown(value: ast.expr) -> set[str]:
    """Last names of what an f-string puts into its text."""
    values = [node.value for node in ast.walk(value) if isinstance(node, ast.FormattedValue)]
    return {ast.unparse(part).rsplit(".", 1)[-1] for part in values}


def literal_ends(value: ast.expr | None) -> tuple[str, str]:
    """First and last text of a string or f-string; empty where an expression stands there."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value, value.value
    if isinstance(value, ast.JoinedStr) and value.values:
        return literal_ends(value.values[0])[0], literal_ends(value.values[-1])[1]
    return "", ""


def first_letter(value: ast.expr | None) -> str:
    return literal_ends(value)[0][:1]


def last_letter(value: ast.expr | None) -> str:
    return literal_ends(value)[1][-1:]
