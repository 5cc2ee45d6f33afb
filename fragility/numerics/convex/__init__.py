"""Stacks of convex objectives with their curvature: what Newton's method works on."""
