"""Small questions about code: the name of a function, a keyword, the value of one line."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, lines, table, tail

# what it does | its name, as a regular expression
_BUILTINS = table("""
    returns the length of a list | len
    prints text on the screen | print
    reads a line that the user types | input
    turns a string into an integer | int
    turns a number into a string | str
    returns the largest item of a list | max
    returns the smallest item of a list | min
    adds up the numbers of a list | sum
    sorts a list and returns a new one | sorted
    opens a file | open
    gives the type of an object | type
    gives the absolute value of a number | abs
    rounds a number | round
    makes a sequence of numbers for a loop | range
    goes through two lists in parallel | zip
    gives both index and item in a loop | enumerate
""")
_METHODS = table("""
    adds an item to the end of a list | append
    turns a string into upper case | upper
    turns a string into lower case | lower
    splits a string into a list | split
    joins a list of strings into one | join
    replaces part of a string | replace
    removes spaces at both ends of a string | strip
    removes and returns the last item of a list | pop
    sorts a list in place | sort
    returns the keys of a dictionary | keys
    returns the values of a dictionary | values
    reverses a list in place | reverse
""")
_KEYWORDS = table("""
    starts a function definition | def
    starts a class definition | class
    gives a value back from a function | return
    loads a module | import
    starts a loop over the items of a list | for
    starts a loop that runs as long as a condition holds | while
    leaves a loop early | break
    skips to the next round of a loop | continue
    handles an exception after try | except
    makes an anonymous function | lambda
    starts a conditional branch | if
    does nothing at all | pass
""")
_OTHERS = table(r"""
    Which SQL keyword reads rows from a table? | (?i)\bselect\b
    Which SQL clause filters rows? | (?i)\bwhere\b
    Which SQL command adds a new row? | (?i)\binsert\b
    Which SQL command removes rows? | (?i)\bdelete\b
    Which SQL clause sorts the result? | (?i)\border by\b
    Which git command copies a remote repository to your computer? | (?i)\bclone\b
    Which git command records changes with a message? | (?i)\bcommit\b
    Which git command sends commits to the server? | (?i)\bpush\b
    Which git command shows which files changed? | (?i)\b(status|diff)\b
    Which HTML tag makes a link? | (?i)<a\b|\ba\b tag|`a`|anchor
    Which HTML tag makes a paragraph? | (?i)<p\b|`p`
    Which HTML tag shows an image? | (?i)\bimg\b
    Which HTML tag is for the largest heading? | (?i)\bh1\b
    Which Linux command lists the files of a folder? | \bls\b
    Which Linux command changes the folder? | \bcd\b
    Which Linux command copies a file? | \bcp\b
    Which Linux command deletes a file? | \brm\b
    Which Linux command makes a new folder? | \bmkdir\b
    Which character starts a comment in Python? | (?i)#|\bhash\b
    What does HTML stand for? | (?i)hyper\s?text mark-?up language
    What does CSS stand for? | (?i)cascading style sheets
    What does CPU stand for? | (?i)central processing unit
    What does RAM stand for? | (?i)random[- ]access memory
    What does URL stand for? | (?i)uniform resource locator
    What is the file extension of Python programs? | (?i)\.py\b
    In Python, which values can a bool have? | (?s)(?=.*\bTrue\b)(?=.*\bFalse\b)
    Which Python type holds pairs of keys and values? | (?i)\bdict(?:ionar(?:y|ies))?\b
    Which Python operator tests whether two values are equal? | ==
    Which Python operator means "not equal"? | !=
    How do you write "x to the power of 2" in Python? | x ?\*\* ?2|pow\(x, ?2\)
""")
_ENDINGS = lines("""
    Just the name.
    Answer with code only.
    One word is enough.
""")


def draft(rng: Random) -> Draft:
    """One question about code."""
    make = rng.choice((_named, _named, _named, _other, _value, _value, _write))
    return make(rng)


def _named(rng: Random) -> Draft:
    kind, rows = rng.choice((("built-in function", _BUILTINS), ("method", _METHODS), ("keyword", _KEYWORDS)))
    does, name = rng.choice(rows)
    ask = rng.choice(
        (
            f"Which Python {kind} {does}?",
            f"What is the name of the Python {kind} that {does}?",
            f"In Python, what {kind} {does}?",
            f"I forgot which {kind} in Python {does}. Which one is it?",
        )
    )
    return Draft(ask + tail(rng, _ENDINGS, 0.3), "regex", rf"(?<![A-Za-z_]){name}(?![A-Za-z_])")


def _other(rng: Random) -> Draft:
    question, answer = rng.choice(_OTHERS)
    return Draft(question + tail(rng, _ENDINGS, 0.15), "regex", answer)


def _value(rng: Random) -> Draft:
    """What a line of Python gives: sums that are not written as sums."""
    a, b, word = rng.randint(2, 20), rng.randint(2, 9), rng.choice(("cat", "house", "river", "sun", "garden"))
    line, value = rng.choice(
        (
            (f"{a} + {b} * 2", a + b * 2),
            (f"{a} % {b}", a % b),
            (f"{a} // {b}", a // b),
            (f"{b} ** 2", b**2),
            (f"len('{word}')", len(word)),
            (f"len('{word}') + {b}", len(word) + b),
            (f"max({a}, {b}, 11)", max(a, b, 11)),
            (f"sum([{a}, {b}, 1])", a + b + 1),
            (f"[{a}, {b}, 7][0]", a),
            (f"[{a}, {b}, 7][-1]", 7),
            (f"abs({b} - {a + b})", a),
            (f"int('{a}') + 1", a + 1),
        )
    )
    ask = rng.choice(
        ("What does print({}) show in Python?", "What is the value of {} in Python?", "Python: {} gives what?")
    )
    return Draft(ask.format(line), "number", str(value))


def _write(rng: Random) -> Draft:
    name = rng.choice(("add", "greet", "double", "area", "is_even", "first", "total", "shout"))
    variable, value = rng.choice(("x", "count", "price", "age", "total")), rng.randint(1, 99)
    module = rng.choice(("math", "random", "json", "os"))
    prompt, wanted = rng.choice(
        (
            (
                f"Write the first line of a Python function called {name} with one argument n.",
                rf"def {name}\(\s*n\b.*\)",
            ),
            (f"Write Python code that sets the variable {variable} to {value}.", rf"\b{variable}\s*=\s*{value}\b"),
            (f"Write a line of Python that prints the number {value}.", rf"print\(\s*[\"']?{value}[\"']?\s*\)"),
            (
                f"Write a Python import line for the module {module}.",
                rf"import {module}\b",
            ),
            (f"Write a Python for loop that runs {value} times.", rf"for \w+ in range\(\s*(?:0, ?|1, ?)?{value}"),
            (f"Make a Python list of the numbers 1, 2 and {value + 2}.", rf"\[\s*1,\s*2,\s*{value + 2}\s*\]"),
        )
    )
    return Draft(prompt, "regex", wanted)
