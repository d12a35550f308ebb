"""From runs to tables: accuracy on balanced classes, its spread over seeds, paired differences."""

from __future__ import annotations


def accuracy(part, least):
    known = [recall for count, recall in part.values() if recall is not None and count >= least]
    return sum(known) / len(known)
