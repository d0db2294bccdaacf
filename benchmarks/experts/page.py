from pathlib import Path
KEPT=Path("/tmp/xe/k.jsonl"); PAGE=Path("/tmp/xe/p.md")
def show(r):
    for x in r: print(x)
def text(): return ""
