"""Estimators beside other packages: seconds, memory, and agreement with the dense answer."""
