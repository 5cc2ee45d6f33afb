"""The diagnostics: facts about a trained model that explain agreement."""

from fragility.diagnostics.base import DIAGNOSTICS as DIAGNOSTICS
from fragility.diagnostics.base import Diagnostic as Diagnostic
