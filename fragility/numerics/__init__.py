"""Pure torch functions that know nothing of studies."""
