"""Files and folders that are written as a whole, and values that were made last."""
