"""Sections: each reads rows and returns the data of one template partial."""
