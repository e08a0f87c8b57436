"""How the weights of the backbone `duo` are made; not part of the wheel."""
