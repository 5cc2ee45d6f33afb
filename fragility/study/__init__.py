"""From YAML text to a checked study and its cells.

    text --yaml--> nodes --overrides--> nodes --model--> Study --cells--> [Cell]

Nothing is imported here: the names of the shipped studies (`fragility.study.shipped`) must be had
without loading the methods.
"""
