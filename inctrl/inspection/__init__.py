"""From normal shots to a verdict: one path for every face of the product."""
