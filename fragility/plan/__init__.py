"""The compiler: cells -> content-addressed tasks -> fused batches."""

from fragility.plan.compile import compile_study as compile_study
from fragility.plan.tasks import Batch as Batch
from fragility.plan.tasks import Plan as Plan
from fragility.plan.tasks import Task as Task
