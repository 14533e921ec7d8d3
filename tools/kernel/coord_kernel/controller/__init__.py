"""Controllers: look, plan, look again, act, sleep. One shape for all of them.

    look   read the views and the world
    plan   (what was seen, now) → acts, each with a key, and when to look again: pure
    act    what a second look plans, too; each act is one event with a key, or one compare-and-swap
    sleep  until an event of the controller's, a process's death, or the time that the plan names

Imports the envelope and the rooms above. A controller is a bridge; what it must keep to, and
`tests/controllers.py` tries on any of them:

1. A key names what was judged (a claim, a session, the silence since its last sign of life), never
   only the item: so an act never hits what came after.
2. `plan` is a function of a set of events: their order is irrelevant. After the acts it plans
   nothing.
3. With the same events it plans nothing before the time that it named: so sleeping is right.
4. A stop is looked at inside the plan.
5. Counts are in the journal, never in the process.
"""

from coord_kernel.controller.loop import run
from coord_kernel.controller.plan import Act, Plan

__all__ = ["Act", "Plan", "run"]
