"""Experts to route between, made at run time: the texts that ship with the machine, and language models of them."""
