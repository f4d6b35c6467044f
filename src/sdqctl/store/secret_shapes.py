"""What secrets look like: one row a shape, each found by a word that stands in it.

The facts (prefixes, alphabets, lengths) are those that the issuers publish and that gitleaks
(https://github.com/gitleaks/gitleaks, MIT) keeps in its table; the expressions are our own, because
each must take a number of steps that grows with the text and not with its square. detect-secrets
was weighed: it knows about half of these, needs 0.2 ms a line and requests, and its entropy rules
find something in three of four lines of this very program.

To stay linear an expression begins with a literal, repeats one class of characters at a time, and
is bounded wherever what follows could fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_START = r"(?:(?<![A-Za-z0-9_-])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"
"""The beginning of a word, also after a URL's or a string's escape."""
_LONGEST_KEY = 64 * 1024
"""Characters of a private key's block, far more than any has."""


@dataclass(frozen=True)
class Shape:
    """A kind of secret. What is secret is the group `secret`, or the whole match without one."""

    expression: str
    words: tuple[str, ...]
    """One of these is in every match; in lower case where `any_case` is set."""
    any_case: bool = False
    leads: bool = True
    """Whether each match begins with one of the words."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The expression, compiled when a text with one of the words is met: there are many."""
        return re.compile(self.expression, re.ASCII | (re.IGNORECASE if self.any_case else 0))

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where it is in a text."""
        return map(self._span, self.pattern.finditer(text))

    def spans_at(self, word: str, text: str, within: str) -> Iterator[tuple[int, int]]:
        """Where it is in a text that has a word that it begins with; the word is looked up in
        `within`: the text, or the same in lower case.
        """
        start = within.find(word)
        while start >= 0:
            match = self.pattern.match(text, start)
            if match is not None:
                yield self._span(match)
            start = within.find(word, max(start + 1, match.end() if match else 0))

    def _span(self, match: re.Match[str]) -> tuple[int, int]:
        return match.span("secret" if "secret" in self.pattern.groupindex else 0)


def _shape(expression: str, *words: str) -> Shape:
    return Shape(_START + expression, words)


def _anywhere(expression: str, *words: str) -> Shape:
    return Shape(expression, words)


def _any_case(expression: str, *words: str) -> Shape:
    return Shape(expression, words, any_case=True)


def _holding(expression: str, *words: str) -> Shape:
    return Shape(_START + expression, words, leads=False)


_PREFIXED = {
    "github_pat_": r"[A-Za-z0-9_]{20,}",
    "glpat-": r"[\w-]{20,}(?:\.[0-9a-z]{2,12})*",
    "GR1348941": r"[\w-]{20}",
    "GOCSPX-": r"[\w-]{20,}",
    "AIza": r"[\w-]{35}",
    "whsec_": r"[A-Za-z0-9+/=]{24,}",
    "dckr_pat_": r"[\w-]{20,}",
    "dckr_oat_": r"[\w-]{20,}",
    "xkeysib-": r"[a-f0-9]{64}-[A-Za-z0-9]{16}",
    "rubygems_": r"[a-f0-9]{48}",
    "pypi-AgE": r"[\w-]{40,}",
    "npm_": r"[A-Za-z0-9]{36}",
    "sbp_": r"[a-f0-9]{40}",
    "nfp_": r"[A-Za-z0-9]{30,}",
    "figd_": r"[\w-]{20,}",
    "CFPAT-": r"[\w-]{40,}",
    "CCIPAT_": r"[\w-]{30,}",
    "CLOJARS_": r"[a-z0-9]{60}",
    "tskey-": r"[a-z]{2,12}-[\w-]{16,}",
    "lin_api_": r"[A-Za-z0-9]{32,}",
    "lin_oauth_": r"[A-Za-z0-9]{32,}",
    "lsv2_": r"(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}",
    "PMAK-": r"[A-Fa-f0-9]{24}-[A-Fa-f0-9]{34}",
    "pul-": r"[a-f0-9]{40}",
    "pplx-": r"[A-Za-z0-9]{40,}",
    "gsk_": r"[A-Za-z0-9]{40,}",
    "xai-": r"[A-Za-z0-9]{60,}",
    "r8_": r"[A-Za-z0-9]{37}",
    "ATATT3": r"[\w=-]{40,}",
    "ATCTT3": r"[\w=-]{40,}",
    "ATBB": r"[A-Za-z0-9]{32}",
    "AKCp": r"[A-Za-z0-9]{69}",
    "cmVmd": r"[A-Za-z0-9]{59}",
    "ABSK": r"[A-Za-z0-9+/]{100,}={0,2}",
    "bedrock-api-key-": r"[A-Za-z0-9+/=-]{20,}",
    "AGE-SECRET-KEY-1": r"[A-Za-z0-9]{58}",
    "HRKU-AA": r"[\w-]{58}",
    "NRAK-": r"[A-Z0-9]{27}",
    "NRII-": r"[\w-]{32}",
    "glc_": r"[A-Za-z0-9+/]{32,}={0,3}",
    "glsa_": r"[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}",
    "sntrys_": r"[A-Za-z0-9+/=_-]{40,}",
    "sntryu_": r"[a-f0-9]{64}",
    "shippo_": r"(?:live|test)_[a-fA-F0-9]{40}",
    "duffel_": r"(?:live|test)_[\w=-]{43}",
    "EZAK": r"[A-Za-z0-9]{54}",
    "EZTK": r"[A-Za-z0-9]{54}",
    "FLWSECK": r"(?:_TEST)?-[A-Za-z0-9]{12,}(?:-X)?",
    "fio-u-": r"[\w=-]{64}",
    "ico-": r"[A-Za-z0-9]{32}",
    "s-s4t2": r"(?:ud|af)-[a-f0-9]{64}",
    "sha256~": r"[\w-]{43}",
    "rdme_": r"[a-z0-9]{70}",
    "tk-us-": r"[\w-]{48}",
    "pnu_": r"[A-Za-z0-9]{36}",
    "ntn_": r"[A-Za-z0-9]{40,}",
    "tfp_": r"[\w.=-]{40,}",
    "AQVN": r"[\w-]{35,38}",
    "LTAI": r"[A-Za-z0-9]{20}",
    "p8e-": r"[A-Za-z0-9]{32}",
    "ops_eyJ": r"[A-Za-z0-9+/_-]{100,}={0,3}",
    "sgp_": r"(?:[a-fA-F0-9]{16}_|local_)?[a-fA-F0-9]{40}",
    "bkua_": r"[a-f0-9]{40}",
    "dt0c01.": r"[A-Za-z0-9]{24}\.[A-Za-z0-9]{64}",
    "amzn.mws.": r"[0-9a-f-]{36}",
    "access_token$production$": r"[0-9a-z]{16}\$[0-9a-f]{32}",
    "oy2": r"[a-z0-9]{43}",
}
_KEY_BLOCK = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    rf"(?:(?:[^-]|-(?!----)){{0,{_LONGEST_KEY}}}+-----END [A-Z0-9 ]{{0,40}}KEY(?: BLOCK)?-----"
    r"|(?:(?:[\s\"'+,]|\\[nrt])++[A-Za-z0-9+/=]{16,}+)*+)"
)
"""The block whole, or what of a cut off one looks like its lines."""
_USER = r"[^\s/:@\"'<>`\\]{0,512}"
_SECRET_IN_URL = r"[^\s/\"'<>`\\]{1,512}"
_TEMPLATE = r"(?!\$|\{|<|%[({]|\*{3}|\[redacted\])"
"""Stands before a value that something else fills in, or that is none any more."""

SHAPES = (
    *(_anywhere(re.escape(prefix) + tail, prefix) for prefix, tail in _PREFIXED.items()),
    _anywhere(_KEY_BLOCK, "-----BEGIN "),
    _anywhere(r"Private-Lines: \d+(?P<secret>(?:\s{1,2}[\w+/=]{16,}+)++)", "Private-Lines: "),
    _anywhere(r"gh[pousr]_[A-Za-z0-9]{20,}", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _shape(r"gl(?:dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[\w.-]{20,}",
           "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "gloas-",
           "glsoat-", "glffct-"),
    _shape(r"sk-(?=[A-Za-z_-]{0,60}\d)[\w-]{20,}", "sk-"),
    _anywhere(r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"
           r"(?:[\"'\s,:;|]{1,8}[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=]))?",
           "A3T", "AKIA", "ASIA", "ABIA", "ACCA"),
    _shape(r"(?:sk|rk)_(?:test|live|prod)_[A-Za-z0-9]{10,}",
           "sk_test_", "sk_live_", "sk_prod_", "rk_test_", "rk_live_", "rk_prod_"),
    _shape(r"(?:hf_|api_org_)[A-Za-z0-9]{30,}", "hf_", "api_org_"),
    _shape(r"ya29\.[\w-]{20,}", "ya29."),
    _shape(r"1//0[\w-]{30,}", "1//0"),
    _shape(r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}", "xox"),
    _shape(r"xapp-\d-[A-Za-z0-9-]{20,}", "xapp-"),
    _shape(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}", "eyJ"),
    _shape(r"SG\.[\w-]{16,32}\.[\w-]{16,64}", "SG."),
    _shape(r"SK[0-9a-f]{32}(?![0-9a-f])", "SK"),
    _shape(r"key-[0-9a-f]{32}(?![0-9a-f])", "key-"),
    _holding(r"[0-9a-f]{32}-us\d{1,2}(?!\d)", "-us"),
    _shape(r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", "shpat_", "shpca_", "shppa_", "shpss_"),
    _shape(r"sq0(?:atp|csp|idp)-[\w-]{22,}", "sq0"),
    _shape(r"EAA[AMC][A-Za-z0-9_-]{57,}", "EAA"),
    _shape(r"do[oprt]_v1_[a-f0-9]{64}", "doo_v1_", "dop_v1_", "dor_v1_", "dot_v1_"),
    _shape(r"dapi[a-f0-9]{32}(?:-\d)?", "dapi"),
    _shape(r"dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{40,}", "dp."),
    _shape(r"hv[sbr]\.[\w-]{24,}", "hvs.", "hvb.", "hvr."),
    _holding(r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,}", ".atlasv1."),
    _shape(r"(?:fo1_[\w-]{43}|fm1[ar]_[A-Za-z0-9+/=]{80,}|fm2_[A-Za-z0-9+/=]{80,})",
           "fo1_", "fm1", "fm2_"),
    _shape(r"sq[upa]_[a-f0-9]{40}", "squ_", "sqp_", "sqa_"),
    _shape(r"pscale_(?:tkn|oauth|pw)_[\w=.-]{32,}", "pscale_"),
    _shape(r"sm_[aps]at_[A-Za-z0-9]{16}", "sm_aat_", "sm_pat_", "sm_sat_"),
    _shape(r"[ps]at\.[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}", "pat.", "sat."),
    _shape(r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}", "pat"),
    _shape(r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}", "v1.0-"),
    _shape(r"cio[A-Za-z0-9]{32}(?![A-Za-z0-9])", "cio"),
    _shape(r"secret_[A-Za-z0-9]{43}(?![A-Za-z0-9])", "secret_"),
    _shape(r"sl\.[\w-]{100,}", "sl."),
    _shape(r"API-[A-Z0-9]{26}(?![A-Z0-9])", "API-"),
    _shape(r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}", "A3-"),
    _holding(r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk", "_mmk"),
    _holding(r"[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}", "Q~"),
    _holding(r"\d{6,12}:AA[\w-]{33}(?![\w-])", ":AA"),
    Shape(r"[MNO](?<![\w.-].)[A-Za-z0-9]{23,27}\.[\w-]{6}\.[\w-]{27,40}", ("M", "N", "O"),
          leads=False),
    _anywhere(r"hooks\.slack\.com/\w{6,12}/(?P<secret>[A-Za-z0-9/]{20,})", "hooks.slack.com/"),
    _anywhere(r"/webhooks/(?P<secret>\d{15,22}/[\w-]{60,})", "/webhooks/"),
    _anywhere(r"/webhookb2/(?P<secret>[\w@-]{70,80}/IncomingWebhook/[0-9a-f]{32}/[0-9a-f-]{36})",
              "/webhookb2/"),
    _any_case(rf"://(?P<secret>{_USER}:{_TEMPLATE}{_SECRET_IN_URL})@", "://"),
    _any_case(r"https?://(?P<secret>(?=[^\s/@]{0,80}\d)[\w.~%+-]{16,512})(?::x-oauth-basic)?@",
              "http://", "https://"),
    _any_case(r"bearer (?P<secret>[A-Za-z0-9._~+/=-]{16,})", "bearer "),
    _any_case(rf"authorization\W{{1,6}}(?:basic|token|apikey|digest|negotiate|sswsq?) "
              rf"{_TEMPLATE}(?P<secret>[\w.~+/=:-]{{8,}})", "authorization"),
    _any_case(r"sig=(?P<secret>[A-Za-z0-9%+/=]{40,})", "sig="),
    _any_case(r"login \S{1,128}\s{1,8}password (?P<secret>\S{3,512})", "login "),
    _any_case(rf"curl\b[^\n|;&]{{0,200}}?\s(?:-u|--user)[ =]?[\"']?[\w.@+-]{{0,128}}:"
              rf"{_TEMPLATE}(?P<secret>[^\s\"'`$]{{3,512}})", "curl"),
    _any_case(r"\"auth\"\s{0,4}:\s{0,4}\"(?P<secret>[A-Za-z0-9+/]{12,}={0,2})\"", '"auth"'),
    _any_case(r"cookie:\s{0,4}(?P<secret>[\w.-]{1,64}=[^\s\"';]{8,4096}"
              r"(?:; ?[\w.-]{1,64}=[^\s\"';]{0,4096}){0,32})", "cookie:"),
    Shape(r"<(?i:[\w:.-]{0,40}(?:password|passwd|secret|token|api[_-]?key))>"
          r"(?P<secret>[^<\s]{4,512})</", ("</",), leads=False),
    _any_case(r"(?:identified by|with password) '(?P<secret>[^'\n]{3,512})'",
              "identified by", "with password"),
    _any_case(rf"(?:sshpass\s+-p|mysql(?:dump|admin)?\b[^\n|;&]{{0,200}}?\s-p)\s*[\"']?{_TEMPLATE}"
              r"(?P<secret>[^\s\"'`$]{3,512})", "sshpass", "mysql"),
)  # fmt: skip
_HOLDING = tuple(shape for shape in SHAPES if not shape.leads)
_LEADING = tuple((word, shape) for shape in SHAPES if shape.leads for word in shape.words)
_CASED = tuple(pair for pair in _LEADING if not pair[1].any_case)
_ANY_CASE = tuple(pair for pair in _LEADING if pair[1].any_case)


def shaped_secrets(text: str, lower: str) -> Iterator[tuple[int, int]]:
    """Where a text holds what has one of the shapes; `lower` is the same text in lower case.

    Most texts hold none of the words, and many are short: finding that out has to be cheap.
    """
    for within, pairs in ((text, _CASED), (lower, _ANY_CASE)):
        for word, shape in [pair for pair in pairs if pair[0] in within]:
            yield from shape.spans_at(word, text, within)
    for shape in _HOLDING:
        if any(word in text for word in shape.words):
            yield from shape.spans(text)
