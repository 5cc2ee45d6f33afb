"""The selectors: which points a procedure looks at."""

from fragility.selectors.base import SELECTORS as SELECTORS
from fragility.selectors.base import Candidates as Candidates
from fragility.selectors.base import Choice as Choice
from fragility.selectors.base import Selector as Selector
