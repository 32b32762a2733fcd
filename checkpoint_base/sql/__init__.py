"""Plans over named statements, whose dialect is the backend's: what SQL's backends share, and to
some extent others.
"""
