"""Command lines of usual options some of which are given anew."""


def overriding(usual, *arguments):
    """Return a command line: the usual words, less those of options that are among the arguments, and the arguments."""
    words, keeps = [], True
    for word in usual:
        if word.startswith("--"):
            keeps = word not in arguments
        if keeps:
            words.append(word)
    return [*words, *arguments]
