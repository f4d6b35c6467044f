"""Style and script of the exported page; both are named by their hash in the page's policy."""

from __future__ import annotations

STYLE = """
:root { --ink: #1c2024; --paper: #fff; --soft: #f2f4f6; --line: #d5dade; --mark: #ffe58a;
  --accent: #2463a8; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --paper: #15181b; --soft: #20252a;
  --line: #3a4148; --mark: #6b5900; --accent: #7fb4ee; --bad: #f2b8b5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1rem; }
h1, h2 { line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-top: 1px solid var(--line);
  padding-top: 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dt { color: var(--accent); } dd { margin: 0; overflow-wrap: anywhere; }
p, li, td, th { overflow-wrap: anywhere; } p { margin: .5rem 0; }
h3, h4, h5, h6 { font-size: 1rem; margin: 1rem 0 .3rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: .5rem 0; }
td, th { border: 1px solid var(--line); padding: .2rem .5rem; text-align: left; }
.right { text-align: right; } .center { text-align: center; }
blockquote { border-left: 3px solid var(--line); margin: .5rem 0; padding-left: .8rem; }
code { background: var(--soft); border-radius: 4px; padding: 0 .2rem;
  font: .85em ui-monospace, monospace; overflow-wrap: anywhere; }
pre code { background: none; padding: 0; font-size: 1em; }
.link { color: var(--accent); } .told { margin: 0 0 .5rem; }
pre { background: var(--soft); border-radius: 6px; padding: .6rem; overflow-x: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; font: .85rem/1.45 ui-monospace, monospace; }
.prompt { border-left: 3px solid var(--accent); padding-left: .8rem; }
.problem { color: var(--bad); }
details { margin: .4rem 0; } summary { cursor: pointer; overflow-wrap: anywhere; }
.tool summary { font: .85rem ui-monospace, monospace; }
small { color: var(--ink); opacity: .7; }
nav ol { padding-left: 1.6rem; } a { color: var(--accent); }
input { width: 100%; padding: .5rem; font: inherit; color: inherit; background: var(--soft);
  border: 1px solid var(--line); border-radius: 6px; }
.bar { display: grid; grid-template-columns: 1fr 8rem; gap: .6rem; align-items: center; }
.bar svg { width: 100%; height: .5rem; background: var(--soft); border-radius: 3px; }
.bar rect { fill: var(--accent); } .time rect { opacity: .55; }
.failed, .interrupted, .tool.denied summary, .tool.cut-off summary { color: var(--bad); }
section.hit { outline: 2px solid var(--mark); outline-offset: .4rem; }
section.miss { display: none; }
"""

SCRIPT = """
const box = document.getElementById('search');
const told = document.getElementById('found');
const sections = [...document.querySelectorAll('section')];
box.addEventListener('input', () => {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let hits = 0;
  for (const section of sections) {
    const text = section.textContent.toLowerCase();
    const hit = words.length > 0 && words.every((word) => text.includes(word));
    section.classList.toggle('hit', hit);
    section.classList.toggle('miss', words.length > 0 && !hit);
    hits += hit;
  }
  told.textContent = words.length > 0 ? hits + ' of ' + sections.length + ' turns' : '';
});
"""
