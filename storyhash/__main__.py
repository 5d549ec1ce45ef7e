"""`python -m storyhash` is the `storyhash` command."""

from storyhash.cli import main

if __name__ == "__main__":
    main()
