"""Files: reading and writing files, in ways that know nothing of networks or scenarios.

Begin with `strict_model`, which checks what people write in a file key by key. `quantities` holds the kinds of numbers
that such a file may have, `yaml_json` parses and writes the text, `atomic_file` replaces a file as a whole,
`folder_lock` lets one process at a time write to a folder, and `provenance` tells with which versions and on which
machine a result was made.
"""
