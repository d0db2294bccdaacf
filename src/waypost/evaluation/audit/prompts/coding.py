"""Code, from a line of it to a system."""

from __future__ import annotations

from waypost.evaluation.audit.prompts.forms import Forms

FORMS = Forms(
    simple=(
        "Write one line of {language} that prints {thing}.",
        "Show me a {language} variable that holds {thing}.",
        "What does the comment sign look like in {language}, and how would I comment on {thing}?",
        "How is {operation} written in {language}?",
        "Correct my {language}: I only need {operation} and it does not compile.",
    ),
    medium=(
        "Write a {language} function that {task} and add two unit tests.",
        "Here is my plan: read a {file} file, then a function that {task}. Give me the {language} for it.",
        "Refactor a {language} routine that {task} so that it uses no recursion and no global state.",
        "My {language} program {task}, but crashes on empty input. Show a version that does not.",
        "Turn this description into {language}: a command that reads a {file} file and {task}.",
    ),
    hard=(
        "Design and implement in {language} a {system} that {demand}. State its complexity, prove that it never loses "
        "an update, and test it under concurrency.",
        "Our {system} in {language} deadlocks once a week under load. Explain how you would find the race without "
        "stopping it, then give a lock-free redesign that {demand}.",
        "Port a {system} from {language} to {language2} without changing its observable behaviour; it {demand}. List "
        "every place where the memory models of the two differ.",
        "Write a {language} compiler pass that turns a naive {system} into one that {demand}, with an argument why "
        "the transformation preserves semantics.",
        "A wait-free {system} in {language}, please, that {demand}.",
    ),
    fill={
        "language": ("Rust", "Go", "Java", "Kotlin", "Haskell", "C++", "Ruby", "TypeScript", "Python", "Swift"),
        "thing": ("my name", "today's date", "an empty list", "the letter Q", "a true value", "the path of a folder",
                  "three prime numbers", "a greeting"),
        "operation": ("string concatenation", "a while loop", "integer division", "a negation", "a switch",
                      "array indexing", "a null check", "an import"),
        "task": ("merges overlapping intervals", "groups words that are anagrams", "validates balanced brackets",
                 "computes a moving average", "flattens nested lists", "finds the median of a stream",
                 "rotates a matrix by a quarter turn", "parses ISO timestamps", "removes duplicate records"),
        "file": ("CSV", "JSON", "YAML", "log", "fixed-width"),
        "system": ("bounded work-stealing queue", "write-ahead log", "B+ tree with range locks", "Raft replica",
                   "generational garbage collector", "incremental parser", "rate limiter", "CRDT text buffer"),
        "demand": ("survives power loss at any instruction", "scales to 128 cores", "answers within 2 ms at the 99th "
                   "percentile", "uses constant memory", "allows online schema changes", "tolerates clock skew"),
    },
)  # fmt: skip
