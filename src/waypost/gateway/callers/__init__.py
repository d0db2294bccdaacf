"""Who may ask and how much: keys, limits, and what a call may cost."""
