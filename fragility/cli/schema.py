"""`fragility schema`: JSON Schema of a study."""

from __future__ import annotations

import json


def schema() -> None:
    """Print the JSON Schema of a study, for editors.

    With `# yaml-language-server: $schema=study.schema.json` as the first line of a study, editors
    complete its keys and show their documentation.
    """
    from fragility.study.schema import study_schema

    print(json.dumps(study_schema(), indent=2))
