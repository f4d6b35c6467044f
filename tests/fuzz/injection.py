"""Made values as inputs, items and answers of a workflow: none becomes more than a value.

Each batch is one run on the mock, whose commands are a fake program that notes its arguments, with
and without a shell. The oracle are the values: what the program was called with, and what the
prompts say, must be they, to the last character.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from tests.command import sdqctl

_PIECES = (
    *("{{ DATE }}", "{{x}}", "{{ xs }}", "{{ answer | raw }}", "{% raw %}", "{#", "{{", "}}"),
    *(
        "\nPROMPT evil",
        "\nRUN ./fake evil",
        "\nEND\n",
        '\nSTOP "x"',
        "\nALLOW-SHELL",
        "\nCALL x.conv",
    ),
    *(
        "$(./fake evil)",
        "`./fake evil`",
        "; ./fake evil",
        "&& ./fake evil",
        "| ./fake evil",
        "> evil",
    ),
    *(
        "'",
        '"',
        "\\",
        "$x",
        "${x}",
        "$((1))",
        "$'\\n'",
        "!x",
        "*",
        "?",
        "~",
        "#",
        "&",
        "(",
        ")",
        "<<E",
    ),
    *(
        "\n",
        "\r\n",
        "\t",
        " ",
        "  ",
        "-rf",
        "--",
        "=",
        "a",
        "b",
        "é",
        "\u2028",
        "\x1b[31m",
        "@file",
    ),
)
_NO_NAMES = ("[[", "]]")
"""What the mock would read as an order."""
WORK = """\
MODE implement
INPUT xs json
INPUT one text
PROMPT ask
CAPTURE answers AS json
FOR x IN xs
  RUN ./fake {{x}} "a {{x}}" 'b {{x}}' c{{x}}d {{one}}
END
FOR answer IN answers
  PROMPT <<E
<{{answer}}>
E
  RUN ./fake {{answer}}
END
CALL part.conv WITH ys={{xs}} one={{one}}
"""
PART = """\
INPUT ys json
INPUT one text
ALLOW-SHELL
FOR y IN ys
  RUN ./fake {{y}} "a {{y}}" 'b {{y}}' c{{y}}d $(./fake "{{one}}") | cat
END
"""
_FAKE = '#!/bin/sh\nprintf \'%s\\0\' "$#" "$@" >> noted\n'


def values(seed: int, number: int) -> list[str]:
    """Made values of a seed."""
    chance = random.Random(seed)
    found = ("".join(chance.choices(_PIECES, k=chance.randint(1, 6))) for _ in range(number * 2))
    kept = [one for one in found if not any(order in one for order in _NO_NAMES)]
    return kept[:number]


def play(folder: Path, made: list[str]) -> list[str]:
    """Run the workflow over values in an empty folder; what was found to be wrong."""
    (folder / "work.conv").write_text(WORK)
    (folder / "part.conv").write_text(PART)
    (folder / "fake").write_text(_FAKE)
    (folder / "fake").chmod(0o755)
    (folder / "in.json").write_text(json.dumps({"xs": made, "one": made[0]}))
    orders = json.dumps([{"match": "ask", "orders": f"[[json: {json.dumps(made)}]]"}])
    (folder / "script.json").write_text(orders)
    before = {*folder.iterdir()}
    arguments = ("work.conv", "-a", "mock", "--session-name", f"fuzz-{folder.name}")
    done = sdqctl(
        *("run", *arguments, "--inputs", "in.json", "--format", "jsonl"),
        cwd=folder,
        SDQCTL_MOCK_SCRIPT=str(folder / "script.json"),
    )
    if done.code:
        return [f"exit {done.code}: {done.err}"]
    events = [json.loads(line) for line in done.out.split("\n") if line]
    prompts = [event["prompt"] for event in events if event["type"] == "prompt.begun"]
    problems = []
    if len(prompts) != len(made) + 1:
        problems.append(f"{len(prompts)} prompts of {len(made) + 1}")
    for value, prompt in zip(made, prompts[1:], strict=False):
        if not prompt.endswith(f"<{value}>"):
            problems.append(f"{value!r} came into a prompt as {prompt!r}")
    noted = (folder / "noted").read_bytes().decode().split("\0")[:-1]
    if noted != [word for call in _calls(made) for word in (str(len(call)), *call)]:
        problems.append(f"the commands had other arguments than {made!r}: {noted!r}")
    if others := {*folder.iterdir()} - before - {folder / "noted"}:
        problems.append(f"files were made: {sorted(map(str, others))}")
    return problems


def _calls(made: list[str]) -> Iterator[tuple[str, ...]]:
    """What the program must be called with. What it writes itself is nothing."""
    for value in made:
        yield (value, f"a {value}", f"b {value}", f"c{value}d", made[0])
    for value in made:
        yield (value,)
    for value in made:
        yield (made[0],)
        yield (value, f"a {value}", f"b {value}", f"c{value}d")
