"""`sdqctl init`: a workflow to start from, out of the examples that come with the program."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from sdqctl.cli.options import examples
from sdqctl.cli.output import note, write, write_line
from sdqctl.errors import UsageError
from sdqctl.text.suggest import meant

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
"""Where the templates lie; the wheel carries them."""


def templates() -> dict[str, str]:
    """The names of the templates, with what each is for: the first line of its file."""
    found = {}
    for path in sorted(EXAMPLES.glob("*.conv"), key=lambda path: path.stem):
        with path.open(encoding="utf-8") as file:
            found[path.stem] = file.readline().removeprefix("# ").strip()
    return found


def _complete_template(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    return [
        CompletionItem(name, help=purpose)
        for name, purpose in templates().items()
        if name.startswith(incomplete)
    ]


@click.command(epilog=examples("sdqctl init", "sdqctl init security-audit -o audit.conv"))
@click.argument("template", required=False, shell_complete=_complete_template)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file to write; - for stdout. Default: TEMPLATE.conv here.",
)
@click.option("--force", is_flag=True, help="Write over a file that exists.")
def init(template: str | None, output: Path | None, force: bool) -> None:
    """Write a workflow file from TEMPLATE, and those that it calls; without one, list them."""
    if template is None:
        if output is not None:
            raise UsageError("-o needs a TEMPLATE", hint="`sdqctl init` lists them")
        for name, purpose in templates().items():
            write_line(f"{name:<20}{purpose}")
        note("`sdqctl init TEMPLATE` writes TEMPLATE.conv into this folder")
        return
    text = _text_of(template)
    path = output or Path(f"{template.removesuffix('.conv')}.conv")
    if str(path) == "-":
        write(text)
        return
    beside = {path.with_name(name): _text_of(name) for name in _called_by(text)}
    _refuse_others({path: text, **beside}, force=force)
    for file, content in {**beside, path: text}.items():
        _write(file, content, force=force or file != path)
        if file != path:
            note(f"wrote {file}, which it calls")
    note(f"wrote {path}")
    for needed in re.findall(r"^# Needs (.*)\.$", text, re.MULTILINE):
        note(f"it needs {needed}")
    from sdqctl.engine.inputs import flags_wanted  # a list does without

    command = f"sdqctl run {_word(path)} -a mock{flags_wanted(path)}"
    note(f"try it without an account: `{command}`")


def _text_of(template: str) -> str:
    name, known = template.removesuffix(".conv"), templates()
    if name not in known:
        raise UsageError(f"there is no template {template!r}", hint=meant(name, known, "templates"))
    return (EXAMPLES / f"{name}.conv").read_text("utf-8")


def _called_by(text: str) -> list[str]:
    """The templates that one calls; none of them calls another one."""
    return re.findall(r"^\s*CALL (\S+\.conv)", text, re.MULTILINE)


def _refuse_others(files: Mapping[Path, str], *, force: bool) -> None:
    """Raise UsageError for a called file that is there and is another one."""
    for path, text in list(files.items())[1:]:
        if not force and os.path.lexists(path) and (path.is_symlink() or _read(path) != text):
            hint = "write the template elsewhere with -o, or --force writes over it"
            raise UsageError(f"{path}, which it calls, exists already", hint=hint)


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _write(path: Path, text: str, *, force: bool) -> None:
    flags = os.O_TRUNC if force else os.O_EXCL
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o666)
    except FileExistsError as error:
        raise UsageError(
            f"{path} exists already", hint="-o names another file, --force writes over it"
        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _word(path: Path) -> str:
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
