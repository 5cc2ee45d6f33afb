"""How scores and effects are compared: metrics, their intervals and their ceilings."""

from fragility.metrics.agreement import Agreement, Summary, measure
from fragility.metrics.base import METRICS, Metric
from fragility.metrics.reliability import Reliability

__all__ = ["METRICS", "Agreement", "Metric", "Reliability", "Summary", "measure"]
