"""From a job to a file: ``plan`` checks all that can be checked before any weight is loaded, ``run`` does it."""

from vedit.render.loop import Result, run
from vedit.render.plan import STDOUT, Plan
from vedit.render.planning import plan
from vedit.render.progress import Progress

__all__ = ["STDOUT", "Plan", "Progress", "Result", "plan", "run"]
