"""Published numbers to hold a study against: data with their origin, read without torch."""

from fragility.references.published import (
    Published,
    PublishedFamily,
    PublishedSetting,
    load_reference,
    reference_names,
)

__all__ = [
    "Published",
    "PublishedFamily",
    "PublishedSetting",
    "load_reference",
    "reference_names",
]
