"""The page that holds our runs of a publication's studies beside its numbers."""
