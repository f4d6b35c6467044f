"""Template variables in commands: in a real shell the value arrives as it is, whatever it holds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sdqctl.errors import StepError
from sdqctl.model.workflow import RunStep, Span
from sdqctl.workflow.expansion import expand, unquotable
from tests.bench import Bench
from tests.command import sdqctl

VALUES = [
    "plain",
    "two words",
    "",
    "-rf",
    "it's",
    'say "x"',
    "$(touch owned)",
    "`touch owned`",
    "; touch owned",
    "a\nb; touch owned",
    "\\",
    "a\\'b\\\"c",
    "*",
    "~",
    "$HOME",
    "#no",
    "x) touch owned (",
    "{{COMPONENT_PATH}}",
    "é \u2028 ",
    "!!",
]
TEMPLATES = [
    "{{V}}",
    '"{{V}}"',
    "'{{V}}'",
    'pre"{{V}}"post',
    'a"b c"{{V}}',
    '"$(printf %s {{V}})"',
    '"$(printf %s "{{V}}")"',
    "\"$(printf %s '{{V}}')\"",
    '"a\\"b{{V}}"',
    "a\\'{{V}}",
    '$(true)"{{V}}" # it\'s a remark',
]
AROUND = {
    'pre"{{V}}"post': ("pre", "post"),
    'a"b c"{{V}}': ("ab c", ""),
    '"a\\"b{{V}}"': ('a"b', ""),
    "a\\'{{V}}": ("a'", ""),
}
PRINT = "\nprintf '%s\\0' $# \"$@\""
"""On a line of its own: how many words the one before was, and each of them."""


def run_step(command: str, *, argv: tuple[str, ...] | None = None) -> RunStep:
    return RunStep(span=Span("w.conv", 1), command=command, argv=argv)


@pytest.mark.each(2)
@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_shell_takes_every_value_as_it_is(template: str, shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    assert program is not None
    template = template.replace("{{V}}", "{{COMPONENT_NAME}}")
    before, after = AROUND.get(template.replace("{{COMPONENT_NAME}}", "{{V}}"), ("", ""))
    for value in VALUES:
        expanded, unknown = expand(run_step(f"set -- {template}{PRINT}"), {"COMPONENT_NAME": value})
        assert unknown == []
        done = subprocess.run(
            [program, "-c", expanded.command], capture_output=True, text=True, cwd=tmp_path
        )
        number, *found = done.stdout.split("\0")[:-1]
        if "$(printf" in template:
            value = value.rstrip("\n")
        assert (number, found) == ("1", [before + value + after]), (
            value,
            expanded.command,
            done.stderr,
        )
        assert list(tmp_path.iterdir()) == [], (value, expanded.command)


@pytest.mark.parametrize(
    "command",
    [
        "echo `echo {{DATE}}`",
        "echo $'{{DATE}}'",
        "echo ${X:-{{DATE}}}",
        "echo $(( {{CYCLE_NUMBER}} + 1 ))",
        "echo x # {{DATE}}",
        "cat <<END\n{{DATE}}\nEND",
        'echo "`echo {{DATE}}`"',
        'echo "${X:-{{DATE}}}"',
    ],
)
def test_a_place_that_cannot_be_quoted_is_refused(command: str, bench: Bench) -> None:
    assert unquotable(command) is not None
    with pytest.raises(StepError, match="SDQCTL_"):
        expand(run_step(command), {"DATE": "x"})
    if "\n" not in command:
        path = bench.write("w.conv", f"ALLOW-SHELL true\nRUN {command}\nPROMPT x\n")
        done = sdqctl("validate", path)
        assert done.code == 3
        assert "template variable" in done.out + done.err


def test_without_a_shell_a_value_is_within_one_argument() -> None:
    argv = ("grep", "-e", "{{COMPONENT_NAME}}:{{COMPONENT_TYPE}}", "{{NOPE}}")
    step = run_step(" ".join(argv), argv=argv)
    expanded, warnings = expand(step, {"COMPONENT_NAME": "a b; c", "COMPONENT_TYPE": "$(d)"})
    assert expanded.argv == ("grep", "-e", "a b; c:$(d)", "{{NOPE}}")
    assert warnings == ["the variable {{NOPE}} is not known here; it stays as it is"]


def test_commands_of_components_have_their_variables_and_environment(bench: Bench) -> None:
    for name in ("a b.py", "it's.py"):
        bench.write(f"src/{name}", f"content of {name}\n")
    bench.write(
        "each.conv",
        "SESSION-NAME {{ITERATION_INDEX}}\n"
        "RUN-ENV NAME=<{{COMPONENT_NAME}}>\nRUN-CWD {{COMPONENT_DIR}}\n"
        "RUN cat {{ COMPONENT_NAME }}.{{COMPONENT_TYPE}}\n"
        "RUN env\nALLOW-SHELL true\n"
        'RUN cat {{COMPONENT_NAME}}.py | tr a-z A-Z; echo "$NAME of $SDQCTL_COMPONENT_PATH"\n'
        "PROMPT x [[reply: A]]\n",
    )
    done = sdqctl("apply", "each.conv", "--components", "src/*.py")
    assert done.code == 0, done.err
    for index, name in (("1", "a b"), ("2", "it's")):
        shown = sdqctl("sessions", "show", index, "--format", "json").json
        prompt = shown["turns"][0]["prompt"]
        assert f"content of {name}.py\n" in prompt
        assert f"CONTENT OF {name.upper()}.PY\n<{name}> of src/{name}.py\n" in prompt
        for line in (
            f"SDQCTL_COMPONENT_NAME={name}",
            "SDQCTL_COMPONENT_DIR=src",
            "SDQCTL_COMPONENT_TYPE=py",
            f"SDQCTL_SESSION_NAME={index}",
            "SDQCTL_CYCLE_NUMBER=1",
        ):
            assert f"\n{line}\n" in prompt


def test_cycles_are_told_and_the_step_stays_the_same_step(bench: Bench) -> None:
    path = bench.write(
        "w.conv",
        "SESSION-NAME s\nMAX-CYCLES 2\nRUN echo cycle {{CYCLE_NUMBER}} {{DATETIME}}\n"
        "PROMPT x [[reply: A]]\nPAUSE\n",
    )
    first = bench.run(path.read_text())
    assert first.done.code == 8
    assert "\ncycle 1 2" in first.prompts[0]
    second = bench.resume("--continue")
    assert second.done.code == 8
    assert len(second.prompts) == 1
    assert "\ncycle 2 2" in second.prompts[0]


def test_an_unknown_variable_stays_with_a_warning(bench: Bench) -> None:
    path = bench.write("w.conv", "RUN echo {{NO_SUCH}} {{COMPONENT_NAME}}\nPROMPT x [[reply: A]]\n")
    checked = sdqctl("validate", path)
    assert checked.code == 0
    assert "{{NO_SUCH}}" in checked.out + checked.err
    told = bench.run(path.read_text())
    assert told.done.code == 0, told.done.err
    assert "\n{{NO_SUCH}} {{COMPONENT_NAME}}\n" in told.prompts[0]
    warned = "\n".join(event["message"] for event in told.of("warning"))
    assert "{{NO_SUCH}}" in warned
    assert "{{COMPONENT_NAME}}" in warned


@pytest.mark.parametrize(
    "text", ["SYSTEM For {{COMPONENT_NAME}}\n", "CALL in.conv WITH who={{COMPONENT_NAME}}\n"]
)
def test_it_stays_with_a_warning_wherever_an_agent_is_told_it(text: str, bench: Bench) -> None:
    bench.write("in.conv", "INPUT who\nPROMPT for {{who}} [[reply: B]]\n")
    told = bench.run(f"{text}PROMPT x [[reply: A]]\n")
    assert told.done.code == 0, told.done.err
    assert "{{COMPONENT_NAME}}" in "\n".join(event["message"] for event in told.of("warning"))
