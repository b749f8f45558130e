"""A ledger that keeps what a budget books, for a test to compare."""

from evolcoder.engine.budget import NoLedger


class RecordingLedger(NoLedger):
    """Keeps the calls that were paid for, and those that may have been billed."""

    def __init__(self):
        self.paid, self.possible = [], []

    def add_call(self, model, counts, purpose):
        self.paid.append((model, counts, purpose))

    def add_possible_call(self, model, prompt_tokens, completion_tokens):
        self.possible.append((model, prompt_tokens, completion_tokens))
