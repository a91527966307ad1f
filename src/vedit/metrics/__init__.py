"""Measures of an edit, and the page that shows them: what ``vedit evaluate`` computes.

``registry`` says what there is; ``pictures`` is one frame and one step between two; ``pixels``, ``motion``, ``tracks``
and ``clip`` hold the measures, each a small accumulator; ``pairs`` streams the videos; ``evaluate`` runs them together.
"""
