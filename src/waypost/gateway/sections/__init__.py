"""What a config file may say, one section a file: a frozen dataclass whose fields say how each is read.

A new section is a file here, with a dataclass of `setting` fields, and a field in `waypost.gateway.settings.Settings`.
The reader, the unknown fields that it refuses, and the JSON schema for editors all come from that one declaration.
"""
