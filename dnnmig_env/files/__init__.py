"""Files and command lines: reading what people write and writing results, without knowing of networks or scenarios.

Begin with `strict_model`, which checks what people write in a file key by key. `quantities` holds the kinds of numbers
that such a file may have, `text_file` reads a text, `yaml_json` parses and writes it, and `atomic_file` replaces a file
as a whole. `command_line` and `named_values` read command lines, `signals` lets commands end in order, `folder_lock`
lets one process at a time write to a folder, and `provenance` tells with which versions and on which machine a result
was made.
"""
