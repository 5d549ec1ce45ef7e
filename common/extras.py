"""The command that installs an optional part of StoryHash."""


def install_command(extra: str) -> str:
    """The command that installs an extra, for messages; it needs a clone: StoryHash is not on PyPI."""
    return f"pip install -e '.[{extra}]' in the folder of StoryHash's repository"
