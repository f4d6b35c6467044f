"""A table of secrets, each in the text that gives it away, and the same for what is none.

Secrets are put together from pieces, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import base64
import re
import subprocess
import urllib.parse

import pytest

from sdqctl.store.redact import Redactor
from sdqctl.store.secret_shapes import SHAPES, Shape
from tests.conftest import ROOT
from tests.store.regex_steps import steps

HEX = "3f9a0c7be1d24856"
MIX = "aZ3kP9qLw7RtY2"
B64 = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzEXAMPL"
KEY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"


def block(kind: str, body: str = f"\n{KEY}\n{KEY}\n") -> str:
    return f"-----BEGIN {kind}-----{body}-----END {kind}-----"


SECRETS = {
    "github classic": ("{}", "gh" + "p_" + "a1B2" * 9),
    "github oauth": ("{}", "gh" + "o_" + "a1B2" * 9),
    "github app": ("{}", "gh" + "s_" + "a1B2" * 9),
    "github refresh": ("{}", "gh" + "r_" + "a1B2" * 9),
    "github fine-grained": ("{}", "github" + "_pat_" + "a1B2" * 9),
    "gitlab": ("{}", "gl" + "pat-" + MIX + "abcdef"),
    "gitlab routable": ("{}", "gl" + "pat-" + MIX * 2 + "." + "01" + "a1b2c3d"),
    "gitlab deploy": ("{}", "gl" + "dt-" + MIX + "abcdef"),
    "gitlab runner": ("{}", "gl" + "rt-" + MIX + "abcdef"),
    "gitlab trigger": ("{}", "gl" + "ptt-" + HEX * 2 + HEX[:8]),
    "gitlab registration": ("{}", "GR1348" + "941" + MIX + "abcdef"),
    "bitbucket": ("{}", "AT" + "BB" + "a1B2" * 8),
    "atlassian": ("{}", "ATAT" + "T3" + "xFfGF0" * 31),
    "aws key id": ("{}", "AK" + "IA" + "A1B2" * 4),
    "aws temporary key id": ("{}", "AS" + "IA" + "A1B2" * 4),
    "aws id and secret": ("{}", "AK" + "IA" + "A1B2" * 4 + ", " + B64),
    "aws secret in a file": ("aws_secret_access_key = {}\n", B64),
    "aws secret in a shell": ("export AWS_SECRET_ACCESS_KEY={}\n", B64),
    "aws secret in json": ('"SecretAccessKey": "{}",', B64),
    "aws session token": ("aws_session_token={}", "FwoGZXIvYXdzE" + B64 * 4),
    "bedrock": ("{}", "AB" + "SK" + "QmVkcm9jaw1" * 11),
    "google api": ("{}", "AI" + "za" + "Sy" + "a1B2-" * 6 + "abc"),
    "google oauth": ("{}", "ya" + "29." + "a0AfH6" * 6),
    "google client": ("{}", "GOC" + "SPX-" + MIX * 2),
    "google refresh": ("{}", "1/" + "/0" + "eXamPle-" * 6),
    "azure storage": ("AccountName=x;AccountKey={};Endpoint=y", B64 * 2 + "abcd1w=="),
    "azure application": ("{}", "abc8" + "Q~" + MIX * 2 + "abcdef"),
    "azure signature": ("?sv=2024&sig={}&se=1", "a1B2%2F" * 8 + "%3D"),
    "npm": ("{}", "np" + "m_" + "a1B2" * 9),
    "npmrc": ("//host/:_authToken={}", f"{HEX[:8]}-{HEX[:4]}-{HEX[:4]}-{HEX[:12]}"),
    "pypi": ("{}", "py" + "pi-AgEIcHlwaS5vcmc" + "a1B2" * 12),
    "rubygems": ("{}", "ruby" + "gems_" + HEX * 3),
    "crates": ("{}", "ci" + "o" + "a1B2" * 8),
    "docker": ("{}", "dckr" + "_pat_" + "a1B2-" * 5),
    "docker config": ('{{"auths": {{"h": {{"auth": "{}"}}}}}}', "dXNlcjpwYXNzd29yZA=="),
    "stripe": ("{}", "sk" + "_live_" + "a1B2" * 6),
    "stripe restricted": ("{}", "rk" + "_test_" + "a1B2" * 6),
    "stripe webhook": ("{}", "wh" + "sec_" + "a1B2" * 8),
    "square": ("{}", "sq" + "0atp-" + MIX + "abcdefgh"),
    "shopify": ("{}", "sh" + "pat_" + HEX * 2),
    "paypal braintree": ("{}", "access_token" + "$production$" + HEX + "$" + HEX * 2),
    "hugging face": ("{}", "h" + "f_" + "aBcD" * 8 + "ab"),
    "openai": ("{}", "s" + "k-" + "a1B2" * 12),
    "openai project": ("{}", "s" + "k-proj-" + "a1B2_-" * 12),
    "anthropic": ("{}", "s" + "k-ant-api03-" + "a1B2-" * 18 + "AA"),
    "groq": ("{}", "gs" + "k_" + "a1B2" * 13),
    "perplexity": ("{}", "ppl" + "x-" + "a1B2" * 12),
    "replicate": ("{}", "r" + "8_" + "a1B2" * 9 + "a"),
    "langsmith": ("{}", "ls" + "v2_pt_" + HEX * 2 + "_" + HEX[:10]),
    "slack bot": ("{}", "xo" + "xb-123456789012-123456789012-" + MIX),
    "slack app": ("{}", "xa" + "pp-1-A0123456789-1234567890123-" + HEX),
    "slack hook": ("https://hooks.slack.com/services/{}", "T0123ABCD/B0123ABCD/" + MIX * 2),
    "discord hook": ("https://discord.com/api/webhooks/{}", "1" * 18 + "/" + MIX * 5),
    "discord bot": ("{}", "M" + "TA4NTUxMjM0NTY3ODkwMTIz" + ".GabcdE." + MIX * 2),
    "telegram": ("{}", "12345678" + ":" + "AA" + "Hd3fK9qLw7RtY2" + MIX + "abcde"),
    "sendgrid": ("{}", "S" + "G." + MIX + "abcdefgh." + MIX * 3),
    "twilio": ("{}", "S" + "K" + HEX * 2),
    "mailgun": ("{}", "ke" + "y-" + HEX * 2),
    "mailchimp": ("{}", HEX * 2 + "-u" + "s12"),
    "sendinblue": ("{}", "xkey" + "sib-" + HEX * 4 + "-" + MIX + "ab"),
    "digitalocean": ("{}", "do" + "p_v1_" + HEX * 4),
    "heroku": ("{}", "HRKU" + "-AA" + "a1B2" * 14 + "ab"),
    "fly": ("{}", "fo" + "1_" + MIX * 3 + "a"),
    "netlify": ("{}", "nf" + "p_" + "a1B2" * 9),
    "supabase": ("{}", "sb" + "p_" + HEX * 2 + HEX[:8]),
    "planetscale": ("{}", "pscale" + "_tkn_" + MIX * 3),
    "databricks": ("{}", "da" + "pi" + HEX * 2),
    "doppler": ("{}", "d" + "p.pt." + MIX * 3 + "a"),
    "dynatrace": ("{}", "dt0" + "c01." + "A1B2" * 6 + "." + "A1B2" * 16),
    "vault": ("{}", "hv" + "s." + "a1B2" * 23),
    "terraform": ("{}", MIX + ".atlas" + "v1." + "a1B2" * 16),
    "pulumi": ("{}", "pu" + "l-" + HEX * 2 + HEX[:8]),
    "grafana": ("{}", "gl" + "sa_" + "a1B2" * 8 + "_" + HEX[:8]),
    "grafana cloud": ("{}", "gl" + "c_" + "a1B2" * 12),
    "sentry": ("{}", "sntr" + "yu_" + HEX * 4),
    "new relic": ("{}", "NR" + "AK-" + "A1B" * 9),
    "linear": ("{}", "lin" + "_api_" + "a1B2" * 10),
    "notion": ("{}", "nt" + "n_" + "12345678901" + "a1B2" * 9),
    "figma": ("{}", "fi" + "gd_" + MIX * 3),
    "airtable": ("{}", "pa" + "t" + MIX + "." + HEX * 4),
    "postman": ("{}", "PM" + "AK-" + HEX + HEX[:8] + "-" + HEX * 2 + "ab"),
    "tailscale": ("{}", "ts" + "key-auth-" + MIX * 2),
    "sonar": ("{}", "sq" + "u_" + HEX * 2 + HEX[:8]),
    "artifactory": ("{}", "AK" + "Cp" + "a1B2c" * 13 + "a1B2"),
    "age": ("{}", "AGE-SECRET" + "-KEY-1" + "QPZR" * 14 + "QP"),
    "1password": ("{}", "op" + "s_eyJ" + "a1B2" * 30),
    "json web token": ("{}", "ey" + "JhbGciOiJIUzI1." + "eyJzdWIiOiIxMjM0." + "c2lnbmF0dXJl"),
    "bearer": ("Authorization: Bearer {}", MIX + "ab"),
    "basic": ("Authorization: Basic {}", "dXNlcjpwYXNzd29yZA=="),
    "token header": ("authorization: token {}", HEX),
    "key header": ("X-Api-Key: {}", HEX),
    "private-token header": ("PRIVATE-TOKEN: {}", MIX),
    "cookie": ("Cookie: {}", "session=" + HEX),
    "private key": ("{}", block("PRIVATE KEY")),
    "rsa key": ("{}", block("RSA PRIVATE KEY")),
    "encrypted key": ("{}", block("RSA PRIVATE KEY", f"\nProc-Type: 4,ENCRYPTED\n\n{KEY}\n")),
    "ssh key": ("{}", block("OPENSSH PRIVATE KEY")),
    "pgp key": ("{}", block("PGP PRIVATE KEY BLOCK", f"\nVersion: GnuPG v2\n\n{KEY}\n=a1B2\n")),
    "key in json": ('{{"private_key": "{}"}}', block("PRIVATE KEY", f"\\n{KEY}\\n")),
    "key in code": ("{}", block("PRIVATE KEY", f'\\n" +\n  "{KEY}\\n" +\n  "')),
    "key that is cut off": ("{}", "-----BEGIN RSA " + f"PRIVATE KEY-----\n{KEY}\n{KEY}"),
    "putty key": ("Private-Lines: 2{}\nPrivate-MAC: x", f"\n{KEY}\n{KEY}"),
    "address": ("https://{}@example.org/x", "jo:hunter2"),
    "address without user": ("redis://{}@host:6379/0", ":hunter2"),
    "address with an at sign": ("postgres://{}@db/app", "app:p@ss"),
    "address in capitals": ("HTTPS://{}@host", "jo:hunter2"),
    "token as user": ("https://{}@github.com/x/y", HEX),
    "token as user of sentry": ("https://{}@o1.ingest.sentry.io/2", HEX * 2),
    "oauth as user": ("https://{}@gitlab.com/x.git", "oauth2:" + MIX),
    "password=": ("password={}", "hunter2"),
    "password of letters": ("password={}\n", "swordfish"),
    "password = ": ("password = {}\n", "hunter2!"),
    "password:": ("password: {}\n", "s3cr3t-word"),
    "password in json": ('"password": "{}"', "hunter2"),
    "password in escaped json": ('\\"password\\": \\"{}\\"', "hunter2"),
    "password in code": ("password = '{}'", "Tr0ub4dor&3"),
    "annotated password": ('password: str = "{}"', "Tr0ub4dor&3"),
    "password in ruby": (':password => "{}"', "hunter2"),
    "password in xml": ("<password>{}</password>", "hunter2"),
    "password in a query": ("/login?user=jo&password={}&x=1", "hunter2"),
    "password of a flag": ("tool --db-password {} x", "hunter2"),
    "PASS": ("SMTP_PASS={}", "hunter2"),
    "PWD": ("MYSQL_PWD={}", "hunter2"),
    "PAT": ("AZURE_PAT={}", MIX),
    "database url": ("DATABASE_URL=postgres://{}@db/app", "app:hunter2"),
    "connection string": ("Server=db;User Id=app;Password={};", "hunter2"),
    "client secret": ('"client_secret": "{}"', MIX),
    "access token in a query": ("?access_token={}&x", HEX),
    "token of a flag": ("tool --token {}", MIX),
    "api key in yaml": ("api_key: {}\n", HEX),
    "netrc": ("machine host login jo password {}\n", "hunter2"),
    "curl user": ("curl -s -u jo:{} https://host", "hunter2"),
    "sshpass": ("sshpass -p {} ssh host", "hunter2"),
    "sql": ("ALTER USER jo IDENTIFIED BY '{}'", "hunter2"),
}  # fmt: skip
PLAIN = [
    "def connect(user: str, password: str) -> None:",
    "connect(user=user, password=password, token=token)",
    "self.token = settings.token",
    "password = getpass.getpass()",
    "token = parse_token(text)",
    'api_key = os.environ["API_KEY"]',
    "api_key: ${API_KEY}",
    "password: {{ vault_password }}",
    'password = "<your password>"',
    "--password PASSWORD  The password.",
    "the --username and --password options, and --token takes one",
    "password=********",
    '"password": "required"',
    '<input type="password" name="password">',
    "total tokens: 1234567890, cached tokens: 0",
    "git clone ssh://git@github.com/x/y",
    "https://user@example.org",
    "http://127.0.0.1:8080/v1/chat/completions",
    "https://${USER}:${TOKEN}@github.com",
    "a risk-assessment-of-the-whole-system and a sk-learn-like-interface-of-old",
    "commit 27494a9f3f9a0c7be1d248563f9a0c7be1d24856",
    "sha256:3f9a0c7be1d248563f9a0c7be1d248563f9a0c7be1d248563f9a0c7be1d24856",
    "id 1270dc19-5ecf-48e9-8723-6b2f8709b2c6",
    "arn:aws:secretsmanager:*:*:secret:eks-local.cluster.x1",
    "The password is never written down; see pass: the password manager.",
    "Author: Jo <jo@example.org>",
    "key: value, keys = 12, primary_key = id",
]


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_taken_out_whole_and_nothing_else(name: str) -> None:
    frame, secret = SECRETS[name]
    redact = Redactor({})
    once = redact(f"before {frame.format(secret)} after")
    assert once == f"before {frame.format('[redacted]')} after"
    assert redact(once) == once


@pytest.mark.parametrize("text", PLAIN)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert Redactor({})(text) == text


def test_the_projects_own_files_hold_no_secret_but_those_of_tests() -> None:
    redact = Redactor({})
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    found = {
        name
        for name in filter(None, listed.split("\0"))
        if (ROOT / name).is_file()  # a link to a folder is listed as well
        and redact(text := (ROOT / name).read_text(errors="replace")) != text
    }
    assert {name for name in found if not name.startswith("tests/")} == set()


@pytest.mark.parametrize(
    "name", ["DB_PASS", "MYSQL_PWD", "AZURE_PAT", "SENTRY_DSN", "HOOK_WEBHOOK"]
)
def test_the_value_of_a_variable_is_taken_out_in_every_form(name: str) -> None:
    value = 'pa"ss w/ört&more+1'
    redact = Redactor({name: value})
    raw = value.encode()
    forms = [
        value,
        urllib.parse.quote(value, safe=""),
        raw.hex(),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
    ]
    for form in forms:
        assert redact(f"a {form} b").removesuffix("== b").removesuffix("= b") in (
            "a [redacted]", "a [redacted] b",
        )  # fmt: skip


@pytest.mark.parametrize("before", ["", "j", "jo", "jo:", "user:"])
@pytest.mark.parametrize("after", ["", "\n", "ab"])
def test_a_value_inside_longer_base64_is_taken_out(before: str, after: str) -> None:
    value = "an-0dd-value-of-a-token"
    text = base64.b64encode(f"{before}{value}{after}".encode()).decode()
    shown = Redactor({"A_TOKEN": value})(text)
    assert "[redacted]" in shown
    left = shown.replace("[redacted]", "").rstrip("=")
    assert len(left) <= (len(before) + len(after)) * 4 / 3 + 3


def test_a_long_value_in_wrapped_base64_is_taken_out() -> None:
    value = "".join(f"{number:x}-" for number in range(200))
    text = base64.encodebytes(value.encode()).decode()
    shown = Redactor({"A_TOKEN": value})(text)
    assert len(shown.replace("[redacted]", "").replace("\n", "")) < 32


def test_the_password_in_a_variables_address_is_taken_out_alone_too() -> None:
    redact = Redactor({"DATABASE_URL": "postgres://app:hunter2hunter@db/app"})
    assert redact("it is hunter2hunter") == "it is [redacted]"
    assert redact("postgres://app:hunter2hunter@db/app") == "[redacted]"


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "PATH", "COMPASS", "PATTERN", "BYPASS_X"])
def test_the_value_of_a_variable_with_a_like_name_stays(name: str) -> None:
    assert Redactor({name: "/home/jo/project"})("in /home/jo/project") == "in /home/jo/project"


def test_members_of_json_are_secret_by_their_names() -> None:
    data = {"user": "jo", "password": "hunter2", "n": [1, None, {"apiToken": HEX}], "tokens": 12}
    assert Redactor({})("x") == "x"
    assert Redactor({}).data(data) == {
        "user": "jo",
        "password": "[redacted]",
        "n": [1, None, {"apiToken": "[redacted]"}],
        "tokens": 12,
    }


FILLERS = ("", "a1", "a1B2c3D4" * 70, "= ", "-", "\\n", " a:b")


def repeated(word: str, filler: str, size: int) -> str:
    """A text that begins a match over and over, and never or only late ends it."""
    unit = word + filler
    return (unit * (size // len(unit) + 1))[:size]


def starts(shape: Shape, text: str) -> list[int]:
    """Every place where a match of a shape is tried."""
    within = text.lower() if shape.any_case else text
    if not shape.leads:
        return list(range(len(text)))
    return sorted({m.start() for word in shape.words for m in re.finditer(re.escape(word), within)})


@pytest.mark.thorough
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.words[0])
def test_twice_the_text_takes_about_twice_the_steps(shape: Shape) -> None:
    flags = re.ASCII | (re.IGNORECASE if shape.any_case else 0)
    for filler in FILLERS:
        counts = []
        for size in (600, 1200):
            text = repeated(shape.words[-1], filler, size)
            counts.append(steps(shape.expression, flags, text, starts(shape, text)))
        assert counts[1] <= 2.5 * counts[0] + 2000, filler


def test_a_quadratic_expression_would_be_seen() -> None:
    expression = r"-----BEGIN KEY-----.*?-----END KEY-----"
    counts = []
    for size in (600, 1200):
        text = repeated("-----BEGIN KEY-----", "", size)
        places = [m.start() for m in re.finditer("-----BEGIN", text)]
        counts.append(steps(expression, 0, text, places))
    assert counts[1] > 3 * counts[0]
