"""Statistics of agreements and of noise: arrays in, frozen answers out, nothing of studies.

An answer that cannot be given is None beside a reason, never NaN; NaN occurs only in arrays of
bootstrap draws, where it marks a resample in which the statistic has no value.
"""

from fragility.statistics.area_under_curve import area_under_curve
from fragility.statistics.attenuation import (
    LOWEST_RELIABILITY,
    Disattenuated,
    disattenuated,
    withheld,
)
from fragility.statistics.ceiling import ceiling
from fragility.statistics.decomposition import Decomposition, Share, decompose, sentence
from fragility.statistics.equivalence import (
    Equivalence,
    equivalence_of_estimate,
    equivalence_of_means,
    equivalence_of_slope,
)
from fragility.statistics.estimate import CONFIDENCE, Estimate
from fragility.statistics.fisher_z import fisher_mean
from fragility.statistics.group_comparisons import GroupComparison, HypothesisTest, compare_groups
from fragility.statistics.intervals import bca_interval, percentile_interval
from fragility.statistics.intraclass import (
    Components,
    Intraclass,
    intraclass_agreement,
    intraclass_consistency,
    variance_components,
)
from fragility.statistics.level_comparison import Difference, LevelComparison, compare_levels
from fragility.statistics.mixed_model import FactorTest, FixedEffect, MixedModel, mixed_model
from fragility.statistics.multiplicity import benjamini_hochberg, holm
from fragility.statistics.nested_bootstrap import Bootstrap, nested_bootstrap
from fragility.statistics.null_band import (
    NullBand,
    null_half_width,
    null_mean_absolute,
    permutation_band,
    permuted_correlations,
)
from fragility.statistics.panel import Panel, mean_correlation, mean_metric, mean_reliability
from fragility.statistics.reliability import (
    MEASURABLE,
    Reliability,
    Verdict,
    reliability,
    replicates_needed,
    verdict,
)
from fragility.statistics.resampling import Axis, Weights
from fragility.statistics.split_half import SplitHalf, spearman_brown, split_half
from fragility.statistics.two_samples import (
    LEVEL,
    MARGIN,
    CorrectedTest,
    SampleComparison,
    compare_samples,
    median_difference,
)

__all__ = [
    "CONFIDENCE",
    "LEVEL",
    "LOWEST_RELIABILITY",
    "MARGIN",
    "MEASURABLE",
    "Axis",
    "Bootstrap",
    "Components",
    "CorrectedTest",
    "Decomposition",
    "Difference",
    "Disattenuated",
    "Equivalence",
    "Estimate",
    "FactorTest",
    "FixedEffect",
    "GroupComparison",
    "HypothesisTest",
    "Intraclass",
    "LevelComparison",
    "MixedModel",
    "NullBand",
    "Panel",
    "Reliability",
    "SampleComparison",
    "Share",
    "SplitHalf",
    "Verdict",
    "Weights",
    "area_under_curve",
    "bca_interval",
    "benjamini_hochberg",
    "ceiling",
    "compare_groups",
    "compare_levels",
    "compare_samples",
    "decompose",
    "disattenuated",
    "equivalence_of_estimate",
    "equivalence_of_means",
    "equivalence_of_slope",
    "fisher_mean",
    "holm",
    "intraclass_agreement",
    "intraclass_consistency",
    "mean_correlation",
    "mean_metric",
    "mean_reliability",
    "median_difference",
    "mixed_model",
    "nested_bootstrap",
    "null_half_width",
    "null_mean_absolute",
    "percentile_interval",
    "permutation_band",
    "permuted_correlations",
    "reliability",
    "replicates_needed",
    "sentence",
    "spearman_brown",
    "split_half",
    "variance_components",
    "verdict",
    "withheld",
]
