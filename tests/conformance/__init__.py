"""What every transport must do, whatever is at its other end.

``places.py`` has an entry for each transport: add one there, and all of this runs over it too.
"""
