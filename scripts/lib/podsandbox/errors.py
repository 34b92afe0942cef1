"""What the command can say when it cannot go on, with the exit code of the project's contract."""


class PodError(Exception):
    """Something the user can act on; `code` is the exit status of the command."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code


class Unusable(PodError):
    """This machine or this user cannot run the sandbox."""

    def __init__(self, message):
        super().__init__(message, 2)


class Usage(PodError):
    """Wrong use of the command line."""

    def __init__(self, message):
        super().__init__(message, 64)
