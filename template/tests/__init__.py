"""The tests of the service. They do not depend on settings in the environment or in .env."""

import os
import signal

# Before any module of the service is imported. TEST_* in .env are still read.
os.environ["ENV_FILE"] = os.devnull

from app.settings import Settings

for _name in Settings.model_fields:
    for _variable in (_name, _name.upper()):
        os.environ.pop(_variable, None)

# `make test &`, nohup and some runners ignore it, and processes that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class NoDatabase(Exception):
    """The message says in a line what is wrong, `hint` what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint
