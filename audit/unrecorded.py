"""Why nothing was done: its entry could not be written. Stands apart from the models, as commands need it before these are loaded."""


class Unrecorded(Exception):
    """No entry, no act. Names neither the act nor what the database said: its words hold values."""

    def __init__(self):
        super().__init__("The audit trail cannot be written, so what it could not tell of was not done. Try again when it can.")
