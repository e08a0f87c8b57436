"""Files and folders that are written as a whole, and what is remembered of them."""
